// The tool's exec at a terminal, against the streaming server: sizes, raw mode, half-close, detaching, port-forward.
import test from 'ava';
import { EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import type { Client } from '../../../src/cli/client.ts';
import { runConsole } from '../../../src/cli/console.ts';
import { forwardPorts } from '../../../src/cli/port-forward.ts';
import type { OwnStreams, Session } from '../../../src/cli/session.ts';
import { testStreaming } from '../../helpers/streaming.ts';
import { until } from '../../helpers/until.ts';

/** A terminal that the test types at. */
function terminal() {
  const told = { out: '', err: '', raw: [] as boolean[] };
  const output = (key: 'out' | 'err') =>
    Object.assign(new EventEmitter(), {
      columns: 100,
      rows: 30,
      write: (bytes: Buffer | string) => {
        told[key] += bytes.toString();
        return true;
      },
    });
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (on: boolean) => void told.raw.push(on) });
  const [stdout, stderr] = [output('out'), output('err')];
  const interrupted = Promise.withResolvers<void>();
  const streams = { stdin, stdout, stderr, interrupted: interrupted.promise } as unknown as OwnStreams;
  return { streams, stdin, stdout, told, interrupt: interrupted.resolve };
}

const tty = { tty: true, stdin: true, stdout: true };

test('a terminal: raw while it lasts, its size first, resized, the exit code', async (t) => {
  const streaming = await testStreaming({ firstSizeMs: 20_000 });
  t.teardown(() => streaming.close());
  const { streams, stdin, stdout, told } = terminal();
  const running = runConsole(streaming.execUrl(tty), streams, { interactive: true, tty: true });
  const process = await streaming.monitor.process();
  t.like(process.request.exec?.size, { width: 100, height: 30 });
  const [input, output] = [await process.stream('STDIN'), await process.stream('STDOUT')];
  input.on('data', (bytes: Buffer) => void output.write(`echo ${bytes.toString()}`)).resume();
  stdin.write('hi');
  await until('the echo', () => told.out === 'echo hi');
  stdout.columns = 70;
  stdout.emit('resize');
  await until('the new size', () => process.sizes.at(-1)?.width === 70);
  await process.exit(33);
  t.is(await running, 33);
  t.deepEqual(told.raw, [true, false]);
  t.true(stdin.isPaused());
});

test('without a terminal: input to its end, both outputs', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const { streams, stdin, told } = terminal();
  const url = streaming.execUrl({ stdin: true, stdout: true, stderr: true });
  const running = runConsole(url, streams, { interactive: true, tty: false });
  const process = await streaming.monitor.process();
  const input = await process.stream('STDIN');
  let got = 0;
  input.on('data', (bytes: Buffer) => void (got += bytes.length)).resume();
  stdin.write(Buffer.alloc(3_000_000));
  stdin.end('the end');
  await once(input, 'end');
  t.is(got, 3_000_007);
  (await process.stream('STDOUT')).write('out');
  (await process.stream('STDERR')).write('err');
  await until('the outputs', () => told.out === 'out' && told.err === 'err');
  await process.exit(0);
  t.is(await running, 0);
  t.deepEqual(told.raw, []);
});

test('ctrl-p ctrl-q leaves the process alone', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const { streams, stdin, told } = terminal();
  const running = runConsole(streaming.execUrl(tty), streams, { interactive: true, tty: true });
  const process = await streaming.monitor.process();
  await process.stream('STDOUT');
  stdin.write(Buffer.from([0x10, 0x11]));
  t.is(await running, null);
  t.deepEqual(told.raw, [true, false]);
  await until('it is let go', () => process.released);
});

test('what cannot be started, and a connection that breaks, are errors', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  streaming.monitor.refuse = ({ exec }) => (exec ? { failure: { kind: 'INVALID', detail: 'no such program' } } : null);
  const { streams } = terminal();
  const handover = { interactive: false, tty: false };
  await t.throwsAsync(runConsole(streaming.execUrl({ stdout: true }), streams, handover), {
    message: /no such program/,
  });
  await t.throwsAsync(runConsole(`http://${streaming.server.address}/exec/none`, streams, handover), {
    message: /connect to/,
  });
});

test('ports lead into the pod until the user interrupts', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  streaming.monitor.refuse = ({ openStream }) =>
    openStream?.port?.port === 9 ? { failure: { kind: 'FAILED_PRECONDITION', detail: 'connection refused' } } : null;
  const { streams, told, interrupt } = terminal();
  const client = {
    call: async (method: string, { port = [] }: { port?: number[] }) =>
      method === 'ListPodSandbox' ? { items: [] } : { url: streaming.forwardUrl(...port) },
  } as unknown as Client;
  let out = '';
  const session = { client, streams, out: (text: string) => void (out += text) } as unknown as Session;
  const running = forwardPorts(session, ['pod', ':80', ':9'], { address: '127.0.0.1' });
  await until('both listen', () => out.split('\n').length === 3);
  const [local, refused] = [...out.matchAll(/127\.0\.0\.1:(\d+) -> /g)].map(([, port]) => Number(port));
  const socket = connect({ host: '127.0.0.1', port: local!, allowHalfOpen: true });
  let got = '';
  socket.on('data', (bytes: Buffer) => void (got += bytes.toString()));
  socket.end('question');
  const pod = await streaming.monitor.port();
  let asked = '';
  pod.on('data', (bytes: Buffer) => void (asked += bytes.toString())).resume();
  await once(pod, 'end');
  t.is(asked, 'question');
  pod.end('answer');
  await once(socket, 'close');
  t.is(got, 'answer');
  connect(refused!, '127.0.0.1').on('error', () => undefined);
  await until('the refusal is told', () => told.err.includes('connection refused'));
  interrupt();
  await running;
  await t.throwsAsync(once(connect(local!, '127.0.0.1'), 'connect'));
});

test('a local client that leaves without reading takes its session with it', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const { streams, interrupt } = terminal();
  const client = {
    call: async (method: string, { port = [] }: { port?: number[] }) =>
      method === 'ListPodSandbox' ? { items: [] } : { url: streaming.forwardUrl(...port) },
  } as unknown as Client;
  let out = '';
  const session = { client, streams, out: (text: string) => void (out += text) } as unknown as Session;
  const running = forwardPorts(session, ['pod', ':80'], { address: '127.0.0.1' });
  await until('it listens', () => out.endsWith('-> 80\n'));
  const socket = connect({ host: '127.0.0.1', port: Number(/:(\d+) ->/.exec(out)?.[1]) });
  socket.on('error', () => undefined).pause();
  const pod = await streaming.monitor.port();
  pod.on('error', () => undefined);
  let wrote = 0;
  const send = (): void =>
    void pod.write(Buffer.alloc(65_536), (error) => {
      wrote += 1;
      if (!error) send();
    });
  send();
  let before = -1;
  let same = 0;
  await until('everything on the way is full', () => {
    same = wrote === before ? same + 1 : 0;
    before = wrote;
    return same > 10;
  });
  socket.resetAndDestroy();
  await until('the session has ended', () => streaming.ends.length === 1);
  t.is(streaming.ends[0]?.kind, 'portforward');
  interrupt();
  await running;
});
