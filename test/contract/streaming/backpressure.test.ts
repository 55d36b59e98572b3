// Who does not read is waited for: what the daemon holds for a session is bounded, and nothing of it is lost (ruling 22).
import test from 'ava';
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { ChannelClient } from '../../helpers/channel-client.ts';
import { SpdyClient } from '../../helpers/spdy-client.ts';
import { testStreaming } from '../../helpers/streaming.ts';
import { until } from '../../helpers/until.ts';

const mib = 2 ** 20;
const total = 96 * mib;
/** What kernels hold between the two ends: TCP buffers grow to some megabytes (tcp(7), tcp_rmem and tcp_wmem). */
const mostInKernel = 24 * mib;

/** Both ends of every connection of this process; those of the daemon are among them. */
const sockets: Socket[] = [];
for (const channel of ['net.server.socket', 'net.client.socket'])
  subscribe(channel, (message) => void sockets.push((message as { socket: Socket }).socket));

/** Bytes that wait in this process for a reader, test and daemon together. */
const held = (): number => sockets.reduce((sum, socket) => sum + (socket.destroyed ? 0 : socket.writableLength), 0);

/** A byte that says where in the stream it is. */
const pattern = (from: number, length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i += 4) bytes.writeUInt32LE(from + i, i);
  return bytes;
};

const piece = 64 * 1024;

/** Writes `bytes` in pieces, each when the one before was taken; tells how much was. */
function writeAll(write: (bytes: Buffer, taken: () => void) => void, bytes: number): { taken: number } {
  const progress = { taken: 0 };
  const next = (): void => {
    if (progress.taken >= bytes) return;
    write(pattern(progress.taken, piece), () => {
      progress.taken += piece;
      next();
    });
  };
  next();
  return progress;
}

/** Waits until nothing more is taken, for a while. */
async function stalled(progress: { readonly taken: number }): Promise<void> {
  let last = -1;
  let same = 0;
  await until('it stalls', () => {
    same = progress.taken === last ? same + 1 : 0;
    last = progress.taken;
    return same === 15 && last > 0;
  });
}

/** Checks that a stream is the pattern, as it comes. */
function checker(): { readonly push: (bytes: Buffer) => void; received: number; wrong: number } {
  let rest: Buffer = Buffer.alloc(0);
  const check = {
    received: 0,
    wrong: 0,
    push(bytes: Buffer) {
      const all = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      const from = check.received - rest.length;
      const whole = all.length - (all.length % 4);
      for (let i = 0; i < whole; i += 4) if (all.readUInt32LE(i) !== from + i) check.wrong += 1;
      check.received += bytes.length;
      rest = all.subarray(whole);
    },
  };
  return check;
}

const transports = {
  async spdy(url: string) {
    const client = await SpdyClient.connect(url);
    const { stdout } = await client.openAll('error', 'stdin', 'stdout');
    const [stdin] = [...client.streams.values()].filter(({ id }) => id === 3);
    const check = checker();
    stdout.received.push = (...pieces: Buffer[]) => {
      for (const bytes of pieces) check.push(bytes);
      return 0;
    };
    return {
      check,
      pause: () => client.socket.pause(),
      resume: () => client.socket.resume(),
      send: (bytes: Buffer, taken: () => void) => {
        client.send(stdin!, bytes);
        if (client.socket.writableLength === 0) taken();
        else client.socket.once('drain', taken);
      },
      leave: () => client.socket.destroy(),
    };
  },
  async websocket(url: string) {
    const client = await ChannelClient.connect(url, 'v5.channel.k8s.io');
    const check = checker();
    client.ws.removeAllListeners('message');
    client.ws.on('message', (message: Buffer) => check.push(message.subarray(1)));
    return {
      check,
      pause: () => client.ws.pause(),
      resume: () => client.ws.resume(),
      send: (bytes: Buffer, taken: () => void) =>
        client.ws.send(Buffer.concat([Buffer.from([0]), bytes]), { binary: true }, taken),
      leave: () => client.ws.terminate(),
    };
  },
};

for (const [name, connect] of Object.entries(transports)) {
  test.serial(`${name}: a client that stops reading holds up the process, not the daemon`, async (t) => {
    const streaming = await testStreaming();
    t.teardown(() => streaming.close());
    const client = await connect(streaming.execUrl({ stdin: true, stdout: true }));
    const output = await (await streaming.monitor.process()).stream('STDOUT');
    client.pause();
    globalThis.gc?.();
    const before = process.memoryUsage().arrayBuffers;
    const progress = writeAll((bytes, taken) => void output.write(bytes, () => taken()), total);
    await stalled(progress);
    t.true(progress.taken < mostInKernel, `${progress.taken} bytes were taken`);
    t.true(held() <= mib, `${held()} bytes wait in the process`);
    const grown = process.memoryUsage().arrayBuffers - before;
    t.true(grown < 16 * mib, `${grown} bytes of buffers more than before`);
    client.resume();
    await until('all of it arrived', () => client.check.received === total);
    t.is(client.check.wrong, 0);
    t.true(held() <= mib);
  });

  test.serial(`${name}: a process that does not read holds up its client, not the daemon`, async (t) => {
    const streaming = await testStreaming();
    t.teardown(() => streaming.close());
    const client = await connect(streaming.execUrl({ stdin: true, stdout: true }));
    const stopped = await (await streaming.monitor.process()).stream('STDIN');
    const progress = writeAll(client.send, total);
    await stalled(progress);
    t.true(progress.taken < mostInKernel, `${progress.taken} bytes were taken`);
    t.true(held() <= mib + 2 * piece, `${held()} bytes wait in the process`); // two pieces are the test's own
    const check = checker();
    stopped.on('data', (bytes: Buffer) => check.push(bytes)).resume();
    await until('all of it arrived', () => check.received === total);
    t.is(check.wrong, 0);
  });

  test.serial(
    `${name}: a client that leaves while nobody reads its input is noticed by what is written to it`,
    async (t) => {
      const streaming = await testStreaming();
      t.teardown(() => streaming.close());
      const client = await connect(streaming.execUrl({ stdin: true, stdout: true }));
      const played = await streaming.monitor.process();
      await played.stream('STDIN');
      const output = await played.stream('STDOUT');
      await stalled(writeAll(client.send, total));
      client.leave();
      await until('the process is let go', () => {
        if (!output.destroyed) output.write('are you there?');
        return played.released;
      });
      await until('the session has ended', () => streaming.ends.length === 1);
      t.like(streaming.ends[0], { result: 'lost' });
    },
  );
}

test.serial('of two forwarded connections one may stall, and the other goes on', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.forwardUrl(), 'portforward.k8s.io');
  const open = async (n: number) => {
    await client.open({ streamtype: 'error', port: '80', requestid: `${n}` });
    const data = await client.open({ streamtype: 'data', port: '80', requestid: `${n}` });
    return { data, pod: await streaming.monitor.port(n) };
  };
  const [slow, quick] = [await open(0), await open(1)];
  quick.pod.on('data', (bytes: Buffer) => void quick.pod.write(bytes)).resume();
  const first = 6 * piece; // a socket's buffer and the room of one stream
  for (let sent = 0; sent < first; sent += piece / 2) client.send(slow.data, pattern(sent, piece / 2));
  client.send(quick.data, 'while the other one stalls');
  await until('the quick one is answered', () => client.text(quick.data) === 'while the other one stalls');
  for (let sent = first; sent < 8 * mib; sent += piece) client.send(slow.data, pattern(sent, piece));
  await until('the client is not read any more', () => client.socket.writableLength > 0);
  quick.pod.write(', and out of the pod even now');
  await until('the quick pod still speaks', () => client.text(quick.data).endsWith('even now'));
  t.true(held() - client.socket.writableLength <= mib);
  const check = checker();
  slow.pod.on('data', (bytes: Buffer) => check.push(bytes)).resume();
  client.send(quick.data, '!');
  await until('the quick one is answered again', () => client.text(quick.data).endsWith('!'));
  await until('the slow one got all', () => check.received >= 8 * mib);
  t.is(check.wrong, 0);
});
