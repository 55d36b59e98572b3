// A WebSocket as a client of kubectl's kind uses it to carry SPDY. Made by hand: the name of its subprotocol has a
// slash, which RFC 6455 does not allow and WebSocket libraries for Node refuse.
import { randomBytes } from 'node:crypto';
import { Duplex } from 'node:stream';
import { type HttpAnswer, requestUpgrade } from './spdy-client.ts';

/** One final, binary, masked frame. */
function clientFrame(bytes: Buffer): Buffer {
  const mask = randomBytes(4);
  const long = bytes.length > 0xffff;
  const head = Buffer.alloc(bytes.length < 126 ? 2 : long ? 10 : 4);
  head[0] = 0x82;
  head[1] = 0x80 | (bytes.length < 126 ? bytes.length : long ? 127 : 126);
  if (long) head.writeBigUInt64BE(BigInt(bytes.length), 2);
  else if (bytes.length >= 126) head.writeUInt16BE(bytes.length, 2);
  return Buffer.concat([head, mask, bytes.map((byte, i) => byte ^ (mask[i % 4] ?? 0))]);
}

/** The payload of the first whole frame and what follows it; null when there is none. */
function serverFrame(bytes: Buffer): { opcode: number; payload: Buffer; rest: Buffer } | null {
  if (bytes.length < 10 && bytes.length < 2 + (bytes[1] ?? 0)) return null;
  const short = bytes[1] ?? 0;
  const [at, length] =
    short < 126 ? [2, short] : short === 126 ? [4, bytes.readUInt16BE(2)] : [10, Number(bytes.readBigUInt64BE(2))];
  if (bytes.length < at + length) return null;
  return { opcode: (bytes[0] ?? 0) & 15, payload: bytes.subarray(at, at + length), rest: bytes.subarray(at + length) };
}

/** Opens one at a port-forward URL. */
export async function openTunnel(url: string): Promise<{ tunnel: Duplex; answer: HttpAnswer }> {
  const fields = [
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io',
  ];
  const { answer, socket, rest } = await requestUpgrade(url, { upgrade: 'websocket', method: 'GET', fields });
  let held = rest;
  const tunnel = new Duplex({
    write: (chunk: Buffer, _, done) => void socket.write(clientFrame(chunk), () => done()),
    read: () => undefined,
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  const take = (chunk: Buffer): void => {
    held = Buffer.concat([held, chunk]);
    for (let frame = serverFrame(held); frame; frame = serverFrame(held)) {
      held = frame.rest;
      if (frame.opcode === 8) tunnel.push(null);
      else if (frame.opcode < 3) tunnel.push(frame.payload);
    }
  };
  socket.on('data', take).resume();
  return { tunnel, answer };
}
