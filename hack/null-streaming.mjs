// The streaming server with no container behind it: what it sends comes from memory, what it gets is dropped. For each
// line on standard input, "out" or "in", a URL is printed. Usage: null-streaming.mjs BYTES
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { StreamingServer } from '../src/streaming/server.ts';
import { headroom, neverCarries } from '../src/streaming/streams.ts';

/** In whole blocks of 64 KiB, as the client counts. */
const bytes = Number(process.argv[2]) - (Number(process.argv[2]) % 65_536);
/** As large as what is read of a monitor at once. */
const slab = Buffer.alloc(headroom + 256 * 1024);

/** Sends `left` bytes as fast as they are taken. */
function memory(left, ended) {
  let receiver = null;
  const send = () => {
    while (left > 0) {
      const size = Math.min(left, slab.length - headroom);
      left -= size;
      if (!receiver.data({ slab, start: headroom, end: headroom + size })) return;
    }
    receiver.end();
    ended();
  };
  return {
    start(given) {
      receiver = given;
      send();
    },
    resume: send,
  };
}

/** Sends one word when it is told to finish. */
function word(text, ended) {
  let receiver = null;
  return {
    start: (given) => void (receiver = given),
    resume: () => undefined,
    finish() {
      const end = headroom + slab.write(text, headroom);
      receiver.data({ slab, start: headroom, end });
      receiver.end();
      ended();
    },
  };
}

function memoryProcess({ stdin }) {
  const { promise, resolve } = Promise.withResolvers();
  const done = () => resolve(0);
  let taken = 0;
  const take = (piece) => {
    taken += piece.length;
    if (taken === bytes) stdout.finish();
    return true;
  };
  const stdout = stdin ? word('taken\n', done) : memory(bytes, done);
  return {
    stdin: stdin ? { write: take, onDrain: () => undefined, end: () => undefined, carry: neverCarries } : null,
    stdout,
    stderr: null,
    resize: () => undefined,
    ended: promise,
    release: () => undefined,
  };
}

const server = await StreamingServer.listen({
  host: '127.0.0.1',
  port: 0,
  tls: null,
  idleTimeoutMs: 60_000,
  creationTimeoutMs: 30_000,
  targets: { exec: async (ticket) => memoryProcess(ticket) },
  random: () => randomBytes(24).toString('base64url'),
  observer: {
    log: { debug: () => undefined, info: () => undefined, warn: console.error },
    elapsedMs: () => performance.now(),
    began: () => undefined,
    ended: () => undefined,
    tokenRefused: () => undefined,
  },
});
const request = { kind: 'exec', containerId: '', command: [], tty: false, stdout: true, stderr: false };
for await (const line of createInterface({ input: process.stdin }))
  console.log(server.url({ ...request, stdin: line === 'in' }));
await server.stop();
