// Sandbox records on disk: `sandbox.json` (once) and `status.json` (facts).
import type { RecordFormat } from './record-store.ts';
import { RecordStore, type RecordStoreOptions } from './record-store.ts';

// F2 rooms know the nouns of F3 only by shape: the record types come in as parameters.
interface Identity {
  readonly id: string;
  readonly createdAt: bigint;
}
interface Status {
  readonly stopRequestedAt: bigint;
  readonly deliveredAt: bigint;
}

type Plain = Readonly<Record<string, unknown>>;

const big = (data: Plain, key: string): bigint => BigInt((data[key] as string | undefined) ?? '0');

/** The format of sandbox records: times are decimal strings, all else JSON. */
const sandboxFormat = <I extends Identity, S extends Status>(): RecordFormat<I, S> => ({
  noun: 'sandbox',
  identityFile: 'sandbox.json',
  encodeIdentity: (i) => ({ ...i, createdAt: String(i.createdAt) }),
  decodeIdentity: (data) => ({ ...(data as I), createdAt: big(data as Plain, 'createdAt') }),
  encodeStatus: (s) => ({ ...s, stopRequestedAt: String(s.stopRequestedAt), deliveredAt: String(s.deliveredAt) }),
  decodeStatus: (data) => ({
    updated: null, // older releases do not write it
    ...(data as S),
    stopRequestedAt: big(data as Plain, 'stopRequestedAt'),
    deliveredAt: big(data as Plain, 'deliveredAt'),
  }),
});

/** Opens the sandbox records; `load()` reads them. */
export const sandboxRecords = <I extends Identity, S extends Status>(
  options: Omit<RecordStoreOptions<I, S>, 'format'>,
): RecordStore<I, S> => new RecordStore({ ...options, format: sandboxFormat<I, S>() });
