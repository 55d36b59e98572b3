// Container records on disk: `container.json` (once) and `status.json` (facts).
import type { RecordFormat } from './record-store.ts';
import { RecordStore, type RecordStoreOptions } from './record-store.ts';

interface Identity {
  readonly id: string;
  readonly createdAt: bigint;
}
interface Exit {
  readonly finishedAt: bigint;
}
interface Status {
  readonly startedAt: bigint;
  readonly stopRequestedAt: bigint;
  readonly deliveredAt: bigint;
  readonly exit: Exit | null;
}

type Plain = Readonly<Record<string, unknown>>;

const big = (data: Plain, key: string): bigint => BigInt((data[key] as string | undefined) ?? '0');

/** The format of container records: times are decimal strings, all else JSON. */
const containerFormat = <I extends Identity, S extends Status>(): RecordFormat<I, S> => ({
  noun: 'container',
  identityFile: 'container.json',
  encodeIdentity: (i) => ({ ...i, createdAt: String(i.createdAt) }),
  decodeIdentity: (data) => ({ ...(data as I), createdAt: big(data as Plain, 'createdAt') }),
  encodeStatus: (s) => ({
    ...s,
    startedAt: String(s.startedAt),
    stopRequestedAt: String(s.stopRequestedAt),
    deliveredAt: String(s.deliveredAt),
    exit: s.exit && { ...s.exit, finishedAt: String(s.exit.finishedAt) },
  }),
  decodeStatus: (data) => {
    const plain = data as Plain;
    const exit = plain.exit as Plain | null;
    return {
      ...(data as S),
      startedAt: big(plain, 'startedAt'),
      stopRequestedAt: big(plain, 'stopRequestedAt'),
      deliveredAt: big(plain, 'deliveredAt'),
      exit: exit && { ...exit, finishedAt: big(exit, 'finishedAt') },
    } as S;
  },
});

/** Opens the container records; `load()` reads them. */
export const containerRecords = <I extends Identity, S extends Status>(
  options: Omit<RecordStoreOptions<I, S>, 'format'>,
): RecordStore<I, S> => new RecordStore({ ...options, format: containerFormat<I, S>() });
