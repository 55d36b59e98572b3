// OOM kills as the kernel makes them: whether the container or another process of it was killed, by whose limit, and
// whether that is told with the exit, however short the life was.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { LinuxContainerResources } from '../../src/proto/generated/cri/runtime/v1/LinuxContainerResources.ts';
import { cgroupDirs, cgroupFile, cgroupOf, legacy } from '../helpers/cgroups.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { exited, pull, runPod, scripted, start, statusOf, type Pod } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
const limit = 24 * 1024 * 1024;
/** How many short lives there are in a row. */
const lives = Number(process.env['PODWRIGHT_TEST_OOM_LIVES'] ?? 25);
let pod: Pod;

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
});

const within = (bytes: number): LinuxContainerResources => ({
  memory_limit_in_bytes: String(bytes),
  memory_swap_limit_in_bytes: String(bytes),
});

const run = (script: string, resources = within(limit), where = pod): Promise<string> =>
  start(daemon, where, scripted(script, { linux: { resources } }));

interface Info {
  readonly pid: number;
  readonly oom: { readonly kills: number; readonly limit: string; readonly limitBytes: number } | null;
}

async function infoOf(id: string): Promise<Info> {
  const { info } = await daemon.runtime.ContainerStatus({ container_id: id, verbose: true });
  return JSON.parse(info['info'] ?? '{}') as Info;
}

/** Once it is told that a process of the container was killed. */
const killed = (id: string): Promise<Info> =>
  until('a kill is told', async () => {
    const info = await infoOf(id);
    return info.oom && info;
  });

/** podwright_container_oom_kills_total. */
async function count(process: string, of: string): Promise<number> {
  const text = await (await fetch(daemon.metricsUrl)).text();
  const line = `podwright_container_oom_kills_total{process="${process}",limit="${of}"} `;
  return Number(
    text
      .split('\n')
      .find((one) => one.startsWith(line))
      ?.slice(line.length) ?? 0,
  );
}

const remove = (id: string) => daemon.runtime.RemoveContainer({ container_id: id });

async function isOomKilled(t: ExecutionContext, id: string, message: string): Promise<void> {
  t.like(await exited(daemon, id), { exit_code: 137, reason: 'OOMKilled', message });
}

test.serial('beyond its own limit a container is OOMKilled, and that limit is named', async (t) => {
  const before = await count('main', 'own');
  const id = await run('exec tail /dev/zero');
  await isOomKilled(t, id, `OOM killed: its own limit of ${limit} bytes`);
  t.deepEqual((await infoOf(id)).oom, { kills: 1, limit: 'own', limitBytes: limit });
  t.is(await count('main', 'own'), before + 1);
  await remove(id);
});

test.serial('a child that is killed is told of, and its container is not OOMKilled for it', async (t) => {
  const before = await count('child', 'own');
  const id = await run('tail /dev/zero; while ! [ -e /tmp/go ]; do sleep 0.1; done; exit 3');
  t.deepEqual((await killed(id)).oom, { kills: 1, limit: 'own', limitBytes: limit });
  t.like(await statusOf(daemon, id), { state: 'CONTAINER_RUNNING', reason: '', message: '' });
  t.is(await count('child', 'own'), before + 1);
  const { pid } = await infoOf(id);
  writeFileSync(`/proc/${pid}/root/tmp/go`, '');
  t.like(await exited(daemon, id), {
    exit_code: 3,
    reason: 'Error',
    message: `1 of its processes had been OOM killed: its own limit of ${limit} bytes`,
  });
  await remove(id);
});

test.serial('a container that ends well has outlived its child', async (t) => {
  const id = await run('tail /dev/zero; exit 0');
  t.like(await exited(daemon, id), { exit_code: 0, reason: 'Completed', message: '' });
  t.like((await infoOf(id)).oom, { kills: 1 });
  await remove(id);
});

test.serial('who is killed by hand after its child was for memory is not OOMKilled', async (t) => {
  const id = await run('tail /dev/zero; while :; do sleep 0.2; done');
  const { pid } = await killed(id);
  process.kill(pid, 'SIGKILL');
  t.like(await exited(daemon, id), { exit_code: 137, reason: 'Error' });
  await remove(id);
});

test.serial('a shell that ends as what it ran was killed is OOMKilled', async (t) => {
  const id = await run('tail /dev/zero; exit $?');
  await isOomKilled(t, id, `OOM killed: its own limit of ${limit} bytes`);
  await remove(id);
});

test.serial('the limit of the pod is told from that of the container', async (t) => {
  const other = await runPod(daemon, { metadata: { name: 'limited' } });
  const bystander = await run('sleep 3600', {}, other);
  const { pid } = await infoOf(bystander);
  const above = join(cgroupOf(pid, 'memory'), '..');
  const file = cgroupDirs(above)
    .flatMap((dir) => ['memory.max', 'memory.limit_in_bytes'].map((name) => join(dir, name)))
    .find((path) => existsSync(path));
  writeFileSync(file ?? '', String(2 * limit));
  const [before, own] = [await count('main', 'pod'), await count('main', 'own')];
  const id = await run('exec tail /dev/zero', {}, other);
  await isOomKilled(t, id, `OOM killed: the limit of its pod of ${2 * limit} bytes`);
  const mine = await run('exec tail /dev/zero', within(limit / 2), other);
  await isOomKilled(t, mine, `OOM killed: its own limit of ${limit / 2} bytes`);
  t.is(await count('main', 'pod'), before + 1);
  t.is(await count('main', 'own'), own + 1);
  t.is((await statusOf(daemon, bystander)).state, 'CONTAINER_RUNNING');
  t.is((await infoOf(bystander)).oom, null);
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: other.id });
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: other.id });
});

test.serial('however short its life was, whoever is killed for memory is OOMKilled', async (t) => {
  const ends: string[] = [];
  for (let n = 0; n < lives; n += 1) {
    const id = await run('exec tail /dev/zero', within(6 * 1024 * 1024));
    const { exit_code, reason } = await exited(daemon, id);
    ends.push(`${exit_code} ${reason}`);
    await remove(id);
  }
  t.deepEqual(
    ends,
    ends.map(() => '137 OOMKilled'),
  );
});

const together = legacy ? test.skip : test.serial;
together(
  `with memory.oom.group all processes of a container die${legacy ? ' [this host has no unified memory controller]' : ''}`,
  async (t) => {
    const resources = { ...within(limit), unified: { 'memory.oom.group': '1' } };
    const id = await run('tail /dev/zero; while :; do sleep 0.2; done', resources);
    const { pid } = await infoOf(id);
    if (pid > 0) t.is(cgroupFile(cgroupOf(pid, 'memory'), 'memory.oom.group'), '1');
    await isOomKilled(t, id, `OOM killed: its own limit of ${limit} bytes`);
    t.true(((await infoOf(id)).oom?.kills ?? 0) >= 2);
    await remove(id);
  },
);

endsWithoutResidue(test, daemon);
