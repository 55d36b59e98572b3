// Checkpoints with a program in criu's place: what is asked of it, and what is left when it refuses, hangs or dies.
// The real criu is tested in a machine whose kernel can: test/vm/checkpoint.test.ts.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { type CriuMode, FakeCriu } from '../helpers/fake-criu.ts';
import {
  create,
  exited,
  fails,
  logOf,
  podConfig,
  pull,
  type Pod,
  runPod,
  scripted,
  shell,
  start,
  statusOf,
  textOf,
} from '../helpers/pods.ts';
import { patienceMs, until } from '../helpers/until.ts';

const criu = new FakeCriu();
const daemon = useDaemon(test, { flags: ['--set', `checkpoint.criu=${criu.program}`] });
const place = mkdtempSync('/tmp/pwt-checkpoint-');

const ticking = 'i=0; while true; do i=$((i+1)); echo $i > /tick; sleep 0.05; done';
const config = (name: string) => scripted(ticking, { metadata: { name, attempt: 0 } });
let pod: Pod;
let ids: string[];

test.before('a pod of two', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
  ids = [await start(daemon, pod, config('a')), await start(daemon, pod, config('b'))];
});

test.after.always('files go', () => {
  rmSync(place, { recursive: true, force: true });
  criu.remove();
});

/** An empty directory. */
const empty = (): string => mkdtempSync(join(place, 'out-'));
const request = (output_path: string) => ({ pod_sandbox_id: pod.id, output_path, container_ids: ids });

/** All of the pod's containers run and get on. */
async function allGoOn(t: ExecutionContext): Promise<void> {
  for (const id of ids) {
    const before = await shell(daemon, id, 'cat /tick');
    t.true(await until(`${id} goes on`, async () => (await shell(daemon, id, 'cat /tick')) !== before));
  }
}

test.serial('a pod is captured with all of its containers frozen, into the directory and nowhere else', async (t) => {
  criu.behave('ok');
  const output = empty();
  await daemon.runtime.CheckpointPod(request(output));
  t.deepEqual(readdirSync(output).sort(), ['a', 'b', 'devshm-checkpoint.tar', 'pod.json']);
  t.deepEqual(readdirSync(join(output, 'a')).sort(), [
    'checkpoint',
    'config.dump',
    'deleted.files',
    'descriptors.json',
    'dump.log',
    'external.mounts',
    'rootfs-diff.tar',
    'spec.dump',
    'stats-dump',
    'status.dump',
  ]);
  const dumps = criu.asked;
  t.deepEqual(
    dumps.map(({ kind, leaveRunning, tcp }) => [kind, leaveRunning, tcp]),
    [
      [1, 1, 1],
      [1, 1, 1],
    ],
  );
  // at each of the two dumps both containers stood still
  // (a cgroup is named by its container, with the systemd driver as a scope)
  const stateOf = (states: Readonly<Record<string, string>>, id: string): string =>
    Object.entries(states).find(([name]) => name.includes(id))?.[1] ?? '';
  for (const { states } of dumps) for (const id of ids) t.regex(stateOf(states, id), /^(FROZEN|1)$/);
  const mounts = dumps[0]?.external.map(([at]) => at) ?? [];
  for (const at of ['/dev/shm', '/etc/hosts', '/etc/hostname', '/etc/resolv.conf']) t.true(mounts.includes(at), at);
  const files = execFileSync('tar', ['-tf', join(output, 'a', 'rootfs-diff.tar')], { encoding: 'utf8' });
  t.true(files.split('\n').includes('tick'), files);
  await allGoOn(t);
});

test.serial('a container is captured into one archive, which appears when it is whole', async (t) => {
  criu.behave('ok');
  const directory = empty();
  const location = join(directory, 'a.tar');
  writeFileSync(location, 'of before');
  await daemon.runtime.CheckpointContainer({ container_id: ids[0] ?? '', location });
  t.deepEqual(readdirSync(directory), ['a.tar']);
  const names = execFileSync('tar', ['-tf', location], { encoding: 'utf8' }).split('\n');
  for (const name of ['config.dump', 'spec.dump', 'checkpoint/inventory.img', 'rootfs-diff.tar'])
    t.true(names.includes(name));
  criu.behave('refuse');
  writeFileSync(location, 'of before');
  const again = daemon.runtime.CheckpointContainer({ container_id: ids[0] ?? '', location });
  await fails(t, again, { code: 'FAILED_PRECONDITION', message: /criu cannot dump .*: it does not want to/ });
  t.is(readFileSync(location, 'utf8'), 'of before');
  t.deepEqual(readdirSync(directory), ['a.tar']);
  t.deepEqual(readdirSync(join(daemon.root, 'checkpoints')), []);
  await allGoOn(t);
});

const reasons: readonly [CriuMode, RegExp][] = [
  ['refuse', /it does not want to/],
  ['garbage', /ended without an answer/],
  ['die', /ended without an answer/],
];
for (const [mode, message] of reasons) {
  test.serial(`a criu in mode ${mode}: its reason, nothing written, all thawed`, async (t) => {
    criu.behave(mode);
    const output = empty();
    await fails(t, daemon.runtime.CheckpointPod(request(output)), { code: 'FAILED_PRECONDITION', message });
    t.deepEqual(readdirSync(output), []);
    await allGoOn(t);
  });
}

test.serial('at a deadline criu is made to stop by itself, and nothing stays', async (t) => {
  criu.behave('slow');
  const output = empty();
  const call = daemon.runtime.CheckpointPod(request(output), { deadlineMs: 20_000 });
  await Promise.all([
    fails(t, call, { code: 'DEADLINE_EXCEEDED' }),
    until('criu is at work', () => criu.asked.length > 0),
  ]);
  // its caller has not waited for that
  t.is(await until('criu has stopped', () => criu.errno || null), '27', 'EFBIG');
  await until('nothing stays', () => readdirSync(output).length === 0);
  await allGoOn(t);
  const location = join(empty(), 'a.tar');
  const alone = daemon.runtime.CheckpointContainer({ container_id: ids[0] ?? '', location, timeout: '1' });
  await fails(t, alone, { code: 'DEADLINE_EXCEEDED' });
  t.deepEqual(readdirSync(join(daemon.root, 'checkpoints')), []);
  await allGoOn(t);
});

test.serial('a criu that does not stop is killed, and nothing stays', async (t) => {
  criu.behave('hang');
  const output = empty();
  const call = daemon.runtime.CheckpointPod(request(output), { deadlineMs: 20_000 });
  await Promise.all([
    fails(t, call, { code: 'DEADLINE_EXCEEDED' }),
    until('criu is at work', () => criu.asked.length > 0),
  ]);
  await until('nothing stays', () => readdirSync(output).length === 0, 3 * patienceMs);
  await allGoOn(t);
});

test.serial('a caller that goes away ends the checkpoint', async (t) => {
  criu.behave('slow');
  const output = empty();
  const gone = new AbortController();
  const call = daemon.runtime.CheckpointPod(request(output), { signal: gone.signal });
  await until('criu is at work', () => criu.asked.length > 0);
  gone.abort();
  await fails(t, call, { code: 'CANCELLED' });
  await until('nothing stays', () => readdirSync(output).length === 0);
  await allGoOn(t);
});

test.serial('a daemon that is killed in the middle leaves all thawed and nothing written', async (t) => {
  criu.behave('slow');
  const output = empty();
  const call = daemon.runtime.CheckpointPod(request(output)).catch(() => null);
  await until('criu is at work', () => criu.asked.length > 0);
  await daemon.kill9();
  await call;
  await until('nothing stays', () => readdirSync(output).length === 0);
  await daemon.start();
  await allGoOn(t);
});

test.serial('a container that is stopped in the middle stops, and the checkpoint fails', async (t) => {
  criu.behave('slow');
  const output = empty();
  const extra = await start(daemon, pod, config('c'));
  const call = daemon.runtime.CheckpointPod({ ...request(output), container_ids: [extra] });
  await Promise.all([
    t.throwsAsync(call as Promise<never>, { any: true }),
    until('criu is at work', () => criu.asked.length > 0).then(() =>
      daemon.runtime.StopContainer({ container_id: extra, timeout: '0' }),
    ),
  ]);
  t.is((await statusOf(daemon, extra)).state, 'CONTAINER_EXITED');
  t.deepEqual(readdirSync(output), []);
  await daemon.runtime.RemoveContainer({ container_id: extra });
});

test.serial('what is not as it must be is refused before anything stands still', async (t) => {
  criu.behave('ok');
  const { runtime } = daemon;
  const output = empty();
  const created = await create(daemon, pod, config('created'));
  const other = await runPod(daemon);
  const foreign = await start(daemon, other, config('a'));
  const of = (container_ids: string[]) => runtime.CheckpointPod({ ...request(output), container_ids });
  await fails(t, of([]), { code: 'INVALID_ARGUMENT', message: /container_ids/ });
  await fails(t, of([ids[0] ?? '', (ids[0] ?? '').slice(0, 20)]), { code: 'INVALID_ARGUMENT', message: /twice/ });
  await fails(t, of([ids[0] ?? '', foreign]), { code: 'INVALID_ARGUMENT', message: /is not of sandbox/ });
  await fails(t, of([created]), { code: 'FAILED_PRECONDITION', message: /created, not running/ });
  await fails(t, of(['f'.repeat(64)]), { code: 'NOT_FOUND' });
  const options = runtime.CheckpointPod({ ...request(output), options: { compress: 'true' } });
  await fails(t, options, { code: 'INVALID_ARGUMENT', message: /compress/ });
  const into = (path: string) => runtime.CheckpointPod(request(path));
  await fails(t, into('relative'), { code: 'INVALID_ARGUMENT' });
  await fails(t, into('/tmp/pwt-no-such-directory'), { code: 'FAILED_PRECONDITION', message: /cannot be used/ });
  writeFileSync(join(output, 'there'), '');
  await fails(t, into(output), { code: 'FAILED_PRECONDITION', message: /is not empty/ });
  t.deepEqual(readdirSync(output), ['there']);
  const container = (container_id: string, location: string) => runtime.CheckpointContainer({ container_id, location });
  await fails(t, container(created, '/tmp/x'), { code: 'FAILED_PRECONDITION', message: /not running/ });
  await fails(t, container(ids[0] ?? '', 'x'), { code: 'INVALID_ARGUMENT' });
  await fails(t, container(ids[0] ?? '', '/tmp/pwt-no-such/x'), { code: 'FAILED_PRECONDITION' });
  const tty = await start(daemon, other, { ...config('tty'), tty: true });
  await fails(t, container(tty, join(place, 'x.tar')), { code: 'FAILED_PRECONDITION', message: /terminal/ });
  t.deepEqual(criu.asked, []);
  await daemon.removePod(other.id);
  await runtime.RemoveContainer({ container_id: created });
});

/** A checkpoint of the pod's container `a`. */
async function checkpointOf(name: string): Promise<string> {
  criu.behave('ok');
  const output = join(place, name);
  mkdirSync(output);
  await daemon.runtime.CheckpointPod({ ...request(output), container_ids: ids.slice(0, 1) });
  criu.behave('ok');
  return output;
}

const restore = (checkpoint_path: string, name: string) =>
  daemon.runtime.RestorePod({
    checkpoint_path,
    config: podConfig(daemon, {
      metadata: { name, namespace: 'test', uid: name, attempt: 0 },
      hostname: pod.config.hostname ?? '',
    }),
    container_configs: [config('a')],
  });

test.serial('a restored container waits until it is started, and is a child of its monitor', async (t) => {
  const output = await checkpointOf('restorable');
  const { pod_sandbox_id, restored_containers } = await restore(output, 'again');
  const id = restored_containers[0]?.container_id ?? '';
  const [asked] = criu.asked;
  t.like(asked, { kind: 2, sibling: 1 });
  t.deepEqual(
    asked?.inherit.map(([key]) => key.replace(/\d+/, 'N')),
    ['pipe:[N]', 'pipe:[N]'],
  );
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_CREATED');
  await daemon.crash();
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_CREATED');
  t.is(textOf(await logOf(daemon, id)), '');
  await daemon.runtime.StartContainer({ container_id: id });
  await until('its output is in the new log', async () => textOf(await logOf(daemon, id)) === 'restored\n');
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  await daemon.runtime.StopContainer({ container_id: id, timeout: '0' });
  t.is((await statusOf(daemon, id)).exit_code, 137);
  await daemon.removePod(pod_sandbox_id);
});

test.serial('a restored container may be removed before it was started', async (t) => {
  const output = await checkpointOf('removable');
  const { pod_sandbox_id } = await restore(output, 'unused');
  await daemon.removePod(pod_sandbox_id);
  t.pass();
});

for (const mode of ['refuse', 'garbage', 'die'] as const) {
  test.serial(`a restore with a criu in mode ${mode} fails, and nothing of the pod stays`, async (t) => {
    const output = await checkpointOf(`for-${mode}`);
    criu.behave(mode);
    const expected = { code: 'FAILED_PRECONDITION', message: /criu cannot restore container/ } as const;
    await fails(t, restore(output, `not-${mode}`), expected);
    t.is((await daemon.runtime.ListPodSandbox({})).items.length, 1);
  });
}

test.serial('a criu that dies while it holds a container ends that container', async (t) => {
  const output = await checkpointOf('for-die-held');
  criu.behave('die-held');
  const { pod_sandbox_id, restored_containers } = await restore(output, 'held');
  const { exit_code } = await exited(daemon, restored_containers[0]?.container_id ?? '');
  t.is(exit_code, 137);
  await daemon.removePod(pod_sandbox_id);
});

test.serial('a checkpoint that is damaged, or none, is refused', async (t) => {
  const expected = (message: RegExp) => ({ code: 'FAILED_PRECONDITION', message }) as const;
  await fails(t, restore(empty(), 'none'), expected(/pod\.json is missing/));
  await fails(t, restore('/tmp/pwt-no-such-checkpoint', 'none'), expected(/cannot be read/));
  const output = await checkpointOf('damaged');
  const change = (name: string, text: string): void => writeFileSync(join(output, name), text);
  change('a/rootfs-diff.tar', 'this is no archive, whatever its name is; not even its length is right');
  await fails(t, restore(output, 'damaged'), expected(/rootfs-diff\.tar/));
  change('a/external.mounts', 'nonsense');
  await fails(t, restore(output, 'damaged'), expected(/external\.mounts/));
  change('pod.json', '{"version": 7}');
  await fails(t, restore(output, 'damaged'), expected(/newer/));
  change('pod.json', 'nonsense');
  await fails(t, restore(output, 'damaged'), expected(/no JSON/));
  t.is((await daemon.runtime.ListPodSandbox({})).items.length, 1);
});

test.serial('without criu the reason says what to install', async (t) => {
  rmSync(criu.program);
  const output = empty();
  await fails(t, daemon.runtime.CheckpointPod(request(output)), {
    code: 'FAILED_PRECONDITION',
    message: /is not installed \(Debian: apt install criu\)/,
  });
  t.deepEqual(readdirSync(output), []);
  await allGoOn(t);
});

endsWithoutResidue(test, daemon);
