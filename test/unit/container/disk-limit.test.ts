import test from 'ava';
import type { ContainerConfig } from '../../../src/container/container.ts';
import { diskLimit } from '../../../src/container/disk-limit.ts';
import { Failure } from '../../../src/lib/failure.ts';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';

const key = 'podwright.writable-layer-limit';
const limit = (pod: Record<string, string>, node: number[] = [], own: Record<string, string> = {}): number | null =>
  diskLimit(
    { metadata: { name: 'app', attempt: 0 }, annotations: own } as unknown as ContainerConfig,
    { identity: { config: { annotations: pod } } } as unknown as Sandbox,
    node,
  );

test('the nearest annotation counts, and the smallest of it and what the node says', (t) => {
  t.is(limit({}), null);
  t.is(limit({}, [0, 0]), null);
  t.is(limit({}, [0, 5e6]), 5e6);
  t.is(limit({ [key]: '1Gi' }), 2 ** 30);
  t.is(limit({ [key]: '1Gi' }, [5e6]), 5e6, 'a pod cannot raise it');
  t.is(limit({ [key]: '1M' }, [5e6, 2e6]), 1e6);
  t.is(limit({ [key]: '1Gi', [`${key}/app`]: '2Gi' }), 2 ** 31);
  t.is(limit({ [key]: '1Gi', [`${key}/other`]: '2Gi' }), 2 ** 30);
  t.is(limit({ [`${key}/app`]: '2Gi' }, [], { [key]: '3Gi' }), 3 * 2 ** 30);
});

test('sizes as Kubernetes and as our own settings write them', (t) => {
  const sizes = {
    '70000': 70_000,
    '100k': 100_000,
    '2M': 2e6,
    '1G': 1e9,
    '1T': 1e12,
    '64Ki': 65_536,
    ' 1Mi ': 2 ** 20,
    '1MiB': 2 ** 20,
    '1TiB': 2 ** 40,
  };
  for (const [text, bytes] of Object.entries(sizes)) t.is(limit({ [key]: text }), bytes, text);
  for (const text of ['', '0', '1', '65535', '-1Gi', '1.5Gi', '1gi', '1m', '1e9', 'Gi', '1 Gi', '9999999999999T']) {
    const error = t.throws(() => limit({ [`${key}/app`]: text }), { instanceOf: Failure }, text);
    t.is((error as Failure).kind, 'invalid-argument');
    t.true(error.message.includes(`annotation ${key}/app is ${JSON.stringify(text)}`), error.message);
  }
});
