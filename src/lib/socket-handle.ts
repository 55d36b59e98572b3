// The kernel's side of a socket of Node's: what native code works on.
import { Socket } from 'node:net';

/** The part of libuv's handle that is used: undocumented, and the same in all versions of Node. */
export interface SocketHandle {
  /** The descriptor. */
  readonly fd: number;
  readStop(): number;
  readStart(): number;
}

/**
 * The handle of a connection whose bytes are those on the wire; null for a closed one, one with TLS, or anything else
 * that has none.
 */
export function handleOf(wire: unknown): SocketHandle | null {
  if (!(wire instanceof Socket) || 'encrypted' in wire || wire.destroyed) return null;
  const handle = (wire as unknown as { readonly _handle: Partial<SocketHandle> | null })._handle;
  const { fd, readStop, readStart } = handle ?? {};
  const whole = typeof fd === 'number' && fd >= 0 && typeof readStop === 'function' && typeof readStart === 'function';
  return whole ? (handle as SocketHandle) : null;
}
