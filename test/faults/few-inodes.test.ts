// Too few inodes where state, images and writable layers are: each call says so or comes out right, nothing is lost, and
// all goes on when there are more.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { TestDaemon } from '../helpers/daemon.ts';
import { containerConfig, create, exec, pull, runPod, statusOf } from '../helpers/pods.ts';
import { mountsOf } from '../helpers/residue.ts';
import { endsWell, livePod, pullUnder, Scarcity, type Shortage } from './shortage.ts';

const dir = mkdtempSync('/tmp/pwt-');
let daemon: TestDaemon;

test.before('a daemon on a file system with few inodes', async () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256m,nr_inodes=3000', 'pwt-inodes', dir]);
  daemon = new TestDaemon({ dir });
  await daemon.start();
  await pull(daemon);
});
test.afterEach.always((t) => {
  if (!t.passed) t.log(daemon.lastWords());
});
test.after.always('the file system goes', async () => {
  await daemon.destroy();
  execFileSync('umount', ['-l', dir]);
  rmSync(dir, { recursive: true, force: true });
});

const filler = join(dir, 'filler');
const inodes: Shortage = {
  limit: (more) => {
    mkdirSync(filler);
    try {
      for (let n = 0; statfsSync(dir).ffree > more; n += 1) writeFileSync(join(filler, String(n)), '');
    } catch (error) {
      // the daemon took the last one meanwhile
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  },
  lift: () => rmSync(filler, { recursive: true }),
  reason: /no space left|ENOSPC/i,
};

test.serial('each verb of a pod, and a pull, with few inodes', async (t) => {
  t.timeout(9 * 60_000);
  const { pid } = daemon;
  const scarcity = new Scarcity(t, inodes);
  for (let more = 0; more < 16; more += 1) {
    await livePod(daemon, scarcity, more);
    if (more % 4 === 0) await pullUnder(daemon, scarcity, more);
  }
  t.log(scarcity.failures);
  for (const verb of ['RunPodSandbox', 'CreateContainer', 'PullImage'])
    t.true((scarcity.failures[verb] ?? 0) > 0, `${verb} met the limit`);
  await endsWell(t, daemon, pid);
});

test.serial('what was told without an inode for it is known after a kill -9, once there was one', async (t) => {
  const pod = await runPod(daemon);
  const id = await create(daemon, pod, containerConfig());
  inodes.limit(0);
  try {
    await daemon.runtime.StartContainer({ container_id: id });
    t.is((await exec(daemon, id, 'true')).code, 0);
  } finally {
    inodes.lift();
  }
  const before = await statusOf(daemon, id);
  await daemon.restart();
  t.like(await statusOf(daemon, id), { state: 'CONTAINER_RUNNING', started_at: before.started_at });
  await daemon.crash();
  t.like(await statusOf(daemon, id), { state: 'CONTAINER_RUNNING', started_at: before.started_at });
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('nothing is left on the host', async (t) => {
  await daemon.removeAllPods();
  t.deepEqual(await daemon.leftOfPods(), []);
  await daemon.shutdown();
  t.deepEqual(await daemon.leftOfNetwork(), []);
  t.deepEqual(mountsOf(daemon), []);
});
