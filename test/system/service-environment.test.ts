// What the daemon takes from the environment that a service manager gives it: whom to tell how it is, and proxies.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request as sendRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { TestDaemon } from '../helpers/daemon.ts';
import { pull, runPod } from '../helpers/pods.ts';
import { registryHost } from '../helpers/registry.ts';
import { until } from '../helpers/until.ts';

const hasPython = spawnSync('python3', ['--version']).error === undefined;
const when = hasPython ? test.serial : test.serial.skip;
const why = hasPython ? '' : ' [no python3 here: hack/testkit/install.sh deps]';

/** Node has no datagram sockets of this kind: what comes is appended to a file, messages apart by an empty line. */
const listener = `import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
f = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
while True:
    os.write(f, s.recv(65536) + b"\\n\\n")
`;

/** A registry that is nowhere: only a proxy knows where it is. */
const hidden = 'registry.podwright.invalid';
const asked: string[] = [];
let proxy: Server;
let manager: ChildProcess;
let daemon: TestDaemon;
let heard: string;

/** Passes on what is asked of the hidden registry; refuses everything else. */
const passOn: Parameters<typeof createServer>[1] = (incoming, answer) => {
  const url = incoming.url ?? '';
  asked.push(url);
  const [host = '', port] = registryHost.split(':');
  if (!url.startsWith(`http://${hidden}/`)) return void answer.writeHead(502).end();
  const path = url.slice(`http://${hidden}`.length);
  const onward = sendRequest({
    host,
    port,
    path,
    method: incoming.method,
    headers: { ...incoming.headers, host: registryHost },
  });
  onward.on('response', (response) => {
    answer.writeHead(response.statusCode ?? 502, response.headers);
    response.pipe(answer);
  });
  onward.on('error', () => answer.destroy());
  incoming.pipe(onward);
};

test.before('a manager, a proxy, and a daemon that is told of both', async () => {
  proxy = createServer(passOn);
  await new Promise<void>((done) => void proxy.listen(0, '127.0.0.1', done));
  const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const at = join('/tmp', `pwt-manager-${process.pid}`);
  mkdirSync(at, { recursive: true });
  heard = join(at, 'heard');
  const socket = join(at, 'notify');
  manager = spawn('python3', ['-c', listener, socket, heard], { stdio: 'ignore' });
  manager.once('error', () => undefined); // told by the skipped tests
  if (hasPython) await until('the manager listens', () => existsSync(socket));
  daemon = new TestDaemon({
    env: {
      ...(hasPython ? { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '4000000' } : {}),
      HTTP_PROXY: address,
      NO_PROXY: 'direct.podwright.invalid',
    },
  });
  await daemon.start();
  for (const name of [hidden, 'direct.podwright.invalid']) {
    mkdirSync(join(daemon.certsDir, name), { recursive: true });
    writeFileSync(join(daemon.certsDir, name, 'hosts.toml'), `server = "http://${name}"\n`);
  }
});
test.afterEach.always((t) => {
  if (!t.passed) t.log(daemon.lastWords());
});
test.after.always('they end', async () => {
  await daemon.destroy();
  manager.kill('SIGKILL');
  proxy.closeAllConnections();
  proxy.close();
  spawnSync('rm', ['-rf', join('/tmp', `pwt-manager-${process.pid}`)]);
});

const messages = (): string[] =>
  (existsSync(heard) ? readFileSync(heard, 'utf8') : '').split('\n\n').filter((message) => message !== '');
const count = (line: string): number => messages().filter((message) => message.split('\n').includes(line)).length;
const tells = (line: string, times: number) => until(`${line} is told`, () => count(line) >= times);

when(`the manager is told when it serves, what it does, and again and again that it is well${why}`, async (t) => {
  await tells('READY=1', 1);
  await until('the status names the pods', () => messages().some((m) => /^STATUS=serving; 0 pods on \//m.test(m)));
  await tells('WATCHDOG=1', 2);
  t.is(count('STOPPING=1'), 0);
});

when(`a new configuration is told, and when it counts${why}`, async (t) => {
  process.kill(daemon.pid, 'SIGHUP');
  await tells('RELOADING=1', 1);
  await tells('READY=1', 2);
  const reloading = messages().find((message) => message.startsWith('RELOADING=1')) ?? '';
  t.regex(reloading, /^MONOTONIC_USEC=\d+$/m);
});

test.serial(
  'images come through the proxy of the environment, and from loopback and what it excludes without it',
  async (t) => {
    await pull(daemon);
    t.deepEqual(asked, [], 'loopback is asked without it');
    await t.throwsAsync(pull(daemon, 'direct.podwright.invalid/bench/tools:latest'), { any: true });
    t.deepEqual(asked, [], 'so is what NO_PROXY has');
    await pull(daemon, `${hidden}/bench/tools:latest`);
    t.true(
      asked.some((url) => url.includes('/v2/bench/tools/manifests/')),
      asked.join('\n'),
    );
  },
);

test.serial('no program that the daemon starts may speak for it', async (t) => {
  const pod = await runPod(daemon);
  const { info } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
  const { pid } = JSON.parse(info['info'] ?? '{}') as { pid: number };
  const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
  t.notRegex(environment, /NOTIFY_SOCKET|WATCHDOG/);
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

when(`it says that it stops, and nothing after that${why}`, async (t) => {
  await daemon.shutdown();
  await tells('STOPPING=1', 1);
  t.regex(messages().at(-1) ?? '', /^STOPPING=1$/m);
});

test.serial('nothing is left on the host', async (t) => {
  if (daemon.running) await daemon.shutdown();
  t.deepEqual(await daemon.leftOfNetwork(), []);
});
