import test from 'ava';
import { criMessage } from '../../../src/proto/cri-codec.ts';
import { EncodedList } from '../../../src/cri/encoded-list.ts';

interface Item {
  readonly value: { readonly id: string };
  readonly state: string;
}

test('the concatenation is what the codec would have made, long items included', (t) => {
  let encoded = 0;
  const list = new EncodedList<Item>({
    identity: ({ value }) => value,
    variant: ({ state }) => (state === 'CONTAINER_RUNNING' ? 0 : 1),
    encode: ({ value, state }) => {
      encoded += 1;
      return criMessage('Container').serialize({ id: value.id, state });
    },
  });
  const items = [0, 1, 127, 128, 16_383, 16_384, 300_000].map((length) => ({
    value: { id: 'x'.repeat(length) },
    state: 'CONTAINER_RUNNING',
  }));
  const whole = criMessage('ListContainersResponse').serialize({
    containers: items.map(({ value, state }) => ({ id: value.id, state })),
  });
  t.true(list.encode(items).equals(whole));
  t.is(encoded, items.length);
  t.true(list.encode(items).equals(whole));
  t.is(encoded, items.length);
});

test('a new object and another variant are encoded anew, and an old variant is kept', (t) => {
  const seen: string[] = [];
  const list = new EncodedList<Item>({
    identity: ({ value }) => value,
    variant: ({ state }) => Number(state),
    encode: ({ value, state }) => {
      seen.push(`${value.id}${state}`);
      return Buffer.from([]);
    },
  });
  const value = { id: 'a' };
  list.encode([{ value, state: '0' }]);
  list.encode([{ value, state: '1' }]);
  list.encode([{ value, state: '0' }]);
  list.encode([{ value: { id: 'a' }, state: '0' }]);
  t.deepEqual(seen, ['a0', 'a1', 'a0']);
});

test('an empty list is an empty message', (t) => {
  const list = new EncodedList<object>({ identity: (o) => o, variant: () => 0, encode: () => Buffer.from([]) });
  t.is(list.encode([]).length, 0);
});
