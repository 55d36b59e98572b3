// Loaded before a daemon (node --import): writes down every frame that it exchanges with monitors, as the bytes that go
// through its sockets, and what lies on the disk for them. Must not change what is said.
import { appendFileSync, existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import type * as Net from 'node:net';
import { basename, join } from 'node:path';
import { FrameReader } from '../../src/monitor/frames.ts';
import { decodeFrame } from '../../src/proto/monitor-codec.ts';
import type { Line } from './recording.ts';

/** What stands before a monitor's socket in its path. */
const sockets = /\/sockets\/[0-9a-f]{64}$/;
/** Largest file of a pod that is kept: hosts, resolv.conf and the like are smaller. */
const largestFile = 65_536;

const net = createRequire(import.meta.url)('node:net') as typeof Net;
const original = net.connect as (...args: unknown[]) => Net.Socket;
const file = process.env['PODWRIGHT_TAP'] ?? '';
let connections = 0;

const put = (line: Line): void => appendFileSync(file, `${JSON.stringify(line)}\n`);

/** Files that a container is made from, as they are when its monitor is asked for it: its bundle, and what of the pod is mounted. */
function filesOf(bundle: string): Record<string, string> {
  const config = readFileSync(join(bundle, 'config.json'), 'utf8');
  const { mounts = [] } = JSON.parse(config) as { mounts?: { type?: string; source?: string }[] };
  const pod = mounts.flatMap(({ type, source = '' }) => {
    const small = type === 'bind' && existsSync(source) && statSync(source).isFile() && statSync(source).size;
    return small === false || small > largestFile ? [] : [[source, readFileSync(source, 'utf8')] as const];
  });
  return Object.fromEntries([[join(bundle, 'config.json'), config], ...pod]);
}

type On = Pick<Line, 'connection' | 'sandbox'>;

/** Frames of one direction of one connection, as they become whole. */
function frames(on: On, from: Line['from']): (chunk: Buffer) => void {
  const reader = new FrameReader();
  let raw = false;
  return (chunk) => {
    if (raw) return;
    for (const frame of reader.push(Buffer.from(chunk))) {
      const { request } = decodeFrame(frame);
      const files = request?.createContainer ? filesOf(request.createContainer.bundle) : undefined;
      put({ ...on, from, frame: frame.toString('base64'), ...(files && { files }) });
      // what follows are a stream's bytes
      if (request?.openStream) raw = true;
    }
  };
}

/** The first frame of a raw stream's answers. */
function firstFrame(on: On): (chunk: Buffer) => void {
  let held = Buffer.alloc(0);
  let done = false;
  return (chunk) => {
    if (done) return;
    held = Buffer.concat([held, chunk]);
    if (held.length < 4 || held.length < 4 + held.readUInt32BE(0)) return;
    done = true;
    put({ ...on, from: 'monitor', frame: held.subarray(4, 4 + held.readUInt32BE(0)).toString('base64') });
  };
}

interface Place {
  readonly path?: string;
  readonly onread?: {
    buffer: Uint8Array | (() => Uint8Array);
    callback: (length: number, buffer: Uint8Array) => boolean;
  };
}

function connect(...args: unknown[]): Net.Socket {
  const [place] = args as [string | (Net.NetConnectOpts & Place)];
  const path = typeof place === 'string' ? place : (place.path ?? '');
  if (!sockets.test(path)) return original(...args);
  const on = { connection: `${process.pid}-${(connections += 1)}`, sandbox: basename(path) };
  const { onread } = typeof place === 'string' ? { onread: undefined } : (place as Place);
  const heard = onread ? firstFrame(on) : frames(on, 'monitor');
  const socket = onread
    ? original({
        ...(place as object),
        onread: {
          buffer: onread.buffer,
          callback: (length: number, buffer: Uint8Array) => {
            heard(Buffer.from(buffer.subarray(0, length)));
            return onread.callback(length, buffer);
          },
        },
      })
    : original(...args);
  const said = frames(on, 'daemon');
  const [write, push] = [socket.write.bind(socket), socket.push.bind(socket)] as [
    (...of: unknown[]) => boolean,
    (...of: unknown[]) => boolean,
  ];
  socket.write = (...of: unknown[]) => {
    said(of[0] as Buffer);
    return write(...of);
  };
  socket.push = (...of: unknown[]) => {
    if (!onread && Buffer.isBuffer(of[0])) heard(of[0]);
    return push(...of);
  };
  socket.once('close', () => put({ ...on, from: 'nobody' }));
  return socket;
}

if (file === '') throw new Error('PODWRIGHT_TAP does not say where to write to');
Object.assign(net, { connect, createConnection: connect });
syncBuiltinESMExports();
