// A full disk: errors that say so, state intact, and everything works again when there is room.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { TestDaemon } from '../helpers/daemon.ts';
import { containerConfig, create, exec, fails, podConfig, pull, runPod, start, statusOf } from '../helpers/pods.ts';
import { ref } from '../helpers/registry.ts';
import { mountsOf, processesOf } from '../helpers/residue.ts';

const dir = mkdtempSync('/tmp/pwt-');
/** Where there is room, for what tests write themselves. */
const elsewhere = mkdtempSync('/tmp/pwt-');
let daemon: TestDaemon;

test.before('a daemon on a small file system', async () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'pwt-full', dir]);
  // four gigabytes of zeros in five megabytes: without the bound on that, only the disk stops it
  daemon = new TestDaemon({ dir, flags: ['--set=image.max_ratio=1000000'] });
  await daemon.start();
  await pull(daemon);
});
test.afterEach.always((t) => {
  if (!t.passed) t.log(daemon.lastWords());
});
test.after.always('the file system goes', async () => {
  await daemon.destroy();
  execFileSync('umount', ['-l', dir]);
  for (const each of [dir, elsewhere]) rmSync(each, { recursive: true, force: true });
});

/** Fills the file system to the last byte; answers how to make room again. */
function fill(): () => void {
  const path = join(dir, 'filler');
  const file = openSync(path, 'w');
  const chunk = Buffer.alloc(4096);
  try {
    for (;;) writeSync(file, chunk);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(file);
  }
  return () => rmSync(path, { force: true });
}

test.serial('a pull that does not fit fails with the reason, and gives the room back', async (t) => {
  const free = (): number => statfsSync(dir).bavail;
  const before = free();
  const image = ref('evil/zeros');
  await t.throwsAsync(pull(daemon, image), { message: /no space left|ENOSPC/i });
  t.is((await daemon.image.ListImages({})).images.length, 1);
  const deadline = Date.now() + 20_000;
  while (free() < before - 256 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 100));
  t.true(free() >= before - 256, `${before} blocks were free, and then ${free()}`);
});

test.serial('with no room at all calls fail, pods run on, nothing is lost, and with room all goes on', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, containerConfig());
  const before = await statusOf(daemon, id);
  const room = fill();
  t.teardown(room);
  const config = podConfig({ dir: elsewhere });
  await fails(t, daemon.runtime.RunPodSandbox({ config }), {
    code: 'RESOURCE_EXHAUSTED',
    message: /no space left|ENOSPC/i,
  });
  t.is((await exec(daemon, id, 'true')).code, 0);
  t.is((await daemon.runtime.ListPodSandbox({})).items.length, 1);
  await daemon.runtime.StopContainer({ container_id: id, timeout: '0' }).catch(() => undefined);
  room();
  await daemon.runtime.StopContainer({ container_id: id, timeout: '0' });
  t.like(await statusOf(daemon, id), { state: 'CONTAINER_EXITED', exit_code: 137, created_at: before.created_at });
  await daemon.crash();
  t.like(await statusOf(daemon, id), { state: 'CONTAINER_EXITED', exit_code: 137, created_at: before.created_at });
  const again = await start(daemon, pod, containerConfig());
  t.is((await exec(daemon, again, 'true')).code, 0);
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('a container that fills the disk with its log does not end', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(
    daemon,
    pod,
    containerConfig({ command: ['sh', '-c', 'sleep 1; spew 60000000 100; exec sleep 3600'] }),
  );
  const { log_path } = await statusOf(daemon, id);
  const deadline = Date.now() + 20_000;
  while (!(await exec(daemon, id, 'pgrep', 'sleep')).stdout && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 50));
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  t.truthy((await exec(daemon, id, 'pgrep', 'sleep')).stdout, 'what cannot be logged is dropped');
  execFileSync('truncate', ['-s', '0', log_path]);
  t.is((await exec(daemon, id, 'true')).code, 0);
  await daemon.removePod(pod.id);
});

test.serial('a start with no room fails or succeeds, and what runs is told as running', async (t) => {
  const pod = await runPod(daemon);
  const id = await create(daemon, pod, containerConfig());
  const room = fill();
  t.teardown(room);
  await daemon.runtime.StartContainer({ container_id: id }).catch(() => undefined);
  room();
  await daemon.runtime.StartContainer({ container_id: id }).catch(() => undefined);
  const running = processesOf({ state: '/nowhere', ids: new Set([id]) }).length > 0;
  const { state } = await statusOf(daemon, id);
  t.is(state, running ? 'CONTAINER_RUNNING' : 'CONTAINER_EXITED');
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('a full disk does not hinder the end of pods: it is how room is made', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, containerConfig());
  const room = fill();
  t.teardown(room);
  await daemon.removePod(pod.id).catch((error: Error) => t.log(error.message));
  const left = processesOf({ state: '/nowhere', ids: new Set([id]) });
  room();
  await daemon.removePod(pod.id);
  t.deepEqual(left, []);
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('a log that cannot be written does not end the daemon', async (t) => {
  const other = new TestDaemon({ logFile: '/dev/full' });
  t.teardown(() => other.destroy());
  await other.start();
  await t.throwsAsync(other.runtime.ContainerStatus({ container_id: 'none' }));
  const pod = await runPod(other);
  await other.removePod(pod.id);
  t.true(other.running);
});

test.serial('nothing is left on the host', async (t) => {
  await daemon.removeAllPods();
  t.deepEqual(await daemon.leftOfPods(), []);
  await daemon.shutdown();
  t.deepEqual(await daemon.leftOfNetwork(), []);
  t.deepEqual(mountsOf(daemon), []);
});
