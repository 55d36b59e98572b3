// A pod's whole life by crictl against the loopback registry; each step's effect is looked for inside and on the host.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { cgroupExists, cgroupFile, containerPath } from '../helpers/cgroups.ts';
import { crictl, tryCrictl } from '../helpers/crictl.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { ask, makeOutside, type Outside } from '../helpers/outside.ts';
import { containerConfig, podConfig, tools } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
let world: Outside;
let pod = '';
let container = '';
const run = (...args: string[]): Promise<string> => crictl(daemon.socket, ...args);
const inside = (...command: string[]): Promise<string> => run('exec', '-s', container, ...command);

/** crictl's own spelling of a config: enum names, in a file. */
function file(name: string, config: object): string {
  const path = join(daemon.dir, `${name}.json`);
  const names: Record<string, number> = { POD: 0, CONTAINER: 1, NODE: 2 };
  writeFileSync(
    path,
    JSON.stringify(config, (_, value: unknown) => (typeof value === 'string' ? (names[value] ?? value) : value)),
  );
  return path;
}

interface Inspected {
  readonly status: {
    readonly state: string;
    readonly exitCode: number;
    readonly reason: string;
    readonly network: { readonly ip: string };
    readonly resources: { readonly linux: { readonly cpuQuota: string } };
  };
}
const inspect = async (verb: 'inspect' | 'inspectp', id: string): Promise<Inspected['status']> =>
  (JSON.parse(await run(verb, '-o', 'json', id)) as Inspected).status;

let podFile = '';
let containerFile = '';
const limits = { memory_limit_in_bytes: 48 * 1024 * 1024, cpu_quota: 20_000, cpu_period: 100_000 };

test.before('a world outside, and configs', async () => {
  world = await makeOutside();
  podFile = file(
    'pod',
    podConfig(daemon, { metadata: { name: 'crictl', namespace: 'test', uid: 'crictl-1', attempt: 0 } }),
  );
  const script = 'echo hello; echo oops >&2; echo "port $PORT"; exec nc -lk -p 8080 -e echo served';
  const config = containerConfig({
    metadata: { name: 'main', attempt: 0 },
    command: ['sh', '-c', script],
    log_path: 'main.log',
  });
  containerFile = file('container', {
    ...config,
    envs: [{ key: 'PORT', value: '8080' }],
    linux: { ...config.linux, resources: limits },
  });
});
test.after.always('the world outside ends', () => world?.end());

test.serial('pull: the image is listed with its tag and size', async (t) => {
  await run('pull', tools);
  const { images } = JSON.parse(await run('images', '-o', 'json', tools)) as {
    images: { repoTags: string[]; size: string }[];
  };
  t.deepEqual(images[0]?.repoTags, [tools]);
  t.true(Number(images[0]?.size) > 100_000);
});

test.serial('runp: the pod is ready and has an address that the host reaches', async (t) => {
  pod = await run('runp', podFile);
  const { state, network } = await inspect('inspectp', pod);
  t.is(state, 'SANDBOX_READY');
  t.regex(network.ip, new RegExp(`^${daemon.subnet.replace('0/24', '').replaceAll('.', '\\.')}`));
  t.is(await run('pods', '-q', '--state', 'ready'), pod);
});

test.serial('create and start: the program runs, and answers on the pod address', async (t) => {
  container = await run('create', pod, containerFile, podFile);
  t.is((await inspect('inspect', container)).state, 'CONTAINER_CREATED');
  await run('start', container);
  t.is((await inspect('inspect', container)).state, 'CONTAINER_RUNNING');
  const { ip } = (await inspect('inspectp', pod)).network;
  const answer = await until('the pod answers', async () => (await ask(ip, 8080).catch(() => '')) || null);
  t.is(answer, 'served');
});

test.serial('logs: both streams, by crictl and in the CRI format on the host', async (t) => {
  // what was written is in the log when the monitor has come to it
  const log = join(daemon.dir, 'logs/crictl/main.log');
  await until(
    'the log has all',
    () => /oops/.test(readFileSync(log, 'utf8')) && /port/.test(readFileSync(log, 'utf8')),
  );
  const { stdout, stderr } = await tryCrictl(daemon.socket, ['logs', container]);
  t.is(stdout, 'hello\nport 8080\n');
  t.is(stderr, 'oops\n');
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  for (const line of lines) t.regex(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) (stdout|stderr) F /);
});

test.serial('exec -s: inside are the host name, the address, its own limits; the status comes out', async (t) => {
  t.is((await inside('hostname')).trim(), 'crictl');
  const { ip } = (await inspect('inspectp', pod)).network;
  t.regex(await inside('ip', '-4', 'addr', 'show', 'eth0'), new RegExp(`inet ${ip}/`));
  t.regex(await inside('cat', '/etc/hosts'), new RegExp(`^${ip}\\tcrictl$`, 'm'));
  t.not((await tryCrictl(daemon.socket, ['exec', '-s', container, 'sh', '-c', 'exit 3'])).code, 0);
});

test.serial('the way out: a second network namespace is reached, and sees the host', async (t) => {
  await world.serve('tcp', 7070);
  const seen = await inside('sh', '-c', `nc -w 20 ${world.ip} 7070 < /dev/null`);
  t.is(seen.trim().replace(/:\d+$/, ''), world.hostIp);
});

test.serial('the cpu quota throttles', async (t) => {
  const path = containerPath(pod, container);
  const throttled = (): number => Number(/nr_throttled (\d+)/.exec(cgroupFile(path, 'cpu.stat'))?.[1]);
  const before = throttled();
  await inside('sh', '-c', 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done');
  t.true(throttled() > before, `${throttled()} periods throttled, ${before} before`);
});

test.serial('stats: what the container uses is told', async (t) => {
  const { stats } = JSON.parse(await run('stats', '-o', 'json', '--seconds', '1', container)) as {
    stats: { cpu: { usageCoreNanoSeconds: { value: string } }; memory: { workingSetBytes: { value: string } } }[];
  };
  t.true(Number(stats[0]?.cpu.usageCoreNanoSeconds.value) > 0);
  t.true(Number(stats[0]?.memory.workingSetBytes.value) > 0);
  const pods = JSON.parse(await run('statsp', '-o', 'json', '--seconds', '1', pod)) as {
    stats: { linux: { network: { defaultInterface: { name: string; rxBytes: { value: string } } } } }[];
  };
  t.is(pods.stats[0]?.linux.network.defaultInterface.name, 'eth0');
  t.true(Number(pods.stats[0]?.linux.network.defaultInterface.rxBytes.value) > 0);
});

test.serial('update: the kernel has the new limit, and the status tells it', async (t) => {
  await run('update', '--cpu-quota', '40000', container);
  const path = containerPath(pod, container);
  t.regex(cgroupFile(path, 'cpu.cfs_quota_us', 'cpu.max'), /^40000/);
  t.is((await inspect('inspect', container)).resources.linux.cpuQuota, '40000');
});

test.serial('the memory limit kills, and the status says OOMKilled', async (t) => {
  const config = containerConfig({
    metadata: { name: 'hungry', attempt: 0 },
    command: ['sh', '-c', 'x=a; while :; do x=$x$x; done'],
    log_path: 'hungry.log',
  });
  const hungry = await run(
    'create',
    pod,
    file('hungry', { ...config, linux: { ...config.linux, resources: limits } }),
    podFile,
  );
  await run('start', hungry);
  const status = await until('the hungry container ends', async () => {
    const now = await inspect('inspect', hungry);
    return now.state === 'CONTAINER_EXITED' && now;
  });
  t.is(status.reason, 'OOMKilled');
  t.is(status.exitCode, 137);
  await run('rm', hungry);
});

test.serial('stop, rm: the process and its cgroup are gone, the log stays', async (t) => {
  await run('stop', '-t', '1', container);
  t.is((await inspect('inspect', container)).state, 'CONTAINER_EXITED');
  await run('rm', '--keep-logs', container);
  t.is(await run('ps', '-a', '-q'), '');
  t.false(cgroupExists(containerPath(pod, container)));
  t.regex(readFileSync(join(daemon.dir, 'logs/crictl/main.log'), 'utf8'), /hello/);
});

test.serial('stopp, rmp, rmi: the pod and the image are gone', async (t) => {
  await run('stopp', pod);
  t.is((await inspect('inspectp', pod)).state, 'SANDBOX_NOTREADY');
  await run('rmp', pod);
  t.is(await run('pods', '-q'), '');
  await run('rmi', tools);
  t.is(await run('images', '-q'), '');
});

endsWithoutResidue(test, daemon);
