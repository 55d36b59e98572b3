// Input past the event loop, by the real addon: whatever comes between, the command gets what was sent.
import { existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import { resolve } from 'node:path';
import test from 'ava';
import { type Carrier, nativeCarrier } from '../../../src/monitor/carrier.ts';
import { loadNative } from '../../../src/native/load.ts';
import { ChannelClient } from '../../helpers/channel-client.ts';
import { SpdyClient } from '../../helpers/spdy-client.ts';
import { testStreaming } from '../../helpers/streaming.ts';
import { until } from '../../helpers/until.ts';

const addon = process.env['PODWRIGHT_ADDON'] ?? resolve('dist/addon.node');
const cannotRun = existsSync(addon) ? null : `no addon at ${addon}: run hack/build.sh`;
const real = cannotRun === null ? test.serial : test.serial.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} [${cannotRun}]`);

const mib = 2 ** 20;
const total = 24 * mib;

/** The carrier of the daemon, and how much it carried. */
function countingCarrier(): Carrier & { readonly counted: { bytes: number; running: number } } {
  const carrier = nativeCarrier(loadNative(addon));
  const counted = { bytes: 0, running: 0 };
  return {
    counted,
    hasRoom: carrier.hasRoom,
    async carry(way, signal) {
      counted.running += 1;
      try {
        const carried = await carrier.carry(way, signal);
        counted.bytes += carried.bytes;
        return carried;
      } finally {
        counted.running -= 1;
      }
    },
  };
}

/** Bytes that say where in the stream they are. */
const input = Buffer.alloc(total);
for (let i = 0; i < total; i += 4) input.writeUInt32LE(i, i);

/** Collects what comes to the command. */
function collect(socket: Socket): { bytes: number; wrong: boolean; ended: boolean } {
  const got = { bytes: 0, wrong: false, ended: false };
  socket.on('data', (piece: Buffer) => {
    if (!piece.equals(input.subarray(got.bytes, got.bytes + piece.length))) got.wrong = true;
    got.bytes += piece.length;
  });
  socket.on('end', () => void (got.ended = true));
  socket.resume();
  return got;
}

interface Client {
  readonly send: (bytes: Buffer) => void;
  /** Sends something else than input. */
  readonly between: (n: number) => void;
  readonly end: () => void;
  readonly leave: () => void;
  readonly waiting: () => number;
  readonly output: () => string;
}

const transports: Readonly<Record<string, (url: string) => Promise<Client>>> = {
  async spdy(url) {
    const client = await SpdyClient.connect(url);
    const { stdin, stdout, resize } = await client.openAll('error', 'stdin', 'stdout', 'resize');
    return {
      send: (bytes) => client.send(stdin, bytes),
      between: (n) => client.send(resize, `{"Width":${n},"Height":24}`),
      end: () => client.send(stdin, '', true),
      leave: () => client.socket.destroy(),
      waiting: () => client.socket.writableLength,
      output: () => client.text(stdout),
    };
  },
  async websocket(url) {
    const client = await ChannelClient.connect(url, 'v5.channel.k8s.io');
    return {
      send: (bytes) => client.send(0, bytes),
      between: (n) => {
        client.ws.ping();
        client.send(4, `{"Width":${n},"Height":24}`);
      },
      end: () => client.ws.send(Buffer.from([255, 0])),
      leave: () => client.ws.terminate(),
      waiting: () => client.ws.bufferedAmount,
      output: () => client.text(1),
    };
  },
};

async function begin(connect: (url: string) => Promise<Client>) {
  const carrier = countingCarrier();
  const streaming = await testStreaming({ carrier });
  const client = await connect(streaming.execUrl({ stdin: true, stdout: true, tty: true }));
  client.between(80);
  const command = await streaming.monitor.process();
  return { counted: carrier.counted, streaming, client, command, stdin: await command.stream('STDIN') };
}

/** Pieces of many lengths. */
function* pieces(bytes: number): Generator<Buffer> {
  const lengths = [32_768, 1, 65_536, 700_000, 4096, 65_535, 131_072, 127];
  for (let [at, n] = [0, 0]; at < bytes; n++) {
    const length = Math.min(lengths[n % lengths.length] ?? 1, bytes - at);
    yield input.subarray(at, at + length);
    at += length;
  }
}

for (const [name, connect] of Object.entries(transports)) {
  real(title(`${name}: input arrives whole and in order, with other things between`), async (t) => {
    const { counted, streaming, client, command, stdin } = await begin(connect);
    t.teardown(() => streaming.close());
    const got = collect(stdin);
    let sent = 0;
    let between = 0;
    for (const piece of pieces(total)) {
      client.send(piece);
      sent += piece.length;
      if (Math.floor(sent / (3 * mib)) > between) client.between(100 + ++between);
      await until('the client may send', () => client.waiting() < mib);
    }
    client.end();
    await until('all arrived, and the end', () => got.ended);
    t.deepEqual(got, { bytes: total, wrong: false, ended: true });
    t.true(counted.bytes > 0, 'some of it was carried');
    await until('the last size', () => command.sizes.at(-1)?.width === 100 + between);
    (await command.stream('STDOUT')).write('taken');
    await until('output comes as well', () => client.output() === 'taken');
    await command.exit(0);
    const end = await until('the session has ended', () => streaming.ends[0]);
    t.deepEqual([end.result, end.bytesIn], ['done', total]);
  });

  real(title(`${name}: a command that reads nothing for a while holds up the client, and loses nothing`), async (t) => {
    const { counted, streaming, client, stdin } = await begin(connect);
    t.teardown(() => streaming.close());
    for (const piece of pieces(total)) client.send(piece);
    let last = -1;
    let same = 0;
    await until('the client is held up, and no thread waits with it', () => {
      same = client.waiting() === last && counted.running === 0 ? same + 1 : 0;
      last = client.waiting();
      return same > 10;
    });
    t.true(last > 0, 'not all was taken');
    const got = collect(stdin);
    await until('all arrived', () => got.bytes === total);
    t.false(got.wrong);
  });

  real(title(`${name}: a client that leaves in the middle ends the input`), async (t) => {
    const { counted, streaming, client, stdin } = await begin(connect);
    t.teardown(() => streaming.close());
    const got = collect(stdin);
    for (const piece of pieces(total)) client.send(piece);
    await until('some was carried', () => counted.running > 0 || counted.bytes > 0);
    client.leave();
    await until('the input has ended', () => got.ended);
    t.false(got.wrong);
    t.is((await until('the session has ended', () => streaming.ends[0])).result, 'lost');
  });

  real(title(`${name}: a daemon that stops, and a command that ends, give the connection back`), async (t) => {
    for (const way of ['stop', 'exit'] as const) {
      const { counted, streaming, client, command, stdin } = await begin(connect);
      const got = collect(stdin);
      const sending = setInterval(() => {
        for (let n = 0; n < 16 && client.waiting() < mib; n += 1) client.send(Buffer.alloc(65_536));
      }, 1);
      await until('some was carried', () => (counted.running > 0 || counted.bytes > 0) && got.bytes > 0);
      if (way === 'exit') {
        stdin.destroy();
        await command.exit(3);
        await until('the session has ended', () => streaming.ends[0]);
      }
      clearInterval(sending);
      await streaming.close();
      await until('nothing is carried any more', () => counted.running === 0);
      t.is(streaming.ends[0]?.detail, way === 'exit' ? 'exit code 3' : 'the daemon stopped');
    }
  });
}
