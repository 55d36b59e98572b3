// Bytes of the daemon ↔ monitor talk (proto/monitor.proto) to typed objects and back.
// Must not frame (src/monitor/frames.ts does), open sockets or know what a call means.
import protobuf from 'protobufjs/light.js';
import type { Frame, Frame__Output } from './generated/monitor/podwright/monitor/v1/Frame.ts';
import descriptor from './generated/monitor.json' with { type: 'json' };

/**
 * A frame to send. 64-bit fields take a number (exact up to 2^53) or a decimal string; enums take
 * their name; fields left out are proto3 defaults. Of a `oneof` set exactly one member.
 */
export type FrameObject = Frame;

/**
 * A received frame. 64-bit fields are decimal strings (unix nanoseconds do not fit a number: use
 * `BigInt(...)`), enums are names, bytes are Buffers, absent messages are null. Which member of a
 * `oneof` is set: `frame.body`, `frame.request.call`, `frame.response.result`, `frame.event.event`.
 */
export type ReceivedFrame = Frame__Output;

let made: protobuf.Type | undefined;
/** Made with the first frame: a daemon that starts on a node without pods does not wait for it. */
const frameType = (): protobuf.Type =>
  (made ??= protobuf.Root.fromJSON(descriptor).lookupType('podwright.monitor.v1.Frame'));

// Must match the flags of proto-loader-gen-types in hack/proto.sh.
const toObjectOptions = { longs: String, enums: String, defaults: true, oneofs: true } as const;

/** One frame as protobuf bytes, without the length prefix. */
export function encodeFrame(frame: FrameObject): Buffer {
  const bytes = frameType().encode(frameType().fromObject(frame)).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * One frame from protobuf bytes without the length prefix. Fields of a newer protocol version are
 * skipped. Throws a RangeError or Error on bytes that are not a frame.
 */
export function decodeFrame(bytes: Uint8Array): ReceivedFrame {
  return frameType().toObject(frameType().decode(bytes), toObjectOptions) as ReceivedFrame;
}
