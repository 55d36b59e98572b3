// A full disk: errors that say so, state intact, and everything works again when there is room.
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { TestDaemon } from '../helpers/daemon.ts';
import { containerConfig, create, exec, fails, podConfig, pull, runPod, start, statusOf } from '../helpers/pods.ts';
import { ref } from '../helpers/registry.ts';
import { mountsOf, processesOf } from '../helpers/residue.ts';
import { patienceMs, until } from '../helpers/until.ts';

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

/**
 * Waits for what gives room back by itself: the trash, which is emptied when nobody else needs the machine, and records
 * whose last durable content lies beside them. A disk that is filled before is not full for long.
 */
const settled = (): Promise<unknown> =>
  until(
    'nothing more is freed',
    () =>
      readdirSync(join(daemon.root, 'trash')).length === 0 &&
      ['sandboxes', 'containers'].every((noun) =>
        readdirSync(join(daemon.root, noun)).every(
          (id) => !existsSync(join(daemon.root, noun, id, '.status.json.old')),
        ),
      ),
    6 * patienceMs,
  );

test.serial('a pull that does not fit fails with the reason, and gives the room back', async (t) => {
  const free = (): number => statfsSync(dir).bavail;
  const before = free();
  const image = ref('evil/zeros');
  await t.throwsAsync(pull(daemon, image), { message: /no space left|ENOSPC/i });
  t.is((await daemon.image.ListImages({})).images.length, 1);
  await settled();
  t.true(free() >= before - 256, `${before} blocks were free, and then ${free()}`);
});

test.serial('with no room at all calls fail, pods run on, nothing is lost, and with room all goes on', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, containerConfig());
  const before = await statusOf(daemon, id);
  await settled();
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

/** Bytes of output that could not be logged, as the daemon counts them. */
async function droppedBytes(): Promise<number> {
  const text = await (await fetch(daemon.metricsUrl)).text();
  return Number(/^podwright_log_dropped_bytes_total (\d+)$/m.exec(text)?.[1]);
}

test.serial(
  'a container that fills the disk with its log goes on; a line and a counter tell what is missing',
  async (t) => {
    // what gives room later: to take the log's own away might take a line with it that tells what was dropped by then
    const reserve = join(dir, 'reserve');
    writeFileSync(reserve, Buffer.alloc(1 << 20));
    const pod = await runPod(daemon);
    const script = 'spew 60000000 100; : > /dev/shm/said; while sleep 0.1; do echo goes on; done';
    const id = await start(daemon, pod, containerConfig({ command: ['sh', '-c', script] }));
    const { log_path } = await statusOf(daemon, id);
    await until('output is dropped', async () => (await droppedBytes()) > 0);
    await until('it has said all', async () => (await exec(daemon, id, 'test', '-e', '/dev/shm/said')).code === 0);
    t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
    rmSync(reserve);
    const marker = /^\S+ stderr F podwright: (\d+) bytes of this log were dropped: no space left on device$/gm;
    const text = await until('the log goes on, and tells', () => {
      const now = readFileSync(log_path, 'latin1');
      const at = now.search(marker);
      return at >= 0 && now.includes(' stdout F goes on\n', at) && now;
    });
    // each time that there was room
    const told = [...text.matchAll(marker)].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
    t.true(told > 0, text.slice(-300));
    await daemon.runtime.StopContainer({ container_id: id, timeout: '0' });
    const { message } = await statusOf(daemon, id);
    const [, inAll = ''] = /^(\d+) bytes of output were not logged$/.exec(message) ?? [];
    t.true(Number(inAll) >= told, message);
    t.is(await droppedBytes(), Number(inAll));
    await daemon.removePod(pod.id);
  },
);

test.serial('a start with no room fails or succeeds, and what runs is told as running', async (t) => {
  const pod = await runPod(daemon);
  const id = await create(daemon, pod, containerConfig());
  await settled();
  const room = fill();
  t.teardown(room);
  await daemon.runtime.StartContainer({ container_id: id }).catch(() => undefined);
  room();
  await daemon.runtime.StartContainer({ container_id: id }).catch(() => undefined);
  const { state } = await statusOf(daemon, id);
  t.true(['CONTAINER_RUNNING', 'CONTAINER_EXITED'].includes(state), state);
  const running = (): boolean => processesOf({ state: '/nowhere', ids: new Set([id]) }).length > 0;
  // what was killed takes its time to go
  if (state === 'CONTAINER_RUNNING') t.true(running());
  else await until('nothing of it runs', () => !running());
  t.is((await statusOf(daemon, id)).state, state);
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('a full disk does not hinder the end of pods: it is how room is made', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, containerConfig());
  await settled();
  const room = fill();
  t.teardown(room);
  await daemon.removePod(pod.id).catch((error: Error) => t.log(error.message));
  await until('it has ended', () => processesOf({ state: '/nowhere', ids: new Set([id]) }).length === 0);
  room();
  await daemon.removePod(pod.id);
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
