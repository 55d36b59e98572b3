// What test/arm64/machine.sh runs in the emulated machine: the release at /opt/podwright, and pods for real. Each check is a
// line, "ok" or "FAILED"; they follow from each other, so the first failure is the last. Ends with the counts.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { programLayout } from '../../src/node/self-test-image.ts';
import { type CriClient, criClient } from '../helpers/cri-client.ts';
import { until } from '../helpers/until.ts';

const dir = '/work';
const socket = `${dir}/state/podwright.sock`;
const logFile = `${dir}/log`;
const bin = '/opt/podwright/bin';
const box = '/bin/busybox';
const image = 'localhost/box:1';
/** An emulated processor on a busy machine takes minutes for a start of Node. */
const slow = { deadlineMs: 600_000 };

const run = (command: string, ...args: readonly string[]): string =>
  execFileSync(command, args, { encoding: 'utf8' }).trim();
const podwright = (...args: readonly string[]): string => run(`${bin}/podwright`, '--socket', socket, ...args);

function equal(found: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${a}, and not ${b}`);
}

let passed = 0;
async function check(name: string, body: () => Promise<void> | void): Promise<void> {
  const begun = Date.now();
  try {
    await body();
  } catch (error) {
    console.log(`FAILED ${name}: ${(error as Error).message}`);
    throw error;
  }
  passed += 1;
  console.log(`ok ${name} (${Date.now() - begun} ms)`);
}

let daemon: ChildProcess;
let client: CriClient;

async function startDaemon(): Promise<void> {
  const log = openSync(logFile, 'a');
  const flags = [`--root=${dir}/root`, `--state=${dir}/state`, `--cni-conf-dir=${dir}/net.d`];
  flags.push('--network-default=bridge', '--metrics-address=127.0.0.1:0', '--log-format=json');
  daemon = spawn(`${bin}/podwrightd`, flags, { stdio: ['ignore', log, log] });
  client = criClient(socket);
  const ready = async (): Promise<boolean> => {
    if (daemon.exitCode !== null) throw new Error('podwrightd ended while starting');
    const { status } = await client.runtime.Status({}, { deadlineMs: 60_000 }).catch(() => ({ status: null }));
    return status?.conditions.some(({ type, status: holds }) => type === 'RuntimeReady' && holds) ?? false;
  };
  await until('the daemon is ready', ready, slow.deadlineMs);
}

const namespaces = { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } as const;
const security_context = { namespace_options: namespaces, seccomp: { profile_type: 'RuntimeDefault' } } as const;
const pod = {
  metadata: { name: 'p', namespace: 'test', uid: 'u', attempt: 0 },
  hostname: 'p',
  log_directory: `${dir}/logs`,
  linux: { security_context },
};
const container = {
  metadata: { name: 'c', attempt: 0 },
  image: { image },
  command: ['/busybox', 'sh', '-c', 'echo here is $(/busybox uname -m); exec /busybox sleep 3600'],
  log_path: 'c.log',
  linux: { resources: { memory_limit_in_bytes: 64 * 2 ** 20 }, security_context },
};
let pod_sandbox_id = '';
let container_id = '';

/** Exit status and output of a command of busybox in the container. */
async function inside(...words: readonly string[]): Promise<[number, string]> {
  const request = { container_id, cmd: ['/busybox', ...words] };
  const { stdout, exit_code: code } = await client.runtime.ExecSync(request, slow);
  return [code, stdout.toString().trim()];
}

async function checks(): Promise<void> {
  await check('the machine and Node are of arm64', () =>
    equal([run(box, 'uname', '-m'), process.arch], ['aarch64', 'arm64']),
  );
  await check('the daemon serves', startDaemon);
  await check('an image is unpacked', async () => {
    for (const { path, bytes } of programLayout('busybox', readFileSync(box), 'arm64')) {
      mkdirSync(dirname(join(dir, 'layout', path)), { recursive: true });
      writeFileSync(join(dir, 'layout', path), bytes);
    }
    podwright('load', `${dir}/layout`, '--name', image);
    equal(
      (await client.image.ListImages({}, slow)).images.map(({ repo_tags }) => repo_tags),
      [[image]],
    );
  });
  await check('a pod and a container start', async () => {
    ({ pod_sandbox_id } = await client.runtime.RunPodSandbox({ config: pod }, slow));
    const request = { pod_sandbox_id, config: container, sandbox_config: pod };
    ({ container_id } = await client.runtime.CreateContainer(request, slow));
    await client.runtime.StartContainer({ container_id }, slow);
    equal(await inside('uname', '-m'), [0, 'aarch64']);
  });
  await check('RuntimeDefault filters its system calls', async () => {
    equal(await inside('grep', 'Seccomp:', '/proc/1/status'), [0, 'Seccomp:\t2']);
    equal(await inside('unshare', '-U', '/busybox', 'true'), [1, '']);
  });
  await check('its memory is limited', async () =>
    equal(await inside('cat', '/sys/fs/cgroup/memory.max'), [0, '67108864']),
  );
  await check('its address is reached, and has rules', async () => {
    const { status } = await client.runtime.PodSandboxStatus({ pod_sandbox_id }, slow);
    run(box, 'ping', '-c', '1', '-w', '60', status?.network?.ip ?? '');
    equal(/MASQUERADE/.test(run('iptables-save', '-t', 'nat')), true);
  });
  await check('it is measured', async () => {
    const { stats } = await client.runtime.ContainerStats({ container_id }, slow);
    equal(
      [stats?.memory?.working_set_bytes, stats?.cpu?.usage_core_nano_seconds].map((n) => Number(n?.value) > 0),
      [true, true],
    );
  });
  await check('one that takes more memory than it may is killed, and that is told', async () => {
    const command = ['/busybox', 'dd', 'if=/dev/zero', 'of=/dev/null', 'bs=200M', 'count=1'];
    const config = { ...container, metadata: { name: 'big', attempt: 0 }, command, log_path: 'big.log' };
    const request = { pod_sandbox_id, config, sandbox_config: pod };
    const { container_id: big } = await client.runtime.CreateContainer(request, slow);
    await client.runtime.StartContainer({ container_id: big }, slow);
    const ended = async (): Promise<unknown> => {
      const { status } = await client.runtime.ContainerStatus({ container_id: big }, slow);
      return status?.state === 'CONTAINER_EXITED' ? [status.reason, status.exit_code] : null;
    };
    equal(await until('it ends', ended, slow.deadlineMs), ['OOMKilled', 137]);
    await client.runtime.RemoveContainer({ container_id: big }, slow);
  });
  await check('it lives on when the daemon is killed', async () => {
    const ended = new Promise((resolve) => daemon.once('exit', resolve));
    daemon.kill('SIGKILL');
    await ended;
    client.close();
    await startDaemon();
    const { containers } = await client.runtime.ListContainers({}, slow);
    equal(
      containers.map(({ state }) => state),
      ['CONTAINER_RUNNING'],
    );
    equal(await inside('uname', '-m'), [0, 'aarch64']);
  });
  await check('it ends, and has written its log', async () => {
    await client.runtime.StopContainer({ container_id, timeout: 1 }, slow);
    equal(readFileSync(`${dir}/logs/c.log`, 'utf8').endsWith(' stdout F here is aarch64\n'), true);
    await client.runtime.StopPodSandbox({ pod_sandbox_id }, slow);
    await client.runtime.RemovePodSandbox({ pod_sandbox_id }, slow);
  });
  await check('nothing is left', async () => {
    const ended = new Promise((resolve) => daemon.once('exit', resolve));
    podwright('shutdown');
    await ended;
    equal(
      ['sandboxes', 'containers'].flatMap((noun) => readdirSync(`${dir}/root/${noun}`)),
      [],
    );
    equal(
      readdirSync('/sys/class/net').filter((name) => name.startsWith('p')),
      [],
    );
    equal(/netns|overlay/.test(readFileSync('/proc/self/mounts', 'utf8')), false);
  });
}

for (const name of ['logs', 'net.d']) mkdirSync(join(dir, name), { recursive: true });
const failed = await checks().then(
  () => 0,
  () => 1,
);
if (failed > 0) console.log(readFileSync(logFile, 'utf8').split('\n').slice(-12).join('\n'));
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed);
