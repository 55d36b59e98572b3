// Bytes of the daemon ↔ monitor talk (proto/monitor.proto) to typed objects and back.
// Must not frame (src/monitor/frames.ts does), open sockets or know what a call means.
import type { Frame, Frame__Output } from './generated/monitor/podwright/monitor/v1/Frame.ts';
import descriptor from './generated/monitor.json' with { type: 'json' };
import { reflected } from './reflected.ts';

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

// Must match the flags of proto-loader-gen-types in hack/proto.sh.
const options = { longs: String, enums: String, defaults: true, oneofs: true } as const;
const frameCodec = reflected(descriptor, options).message('podwright.monitor.v1.Frame');

/** One frame as protobuf bytes, without the length prefix. */
export const encodeFrame = (frame: FrameObject): Buffer => frameCodec.serialize(frame);

/**
 * One frame from protobuf bytes without the length prefix. Fields of a newer protocol version are
 * skipped. Throws a RangeError or Error on bytes that are not a frame.
 */
export const decodeFrame = (bytes: Uint8Array): ReceivedFrame => frameCodec.deserialize(bytes as Buffer) as ReceivedFrame;
