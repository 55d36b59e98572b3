// Clients that mean harm, or end in the middle: what they can make the daemon hold is bounded, and nothing is left of them.
import test from 'ava';
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ChannelClient } from '../../helpers/channel-client.ts';
import { requestUpgrade, SpdyClient } from '../../helpers/spdy-client.ts';
import { testStreaming } from '../../helpers/streaming.ts';
import { until } from '../../helpers/until.ts';
import { dataFrame, pingFrame } from '../../../src/streaming/spdy/frames.ts';
import { noCarrier } from '../../../src/monitor/carrier.ts';
import { RawStream } from '../../../src/monitor/raw-stream.ts';

const mib = 2 ** 20;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes of objects that are in use. */
function heap(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

/** The servers' ends of all connections of this process. */
const accepted: Socket[] = [];
subscribe('net.server.socket', (message) => void accepted.push((message as { socket: Socket }).socket));

/** Sends a block again and again, each time when it was taken, up to `most` bytes; resolves when nothing is taken any more. */
async function flood(socket: Pick<Socket, 'write'>, block: Buffer, most: number): Promise<number> {
  let taken = 0;
  const next = (): void => {
    if (taken >= most) return;
    socket.write(block, () => {
      taken += block.length;
      next();
    });
  };
  next();
  let last = -1;
  let same = 0;
  await until('it stalls', () => {
    same = taken === last ? same + 1 : 0;
    last = taken;
    return (same === 15 && taken > 0) || taken >= most;
  });
  return taken;
}

for (const [why, path, protocols] of [
  ['no token', '/exec/nothing', undefined],
  ['no protocol', '', 'v9.channel.k8s.io'],
] as const) {
  test.serial(`a client that is refused (${why}) and never closes is closed, whatever it has sent`, async (t) => {
    const streaming = await testStreaming();
    t.teardown(() => streaming.close());
    const url = path === '' ? streaming.execUrl() : `http://${streaming.server.address}${path}`;
    const before = accepted.length;
    const { answer, socket } = await requestUpgrade(url, protocols === undefined ? {} : { protocols });
    t.true(answer.status >= 400);
    socket.write('what nobody reads');
    await until('its connection is closed', () => accepted[before]?.destroyed === true);
    socket.destroy();
  });
}

test.serial('pings of a client that reads no answers are not read in the end', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.execUrl({ stdout: true }));
  client.socket.pause();
  const block = Buffer.concat(Array.from({ length: 4096 }, (_, n) => pingFrame(2 * n + 1)));
  const taken = await flood(client.socket as Socket, block, 64 * mib);
  t.true(taken < 32 * mib, `${taken} bytes of pings were taken`);
  client.socket.resume();
  await until('it goes on when answers are read', () => client.pings.length > 10_000);
  client.socket.destroy();
});

test.serial('frames of one byte that nobody reads cost no more than others', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.forwardUrl(), 'portforward.k8s.io');
  await client.open({ streamtype: 'error', port: '80', requestid: 'a' });
  const { id } = await client.open({ streamtype: 'data', port: '80', requestid: 'a' });
  await streaming.monitor.port();
  const block = Buffer.concat(Array.from({ length: 4096 }, () => dataFrame(id, Buffer.from('x'), false)));
  const before = heap();
  await flood(client.socket as Socket, block, 64 * mib);
  const grown = heap() - before;
  t.true(grown < 8 * mib, `the heap has grown by ${grown} bytes`);
  client.socket.destroy();
});

test.serial('writes to a monitor that does not read are few, however small', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const stream = await RawStream.open(
    { path: streaming.monitor.path, carrier: noCarrier },
    { port: { port: 80 } },
    new AbortController().signal,
  );
  t.teardown(() => stream.release());
  let drained = 0;
  stream.onDrain(() => void (drained += 1));
  let writes = 1;
  while (stream.write(Buffer.from('x')) && writes < 1_000_000) writes += 1;
  t.true(writes < 400_000, `${writes} writes`); // bytes, as they are gathered
  (await streaming.monitor.port()).resume();
  await until('it may go on', () => drained === 1);
});

test.serial('a pair of streams of which one is reset before the other came is given up at once', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.forwardUrl(), 'portforward.k8s.io');
  const headers = { port: '80', requestid: 'a' };
  client.reset(await client.open({ ...headers, streamtype: 'data' }));
  await client.open({ ...headers, streamtype: 'error' });
  const data = await client.open({ ...headers, streamtype: 'data' });
  client.send(data, 'hello', true);
  const pod = await streaming.monitor.port();
  pod.on('data', (bytes: Buffer) => pod.end(bytes)).resume();
  await until('the second pair is a pair', () => client.text(data) === 'hello');
  t.is(streaming.monitor.ports.length, 1);
  client.socket.destroy();
});

test.serial('stdin that is reset before the command runs has ended for it', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.execUrl({ stdin: true, stdout: true }));
  const stdin = await client.open({ streamtype: 'stdin' });
  client.reset(stdin);
  await client.open({ streamtype: 'error' });
  await client.open({ streamtype: 'stdout' });
  const input = await (await streaming.monitor.process()).stream('STDIN');
  input.resume();
  await until('the command sees the end', () => input.readableEnded);
  t.pass();
  client.socket.destroy();
});

test.serial('input may come before all streams are open', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.execUrl({ stdin: true, stdout: true }));
  client.send(await client.open({ streamtype: 'stdin' }), 'early', true);
  await client.open({ streamtype: 'error' });
  const stdout = await client.open({ streamtype: 'stdout' });
  const played = await streaming.monitor.process();
  const [input, output] = [await played.stream('STDIN'), await played.stream('STDOUT')];
  input.pipe(output);
  await until('it comes back', () => client.text(stdout) === 'early');
  await played.exit(0);
  await until('the session has ended', () => streaming.ends.length === 1);
  t.like(streaming.ends[0], { result: 'done', bytesIn: 5 });
});

test.serial('more ports than channels have numbers are refused', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const url = streaming.forwardUrl(...Array.from({ length: 101 }, (_, n) => 8000 + n));
  await t.throwsAsync(ChannelClient.connect(url, 'v4.channel.k8s.io'), { message: /400/ });
  t.is(streaming.monitor.ports.length, 0);
});
