// Usage of containers and pods: read while the call runs, moving with what they do.
import { statfsSync } from 'node:fs';
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { ask } from '../helpers/outside.ts';
import { containerConfig, exec, exited, podIp, pull, runPod, scripted, sh, start, type Pod } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
let pod: Pod;
let id: string;

test.before('a pod with a container that has a memory limit', async () => {
  await pull(daemon);
  pod = await runPod(daemon, { labels: { tier: 'a' } });
  const linux = { resources: { memory_limit_in_bytes: String(256 * 1024 * 1024) } };
  id = await start(
    daemon,
    pod,
    scripted('exec tcpsvd 0.0.0.0 80 head -c 300000 /dev/zero', { labels: { app: 'x' }, linux }),
  );
});

async function stats() {
  const { stats: found } = await daemon.runtime.ContainerStats({ container_id: id });
  if (found === null) throw new Error('no stats');
  return found;
}

const number = (value: { value: string } | null | undefined): number => Number(value?.value ?? Number.NaN);

test.serial('an answer is of the time of its call, and says whose it is', async (t) => {
  const before = BigInt(Date.now() - 1) * 1_000_000n;
  const one = await stats();
  t.is(one.attributes?.id, id);
  t.deepEqual(one.attributes?.labels, { app: 'x' });
  t.true(BigInt(one.cpu?.timestamp ?? 0) >= before);
  t.true(BigInt(one.memory?.timestamp ?? 0) >= before);
  const two = await stats();
  t.true(BigInt(two.cpu?.timestamp ?? 0) > BigInt(one.cpu?.timestamp ?? 0));
});

test.serial('processor time that was burnt is in the next answer', async (t) => {
  const before = number((await stats()).cpu?.usage_core_nano_seconds);
  await exec(daemon, id, ...sh('n=0; while [ $n -lt 300000 ]; do n=$((n+1)); done'));
  const grown = number((await stats()).cpu?.usage_core_nano_seconds) - before;
  t.true(grown > 50_000_000, `${grown} ns`);
});

test.serial('memory that was taken is in the next answer, and available goes down with it', async (t) => {
  const before = await stats();
  await exec(daemon, id, ...sh('dd if=/dev/zero of=/dev/shm/some bs=1M count=40 2>/dev/null'));
  const after = await stats();
  const taken = 38 * 1024 * 1024;
  t.true(number(after.memory?.usage_bytes) - number(before.memory?.usage_bytes) > taken);
  t.true(number(after.memory?.working_set_bytes) - number(before.memory?.working_set_bytes) > taken);
  t.true(number(before.memory?.available_bytes) - number(after.memory?.available_bytes) > taken);
  t.true(number(after.memory?.working_set_bytes) <= number(after.memory?.usage_bytes));
  t.true(number(after.memory?.page_faults) > number(before.memory?.page_faults));
  t.true(number(after.memory?.rss_bytes) > 0);
  await exec(daemon, id, 'rm', '/dev/shm/some');
});

test.serial('what is written to the root file system is in the writable layer', async (t) => {
  const used = async (): Promise<number> => number((await stats()).writable_layer?.used_bytes);
  const before = await used();
  await exec(daemon, id, ...sh('dd if=/dev/urandom of=/written bs=1M count=5 2>/dev/null'));
  await until('the measure follows', async () => (await used()) - before >= 5_000_000);
  const layer = (await stats()).writable_layer;
  t.true(number(layer?.inodes_used) > 0);
  t.notThrows(() => statfsSync(layer?.fs_id?.mountpoint ?? '/nowhere'));
});

test.serial('a pod has its network and its containers', async (t) => {
  const ip = await podIp(daemon, pod);
  await until('it serves', () => ask(ip, 80).catch(() => null));
  const traffic = async (): Promise<[number, number]> => {
    const { stats: found } = await daemon.runtime.PodSandboxStats({ pod_sandbox_id: pod.id });
    const main = found?.linux?.network?.default_interface;
    t.is(main?.name, 'eth0');
    return [number(main?.rx_bytes), number(main?.tx_bytes)];
  };
  const [rx, tx] = await traffic();
  t.is((await ask(ip, 80)).length, 300_000);
  const [rxAfter, txAfter] = await traffic();
  t.true(rxAfter > rx);
  t.true(txAfter - tx >= 300_000);
  const { stats: whole } = await daemon.runtime.PodSandboxStats({ pod_sandbox_id: pod.id });
  t.deepEqual(whole?.attributes?.labels, { tier: 'a' });
  t.deepEqual(
    whole?.linux?.containers.map(({ attributes }) => attributes?.id),
    [id],
  );
  t.true(number(whole?.linux?.cpu?.usage_core_nano_seconds) > 0);
  t.true(number(whole?.linux?.memory?.working_set_bytes) > 0);
  t.true(number(whole?.linux?.process?.process_count) >= 1);
});

test.serial('lists are of what runs, and filters narrow them', async (t) => {
  const done = await start(daemon, pod, scripted('exit 0'));
  await exited(daemon, done);
  const other = await runPod(daemon, { labels: { tier: 'b' } });
  const second = await start(daemon, other, containerConfig({ labels: { app: 'y' } }));
  const ids = async (filter: object): Promise<string[]> =>
    (await daemon.runtime.ListContainerStats({ filter })).stats
      .map(({ attributes }) => attributes?.id ?? '')
      .toSorted();
  const all = await ids({});
  t.true(all.includes(id) && all.includes(second));
  t.deepEqual(await ids({ label_selector: { app: 'y' } }), [second]);
  t.deepEqual(await ids({ pod_sandbox_id: other.id }), [second]);
  t.deepEqual(await ids({ id: id.slice(0, 13) }), [id]);
  const pods = await daemon.runtime.ListPodSandboxStats({ filter: { label_selector: { tier: 'b' } } });
  t.deepEqual(
    pods.stats.map(({ attributes }) => attributes?.id),
    [other.id],
  );
  await daemon.runtime.RemoveContainer({ container_id: done });
  await daemon.removePod(other.id);
});

test.serial('a hundred readings at once are no trouble', async (t) => {
  const answers = await Promise.all(Array.from({ length: 100 }, stats));
  t.true(answers.every(({ cpu }) => number(cpu?.usage_core_nano_seconds) > 0));
});

endsWithoutResidue(test, daemon);
