// Port-forward over real SPDY bytes, plain and in the messages of a WebSocket, in front of a monitor that the test plays.
import test from 'ava';
import { once } from 'node:events';
import { type ClientStream, SpdyClient } from '../../helpers/spdy-client.ts';
import { testStreaming } from '../../helpers/streaming.ts';
import { openTunnel } from '../../helpers/tunnel.ts';
import { until } from '../../helpers/until.ts';

const protocol = 'portforward.k8s.io';

async function pair(
  client: SpdyClient,
  port: number,
  requestid: string,
): Promise<{ error: ClientStream; data: ClientStream }> {
  const error = await client.open({ streamtype: 'error', port: String(port), requestid });
  client.send(error, '', true);
  return { error, data: await client.open({ streamtype: 'data', port: String(port), requestid }) };
}

test('many ports at once, each with its own bytes and ends', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.forwardUrl(), protocol);
  const numbers = Array.from({ length: 20 }, (_, n) => n);
  const pairs: Awaited<ReturnType<typeof pair>>[] = [];
  for (const n of numbers) pairs.push(await pair(client, 8000 + n, String(n)));
  await until('all are connected', () => streaming.monitor.ports.length === numbers.length);
  for (const { port, socket } of streaming.monitor.ports) {
    socket.on('data', (chunk: Buffer) => void socket.write(`${port}: ${chunk.toString()}`)).resume();
    socket.on('end', () => socket.end('bye'));
  }
  for (const [n, { data }] of pairs.entries()) client.send(data, `hello ${n}`, true);
  await until('all have ended', () => pairs.every(({ data, error }) => data.ended && error.ended));
  for (const [n, { data, error }] of pairs.entries()) {
    t.is(client.text(data), `${8000 + n}: hello ${n}bye`);
    t.is(client.text(error), '');
  }
  t.false(client.closed);
  client.socket.end();
  await until('the session has ended', () => streaming.ends.length === 1);
});

test('the pod may end first: what the client sends still arrives', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.forwardUrl(), protocol);
  const { data, error } = await pair(client, 80, 'a');
  const socket = await streaming.monitor.port();
  socket.end('done talking');
  await until('data and error have ended', () => data.ended && error.ended);
  t.is(data.reset, 0);
  let got = '';
  socket.on('data', (chunk: Buffer) => void (got += chunk.toString())).resume();
  client.send(data, 'still listening?', true);
  await once(socket, 'end');
  t.is(got, 'still listening?');
});

test('a refused port is told on the error stream and resets the pair, others can follow', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  streaming.monitor.refuse = ({ openStream }) =>
    openStream?.port?.port === 1 ? { failure: { kind: 'FAILED_PRECONDITION', detail: 'connection refused' } } : null;
  const client = await SpdyClient.connect(streaming.forwardUrl(), protocol);
  const { data, error } = await pair(client, 1, 'a');
  await until('both have ended', () => data.reset > 0 && error.ended);
  t.is(client.text(error), 'error forwarding port 1 to pod p, uid : connection refused');
  const second = await pair(client, 2, 'a');
  (await streaming.monitor.port()).end('welcome');
  await until('the second works', () => client.text(second.data) === 'welcome');
});

test('a client that resets its data stream cuts the connection to the port', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.forwardUrl(), protocol);
  const { data, error } = await pair(client, 80, 'a');
  const socket = await streaming.monitor.port();
  socket.resume();
  client.reset(data);
  await once(socket, 'end');
  await until('the error stream ends too', () => error.ended);
  t.false(client.closed);
});

test('streams without port, type or partner', async (t) => {
  const streaming = await testStreaming({ creationTimeoutMs: 2000 });
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.forwardUrl(), protocol);
  for (const headers of [
    { streamtype: 'data' },
    { streamtype: 'data', port: '0' },
    { streamtype: 'data', port: '65536' },
    { streamtype: 'data', port: '8o' },
    { streamtype: 'stdin', port: '80' },
    { port: '80' },
  ])
    t.is((await client.open(headers as unknown as Record<string, string>)).reset, 3);
  const alone = await client.open({ streamtype: 'error', port: '80', requestid: 'x' });
  await until('it is given up', () => alone.ended);
  t.regex(client.text(alone), /timed out waiting for streams/);
  const error = await client.open({ streamtype: 'error', port: '80', requestid: 'y' });
  const again = await client.open({ streamtype: 'error', port: '80', requestid: 'y' });
  await until('the second is reset', () => again.reset > 0);
  t.regex(client.text(error), /error stream already assigned/);
});

test('old clients without request ids are paired by the order of their streams', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.forwardUrl(), protocol);
  await client.open({ streamtype: 'error', port: '80' });
  const data = await client.open({ streamtype: 'data', port: '80' });
  (await streaming.monitor.port()).end('paired');
  t.true(await until('data came', () => client.text(data) === 'paired'));
});

test('more streams than a connection may have are refused', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.forwardUrl(), protocol);
  const streams = await Promise.all(
    Array.from({ length: 1001 }, (_, n) => client.open({ streamtype: 'error', port: '80', requestid: `r${n}` })),
  );
  t.deepEqual(streams.filter(({ reset }) => reset === 3).length, 1);
});

test('SPDY in the messages of a WebSocket', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const { tunnel, answer } = await openTunnel(streaming.forwardUrl());
  t.is(answer.headers.get('sec-websocket-protocol'), 'SPDY/3.1+portforward.k8s.io');
  const client = new SpdyClient(tunnel, Buffer.alloc(0));
  const { data, error } = await pair(client, 80, 'a');
  const socket = await streaming.monitor.port();
  let got = 0;
  socket.on('data', (chunk: Buffer) => void (got += chunk.length)).resume();
  socket.write(Buffer.alloc(3_000_000, 'x'));
  for (let n = 1; n <= 10; n += 1) client.send(data, Buffer.alloc(100_000, 'y'), n === 10);
  await until('all came through', () => got === 1_000_000 && client.bytes(data) === 3_000_000);
  socket.end();
  await until('both have ended', () => data.ended && error.ended);
  tunnel.destroy();
  await until('the session has ended', () => streaming.ends.length === 1);
});

test('a stopping daemon cuts forwarded connections and says goodbye', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.forwardUrl(), protocol);
  await pair(client, 80, 'a');
  const socket = await streaming.monitor.port();
  socket.resume();
  await streaming.server.stop();
  await until('goodbye', () => client.goneAway && client.closed);
  await until('the port is cut', () => socket.readableEnded || socket.destroyed);
  t.pass();
});
