// Checkpoints with the real criu, where the kernel can: hack/test.sh vm-checkpoint runs it in a machine of hack/testbed.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ContainerConfig } from '../../src/proto/generated/cri/runtime/v1/ContainerConfig.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  create,
  exec,
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
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
const place = mkdtempSync('/tmp/podwright-vm-checkpoint-');
const data = join(place, 'data');

const confined = { linux: { security_context: { seccomp: { profile_type: 'RuntimeDefault' as const } } } };

/** Takes one connection and says what comes over it; a second one would find nobody. */
const listener = scripted('nc -l -p 7000 | while read n; do echo "got $n"; echo "$n" > /got; done', {
  metadata: { name: 'listener', attempt: 0 },
  ...confined,
});
/** Counts: into its log, a file of its own, one of the host and one of the pod's memory, and over one connection. */
const counter = scripted(
  'sleep 1; i=0; while true; do i=$((i+1)); echo "$i"; echo "count $i" >&2; echo $i > /count; echo $i > /data/count; ' +
    'echo $i > /dev/shm/count; sleep 0.3; done | nc 127.0.0.1 7000',
  {
    metadata: { name: 'counter', attempt: 0 },
    mounts: [{ container_path: '/data', host_path: data }],
    ...confined,
  },
);

const numbers = (text: string, word: string): number[] =>
  [...text.matchAll(new RegExp(`^${word} (\\d+)$`, 'gm'))].map(([, digits]) => Number(digits));
const got = async (id: string): Promise<number[]> => numbers(textOf(await logOf(daemon, id)), 'got');
const counted = async (id: string): Promise<number[]> => numbers(textOf(await logOf(daemon, id), 'stderr'), 'count');
const consecutive = (list: readonly number[]): boolean =>
  list.every((n, at) => at === 0 || n === (list[at - 1] ?? 0) + 1);

/** The lists grow past what they are now. */
async function goesOn(what: string, read: () => Promise<number[]>): Promise<number[]> {
  const now = (await read()).length;
  return until(`${what} goes on`, async () => {
    const list = await read();
    return list.length > now + 2 && list;
  });
}

let pod: Pod;
let ids: { readonly listener: string; readonly counter: string };

const frozen = (id: string): string => {
  const found = execFileSync('find', ['/sys/fs/cgroup', '-type', 'd', '-name', id], { encoding: 'utf8' }).trim();
  return readFileSync(join(found, 'cgroup.freeze'), 'utf8').trim();
};

test.before('a pod of two containers that talk to each other', async (t) => {
  t.timeout(600_000);
  mkdirSync(data);
  await pull(daemon);
  pod = await runPod(daemon);
  ids = { listener: await start(daemon, pod, listener), counter: await start(daemon, pod, counter) };
  await goesOn('the connection', () => got(ids.listener));
});

test.after.always('its files go', () => rmSync(place, { recursive: true, force: true }));

test.serial(
  "a container's checkpoint is an archive of the layout that checkpointctl reads, and it goes on",
  async (t) => {
    t.timeout(600_000);
    const location = join(place, 'counter.tar');
    const start = Date.now();
    await daemon.runtime.CheckpointContainer({ container_id: ids.counter, location, timeout: '300' });
    t.log(`CheckpointContainer: ${Date.now() - start} ms`);
    const names = execFileSync('tar', ['-tf', location], { encoding: 'utf8' }).split('\n');
    for (const name of [
      'config.dump',
      'spec.dump',
      'status.dump',
      'rootfs-diff.tar',
      'deleted.files',
      'dump.log',
      'stats-dump',
      'descriptors.json',
      'checkpoint/inventory.img',
      'checkpoint/pstree.img',
    ])
      t.true(names.includes(name), `${name} in ${names.join(' ')}`);
    const about = JSON.parse(execFileSync('tar', ['-xOf', location, 'config.dump'], { encoding: 'utf8' })) as object;
    t.like(about, { id: ids.counter, name: 'counter' });
    const diff = execFileSync('sh', ['-c', `tar -xOf ${location} rootfs-diff.tar | tar -tf -`], { encoding: 'utf8' });
    t.true(diff.split('\n').includes('count'), diff);
    t.deepEqual(readdirSync(place).sort(), ['counter.tar', 'data']);
    t.deepEqual(readdirSync(join(daemon.root, 'checkpoints')), []);
    t.true(consecutive(await goesOn('the counter', () => counted(ids.counter))));
    t.true(consecutive(await goesOn('the connection', () => got(ids.listener))));
  },
);

test.serial('a deadline in the middle of a checkpoint leaves all thawed and the directory empty', async (t) => {
  t.timeout(600_000);
  const output = join(place, 'late');
  mkdirSync(output);
  const request = {
    pod_sandbox_id: pod.id,
    output_path: output,
    container_ids: [ids.listener, ids.counter],
  };
  // criu alone takes longer than this here
  await fails(t, daemon.runtime.CheckpointPod(request, { deadlineMs: 2500 }), { code: 'DEADLINE_EXCEEDED' });
  await until('the checkpoint is given up', () => readdirSync(output).length === 0);
  await until('all are thawed', () => frozen(ids.listener) === '0' && frozen(ids.counter) === '0');
  t.true(consecutive(await goesOn('the counter', () => counted(ids.counter))));
  t.true(consecutive(await goesOn('the connection', () => got(ids.listener))));
  rmSync(output, { recursive: true });
});

test.serial('a pod is checkpointed, and brought back where it was', async (t) => {
  t.timeout(900_000);
  const output = join(place, 'pod');
  mkdirSync(output);
  let start = Date.now();
  await daemon.runtime.CheckpointPod({
    pod_sandbox_id: pod.id,
    output_path: output,
    container_ids: [ids.counter, ids.listener],
  });
  t.log(`CheckpointPod: ${Date.now() - start} ms`);
  t.deepEqual(readdirSync(output).sort(), ['counter', 'devshm-checkpoint.tar', 'listener', 'pod.json']);
  t.true(consecutive(await goesOn('the connection', () => got(ids.listener))));
  await daemon.removePod(pod.id);

  const before = execFileSync('sh', [
    '-c',
    `cd ${output} && find . -type f -exec sha256sum {} + | sort -k2`,
  ]).toString();
  const config = podConfig(daemon, {
    metadata: { name: 'restored', namespace: 'test', uid: 'again', attempt: 0 },
    hostname: pod.config.hostname ?? '',
  });
  start = Date.now();
  const restored = await daemon.runtime.RestorePod({
    checkpoint_path: output,
    config,
    container_configs: [listener, counter],
  });
  t.log(`RestorePod: ${Date.now() - start} ms`);
  pod = { id: restored.pod_sandbox_id, config };
  const found = Object.fromEntries(restored.restored_containers.map((c) => [c.name, c.container_id]));
  ids = { listener: found['listener'] ?? '', counter: found['counter'] ?? '' };
  for (const id of Object.values(ids)) {
    t.is((await statusOf(daemon, id)).state, 'CONTAINER_CREATED');
    t.false(
      existsSync((await statusOf(daemon, id)).log_path) && (await logOf(daemon, id)).length > 0,
      'nothing ran yet',
    );
  }
  // the checkpoint is not needed any more, and was not touched
  const after = execFileSync('sh', ['-c', `cd ${output} && find . -type f -exec sha256sum {} + | sort -k2`]).toString();
  t.is(after, before);
  rmSync(output, { recursive: true });

  start = Date.now();
  await daemon.runtime.StartContainer({ container_id: ids.counter });
  t.log(`StartContainer: ${Date.now() - start} ms`);
  await goesOn('the counter alone', () => counted(ids.counter));
  await daemon.runtime.StartContainer({ container_id: ids.listener });
  const counts = await goesOn('the counter', () => counted(ids.counter));
  const received = await goesOn('the connection', () => got(ids.listener));
  t.true(consecutive(counts) && (counts[0] ?? 0) > 3, `counts go on: ${counts.slice(0, 5).join(' ')}`);
  t.true(consecutive(received) && (received[0] ?? 0) > 3, `what was sent arrives: ${received.slice(0, 5).join(' ')}`);
  for (const file of ['/count', '/data/count', '/dev/shm/count'])
    t.true(Number(await shell(daemon, ids.counter, `cat ${file}`)) >= (counts[0] ?? 0), file);
  t.true(Number(await shell(daemon, ids.listener, 'cat /got')) >= (received[0] ?? 0));
  t.is(await shell(daemon, ids.counter, 'grep -c ^Seccomp:.2 /proc/1/status'), '1');
});

test.serial('a restored pod is stopped like any other', async (t) => {
  t.timeout(300_000);
  await daemon.runtime.StopContainer({ container_id: ids.counter, timeout: '0' });
  const { state, exit_code } = await statusOf(daemon, ids.counter);
  t.deepEqual([state, exit_code], ['CONTAINER_EXITED', 137]);
  await daemon.removePod(pod.id);
});

test.serial('a config that differs from the checkpoint is refused, and nothing of the pod stays', async (t) => {
  t.timeout(900_000);
  const original = await runPod(daemon);
  const plain = scripted('while true; do sleep 0.2; done', { metadata: { name: 'plain', attempt: 0 } });
  const id = await start(daemon, original, plain);
  const output = join(place, 'plain');
  mkdirSync(output);
  await daemon.runtime.CheckpointPod({ pod_sandbox_id: original.id, output_path: output, container_ids: [id] });
  await daemon.removePod(original.id);
  const restore = (wish: ContainerConfig) =>
    daemon.runtime.RestorePod({
      checkpoint_path: output,
      config: podConfig(daemon, { hostname: original.config.hostname ?? '' }),
      container_configs: [{ ...plain, ...wish }],
    });
  const differs = (what: RegExp) => ({ code: 'FAILED_PRECONDITION', message: what }) as const;
  await fails(t, restore({ envs: [{ key: 'A', value: Buffer.from('secret') }] }), differs(/environment/));
  await fails(t, restore({ args: ['more'] }), differs(/command or args/));
  await fails(t, restore({ working_dir: '/tmp' }), differs(/working directory/));
  await fails(t, restore({ metadata: { name: 'other', attempt: 0 } }), differs(/has no container other/));
  t.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);
  rmSync(join(output, 'plain', 'checkpoint', 'pstree.img'));
  await fails(t, restore({}), differs(/criu cannot restore/));
  t.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);
});

test.serial('a command beside makes a checkpoint fail by its name, with all thawed and nothing written', async (t) => {
  t.timeout(600_000);
  const other = await runPod(daemon);
  const id = await start(daemon, other, scripted('while true; do sleep 0.1; done', confined));
  const running = exec(daemon, id, 'sh', '-c', 'touch /begun; while ! [ -e /go ]; do sleep 0.1; done');
  await until('the command runs', async () => (await exec(daemon, id, 'test', '-e', '/begun')).code === 0);
  const output = join(place, 'beside');
  mkdirSync(output);
  const capture = () =>
    daemon.runtime.CheckpointPod({ pod_sandbox_id: other.id, output_path: output, container_ids: [id] });
  const message = /has a running command, which cannot be captured: sh$/;
  await fails(t, capture(), { code: 'FAILED_PRECONDITION', message });
  t.deepEqual(readdirSync(output), []);
  t.is(frozen(id), '0');
  await exec(daemon, id, 'touch', '/go');
  t.is((await running).code, 0);
  await capture();
  t.true(existsSync(join(output, 'pod.json')));
  await daemon.removePod(other.id);
});

test.serial('what runs not, or not all of it, is not captured', async (t) => {
  t.timeout(300_000);
  const other = await runPod(daemon);
  const id = await create(daemon, other, scripted('true'));
  const output = join(place, 'none');
  mkdirSync(output);
  const checkpoint = { pod_sandbox_id: other.id, output_path: output, container_ids: [id] };
  await fails(t, daemon.runtime.CheckpointPod(checkpoint), { code: 'FAILED_PRECONDITION', message: /not running/ });
  t.deepEqual(readdirSync(output), []);
});

endsWithoutResidue(test, daemon);
