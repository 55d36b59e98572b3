// Requests that are none, or hold anything: refusing the one, keeping the other out of the log.
// Must not know a single RPC.
import { invalidArgument } from '../lib/failure.ts';
import { Malformed } from '../proto/strict-reader.ts';
import type { FieldCheck } from './field-check.ts';
import type { Subject } from './rpc.ts';

/** A check that first refuses bytes that were no message. */
export const refusingMalformed =
  (method: string, check: FieldCheck): FieldCheck =>
  (request) => {
    if (request instanceof Malformed)
      throw invalidArgument(`the request of ${method} cannot be read: ${request.reason}`);
    check(request);
  };

/** What a row says a request is about, for the log; nothing of a malformed one. */
export const safeSubject =
  (subject: (request: never) => Subject) =>
  (request: object): Subject =>
    request instanceof Malformed ? {} : shortened(subject(request as never));

/** Longest name of an object in a line of the log: refused requests are logged too. */
const longestSubject = 256;

function shortened(subject: Subject): Subject {
  const isLong = (value: string | number): value is string =>
    typeof value === 'string' && value.length > longestSubject;
  if (!Object.values(subject).some(isLong)) return subject;
  const cut = Object.entries(subject).map(([key, value]) => [
    key,
    isLong(value) ? `${value.slice(0, longestSubject).toWellFormed()}…` : value,
  ]);
  return Object.fromEntries(cut) as Subject;
}
