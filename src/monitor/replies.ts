// What calls to a monitor have in common: how values go in and answers come out. Must not call.
import { internal } from '../lib/failure.ts';
import type { MonitorReply } from './client.ts';

/** The member of an answer that a call's kind has. */
export function expect<K extends keyof MonitorReply>(reply: MonitorReply, kind: K): NonNullable<MonitorReply[K]> {
  const found = reply[kind];
  if (found === null || found === undefined) throw internal(`the monitor answered without ${kind}`);
  return found as NonNullable<MonitorReply[K]>;
}

/** A deep value whose arrays may be read-only, as the verbs hold it. */
export type Loose<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer E)[]
    ? readonly Loose<E>[]
    : T extends object
      ? { readonly [K in keyof T]: Loose<T[K]> }
      : T;
