import test from 'ava';
import { garbage, type GarbageFacts } from '../../../src/image/garbage.ts';
import type { ImageRecord } from '../../../src/image/image.ts';
import { Leases } from '../../../src/image/leases.ts';
import type { ChainId, Digest } from '../../../src/lib/id.ts';

const layer = (name: string, committedAt = 0n) => ({ chainId: name as ChainId, committedAt });
const image = (chain: string[], patch: object = {}): ImageRecord =>
  ({
    id: 'config',
    manifestDigest: 'manifest',
    targetDigest: 'index',
    chain,
    layers: [{ digest: 'blob' }],
    blobsKept: false,
    ...patch,
  }) as unknown as ImageRecord;

const sweep = (patch: Partial<GarbageFacts>) => {
  const found = garbage({
    layers: [],
    blobs: [],
    records: [],
    inUse: [],
    held: () => false,
    released: new Set(),
    now: 1000n,
    graceNanos: 100n,
    ...patch,
  });
  return {
    layers: found.layers as readonly string[],
    blobs: found.blobs as readonly string[],
    waiting: found.waiting,
    held: [...found.held],
  };
};

test('layers of images, of containers and of running work stay', (t) => {
  const layers = ['image', 'container', 'held', 'nobody'].map((name) => layer(name));
  const facts = { layers, records: [image(['image'])], inUse: ['container'], held: (key: string) => key === 'held' };
  t.deepEqual(sweep(facts), { layers: ['nobody'], blobs: [], waiting: false, held: ['held'] });
});

test('a layer of a failed pull waits for the retry, a released one does not', (t) => {
  const layers = [layer('young', 950n), layer('old', 900n), layer('gone', 990n)];
  t.deepEqual(sweep({ layers, released: new Set(['gone']) }), {
    layers: ['old', 'gone'],
    blobs: [],
    waiting: true,
    held: [],
  });
  t.false(sweep({ layers: [layer('old')] }).waiting);
});

test('documents of images stay, their blobs only where they are kept', (t) => {
  const blobs = ['config', 'manifest', 'index', 'blob', 'other'] as string[] as Digest[];
  t.deepEqual(sweep({ blobs, records: [image([])] }).blobs, ['blob', 'other']);
  t.deepEqual(sweep({ blobs, records: [image([], { blobsKept: true })] }).blobs, ['other']);
  t.deepEqual(sweep({ blobs, held: (key) => key !== 'other' }).blobs, ['other']);
});

test('leases count their holders', (t) => {
  const free: string[] = [];
  const leases = new Leases((keys) => void free.push(...keys));
  const one = leases.hold(['a', 'b']);
  const two = leases.hold(['a']);
  one();
  one();
  t.true(leases.has('a'));
  t.false(leases.has('b'));
  t.deepEqual(free, ['b']);
  two();
  t.false(leases.has('a'));
  t.deepEqual(free, ['b', 'a']);
});
