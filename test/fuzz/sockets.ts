// What is no gRPC at all: garbage and silence on the daemon's socket, garbage frames on a monitor's.
import { connect, type Socket } from 'node:net';
import * as fc from 'fast-check';
import { frameBytes } from '../../src/monitor/frames.ts';
import { decodeFrame, encodeFrame, type FrameObject } from '../../src/proto/monitor-codec.ts';
import { mutateBytes } from './mutation.ts';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** An HTTP/2 frame (RFC 9113 section 4.1). */
function http2Frame(type: number, flags: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(type === 4 ? 0 : 1, 5);
  return Buffer.concat([head, payload]);
}

const settings = http2Frame(4, 0, Buffer.alloc(0));

/** First bytes of a connection to the daemon. */
const openings: fc.Arbitrary<Buffer> = fc.oneof(
  fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  // a header block that is none (RFC 7541)
  fc
    .uint8Array({ minLength: 1, maxLength: 400 })
    .map((block) => Buffer.concat([preface, settings, http2Frame(1, 4, block)])),
  // frames of any type in any order
  fc
    .array(fc.tuple(fc.nat(12), fc.nat(255), fc.uint8Array({ maxLength: 60 })), { maxLength: 8 })
    .map((frames) =>
      Buffer.concat([preface, settings, ...frames.map(([type, flags, payload]) => http2Frame(type, flags, payload))]),
    ),
  fc.constant(Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')),
  fc.constant(preface.subarray(0, 10)),
);

/** Connects, says something, and waits until the other side ends it or the time is over. */
function talk(path: string, bytes: Uint8Array, waitMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect(path);
  const timer = setTimeout(() => socket.destroy(), waitMs);
  socket.on('connect', () => socket.write(bytes));
  socket.on('error', () => socket.destroy());
  socket.resume();
  socket.on('close', () => {
    clearTimeout(timer);
    resolve();
  });
  return promise;
}

/** Says nonsense to the daemon's socket, several connections at a time; answers how many there were. */
export async function pesterDaemon(socket: string, { count, seed }: { count: number; seed: number }): Promise<number> {
  const all = fc.sample(openings, { numRuns: count, seed });
  for (let from = 0; from < all.length; from += 20) {
    await Promise.all(all.slice(from, from + 20).map((bytes) => talk(socket, bytes, 200)));
  }
  return all.length;
}

/** Opens connections that say nothing or half of a greeting, and keeps them; close them all by what is answered. */
export async function holdConnections(path: string, count: number): Promise<() => void> {
  const sockets: Socket[] = [];
  for (let nth = 0; nth < count; nth += 1) {
    const socket = connect(path);
    socket.on('error', () => socket.destroy());
    await new Promise<void>((resolve) => socket.once('connect', resolve).once('error', () => resolve()));
    if (nth % 2 === 0) socket.write(preface.subarray(0, 12));
    sockets.push(socket);
  }
  return () => sockets.forEach((socket) => socket.destroy());
}

/** Calls of a monitor that change nothing. */
const calls: readonly FrameObject[] = [
  { request: { id: '1', hello: { version: 1, daemonVersion: 'fuzz' } } },
  { request: { id: '2', getState: {} } },
  { request: { id: '3', reopenLog: { containerId: 'f'.repeat(64) } } },
  { request: { id: '4', removeContainer: { containerId: 'f'.repeat(64) } } },
  { request: { id: '5', stopContainer: { containerId: 'f'.repeat(64), signal: 15, timeoutMs: 1 } } },
  { request: { id: '6', execSync: { containerId: 'f'.repeat(64), execId: 'x', process: '{}' } } },
  { response: { id: '7', empty: {} } },
];

/** Whether a frame would end something or make something. */
function changes(body: Uint8Array): boolean {
  try {
    const { request } = decodeFrame(body);
    return Boolean(request?.shutdown ?? request?.createSandbox ?? request?.createContainer ?? request?.startContainer);
  } catch {
    return false;
  }
}

const framed = (body: Uint8Array): Buffer => frameBytes(changes(body) ? new Uint8Array() : body);

const monitorBytes: fc.Arbitrary<Buffer> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(fc.constantFrom(...calls), mutateBytes)
      .map(([frame, change]) => framed(change(encodeFrame(frame)))),
  },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 200 }).map(framed) },
  // a length without its bytes, one that is too large, and pure chance
  { weight: 1, arbitrary: fc.constant(Buffer.from([0, 0, 1, 0, 1])) },
  { weight: 1, arbitrary: fc.constant(Buffer.from([0xff, 0xff, 0xff, 0xff, 1])) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)) },
);

/** Says nonsense to a monitor's socket; answers how many connections there were. */
export async function pesterMonitor(socket: string, { count, seed }: { count: number; seed: number }): Promise<number> {
  const all = fc.sample(monitorBytes, { numRuns: count, seed });
  for (let from = 0; from < all.length; from += 10) {
    await Promise.all(all.slice(from, from + 10).map((bytes) => talk(socket, bytes, 30)));
  }
  return all.length;
}
