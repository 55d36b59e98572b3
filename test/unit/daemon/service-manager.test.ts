import test from 'ava';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { callVersion } from '../../../src/daemon/self-call.ts';
import { managerOf, type ManagerPorts, serviceManager } from '../../../src/daemon/service-manager.ts';
import { until } from '../../helpers/until.ts';

test('who the manager is, from the environment, which then does not tell it any more', (t) => {
  const env = { NOTIFY_SOCKET: '/run/systemd/notify', WATCHDOG_USEC: '60000000', WATCHDOG_PID: '7', PATH: '/bin' };
  const copy: Record<string, string | undefined> = { ...env };
  t.deepEqual(managerOf(copy, 7), { socket: '/run/systemd/notify', watchdogMs: 60_000 });
  t.deepEqual(copy, { PATH: '/bin' });
  t.deepEqual(managerOf({ ...env }, 8), { socket: '/run/systemd/notify', watchdogMs: null }, 'another is watched');
  t.deepEqual(managerOf({ NOTIFY_SOCKET: '@abstract', WATCHDOG_USEC: '2000000' }, 8), {
    socket: '@abstract',
    watchdogMs: 2000,
  });
  for (const NOTIFY_SOCKET of ['', 'relative', '@', '/']) t.is(managerOf({ NOTIFY_SOCKET }, 1), null, NOTIFY_SOCKET);
  t.is(managerOf({}, 1), null);
});

/** A manager that keeps what it hears; `healthy` is what the daemon's call to itself comes to. */
function listening() {
  const heard: string[] = [];
  const troubles: string[] = [];
  const state = { healthy: true, deaf: false };
  const ports: ManagerPorts = {
    notify: async ({ message }) => {
      if (state.deaf) throw new Error('nobody reads the socket');
      heard.push(message);
      return null;
    },
    check: async () => {
      if (!state.healthy) throw new Error('no answer');
    },
    status: () => 'serving; 3 pods',
    log: { warn: (_, text) => void troubles.push(text), error: (_, text) => void troubles.push(text) },
    monotonicUs: () => 42n,
  };
  return { heard, troubles, state, ports };
}

test('ready, reloaded, changed, stopping', async (t) => {
  const { heard, ports } = listening();
  const service = serviceManager({ socket: '/s', watchdogMs: null }, ports);
  await service.ready();
  await service.changed();
  await service.reloaded();
  await service.stopping();
  const status = 'STATUS=serving; 3 pods';
  t.deepEqual(heard, [
    `READY=1\n${status}`,
    status,
    `RELOADING=1\nMONOTONIC_USEC=42\n${status}`,
    `READY=1\n${status}`,
    `STOPPING=1\n${status}`,
  ]);
});

test('a status is one line, whatever it quotes', async (t) => {
  const { heard, ports } = listening();
  const service = serviceManager(
    { socket: '/s', watchdogMs: null },
    { ...ports, status: () => 'bad record\r\nMAINPID=1\u0000\u001b[0m\u0085é; 3 pods' },
  );
  await service.changed();
  t.deepEqual(heard, ['STATUS=bad record MAINPID=1 [0m é; 3 pods']);
});

test('without a manager nothing is said, and a deaf one is no failure', async (t) => {
  const { heard, troubles, state, ports } = listening();
  const nobody = serviceManager(null, ports);
  await Promise.all([nobody.ready(), nobody.changed(), nobody.reloaded(), nobody.stopping()]);
  t.deepEqual([heard, troubles], [[], []]);
  state.deaf = true;
  await serviceManager({ socket: '/s', watchdogMs: null }, ports).ready();
  t.deepEqual(troubles, ['the service manager could not be told']);
});

test('the watchdog hears of a daemon that answers itself, and of no other', async (t) => {
  const { heard, troubles, state, ports } = listening();
  const service = serviceManager({ socket: '/s', watchdogMs: 10 }, ports);
  await service.ready();
  const pings = (): number => heard.filter((message) => message.startsWith('WATCHDOG=1\n')).length;
  await until('it is told twice', () => pings() >= 2);
  state.healthy = false;
  await until('the daemon is found ill', () => troubles.length > 0);
  const before = pings();
  await until('it is found ill again', () => troubles.length > 2);
  t.is(pings(), before, 'nothing was said meanwhile');
  state.healthy = true;
  await until('it is well again', () => pings() > before);
  await service.stopping();
  t.true(heard.at(-1)?.startsWith('STOPPING=1'));
});

test('the call to itself: an answer, an error, no answer, nobody there', async (t) => {
  const dir = mkdtempSync('/tmp/pws-');
  const socket = join(dir, 's');
  let answer: (stream: ServerHttp2Stream) => void = () => undefined;
  let asked = '';
  const server = createServer();
  server.on('stream', (stream, headers) => {
    asked = String(headers[':path']);
    answer(stream);
  });
  const trailers = (status: string) => (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
    stream.end(Buffer.alloc(5));
  };
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  try {
    answer = trailers('0');
    await t.notThrowsAsync(callVersion(socket, 20_000));
    t.is(asked, '/runtime.v1.RuntimeService/Version');
    answer = trailers('14');
    await t.throwsAsync(callVersion(socket, 20_000), { message: /did not answer OK/ });
    answer = (stream) => stream.respond({ ':status': 200, 'grpc-status': '12' }, { endStream: true });
    await t.throwsAsync(callVersion(socket, 20_000), { message: /did not answer OK/ });
    answer = (stream) => stream.close();
    await t.throwsAsync(callVersion(socket, 20_000), { message: /ended without a status/ });
    answer = () => undefined;
    await t.throwsAsync(callVersion(socket, 50), { message: /no answer on .* within 50 ms/ });
  } finally {
    await new Promise((resolve) => server.close(resolve));
    rmSync(dir, { recursive: true, force: true });
  }
  await t.throwsAsync(callVersion(socket, 20_000), { message: /could not call/ });
});
