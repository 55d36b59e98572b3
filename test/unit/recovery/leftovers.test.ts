import test from 'ava';
import { Leftovers, sweptMs } from '../../../src/recovery/leftovers.ts';
import type { Action } from '../../../src/recovery/reconcile.ts';

const [s, c] = ['a'.repeat(64), 'b'.repeat(64)];

const rows: readonly { readonly action: Action; readonly swept: string | null; readonly owed: string | null }[] = [
  {
    action: { type: 'end-orphan', sandboxId: s, why: '' },
    swept: 'sandbox aaaaaaaaaaaaa without a record',
    owed: 'sandbox aaaaaaaaaaaaa without a record',
  },
  {
    action: { type: 'forget-container', sandboxId: s, containerId: c, why: '' },
    swept: 'container bbbbbbbbbbbbb without a record',
    owed: 'container bbbbbbbbbbbbb without a record',
  },
  {
    action: { type: 'remove-snapshot', sandboxId: '', containerId: c },
    swept: 'writable layer bbbbbbbbbbbbb without a container',
    owed: 'writable layer bbbbbbbbbbbbb without a container',
  },
  {
    action: { type: 'remove-bundle', sandboxId: '', containerId: c },
    swept: 'bundle bbbbbbbbbbbbb without a container',
    owed: 'bundle bbbbbbbbbbbbb without a container',
  },
  // it counts as running until its end is on record
  {
    action: { type: 'lose-container', sandboxId: s, containerId: c, why: '' },
    swept: null,
    owed: 'container bbbbbbbbbbbbb',
  },
  // these are owed by their records
  { action: { type: 'teardown-sandbox', sandboxId: s, why: '' }, swept: null, owed: null },
  { action: { type: 'stop-sandbox', sandboxId: s, why: '' }, swept: null, owed: null },
  { action: { type: 'teardown-container', sandboxId: s, containerId: c, why: '' }, swept: null, owed: null },
];

for (const { action, swept, owed } of rows) {
  test(`${action.type}: told when done, ${owed === null ? 'not kept' : 'kept'} when it fails`, async (t) => {
    const done = new Leftovers(() => 0);
    done.done(action);
    t.deepEqual([done.swept(), done.owed()], [swept === null ? [] : [swept], []]);
    const left = new Leftovers(() => 0);
    let fails = true;
    left.failed({
      action,
      isRunning: () => true,
      again: async () => {
        if (fails) throw new Error('it hangs');
      },
    });
    t.deepEqual(
      left.owed().map(({ subject, isBusy }) => ({ subject, isBusy })),
      owed === null ? [] : [{ subject: owed, isBusy: true }],
    );
    t.deepEqual(left.swept(), []);
    for (const each of left.owed()) await t.throwsAsync(each.again(), { message: 'it hangs' });
    t.is(left.owed().length, owed === null ? 0 : 1);
    fails = false;
    for (const each of left.owed()) await each.again();
    t.deepEqual(left.owed(), []);
  });
}

test('what was taken away is told when it is, and for an hour', (t) => {
  let nowMs = 0;
  const left = new Leftovers(() => nowMs);
  const told: string[] = [];
  const bundle = (name: string): Action => ({ type: 'remove-bundle', sandboxId: '', containerId: name });
  left.done(bundle('a'));
  const end = left.onSwept((what) => void told.push(what));
  nowMs = sweptMs - 1;
  left.done(bundle('b'));
  t.is(left.swept().length, 2);
  nowMs = sweptMs;
  t.deepEqual(left.swept(), ['bundle b without a container']);
  end();
  left.done(bundle('c'));
  t.deepEqual(told, ['bundle b without a container']);
});

test('each has a key of its own', (t) => {
  const left = new Leftovers(() => 0);
  for (const { action } of rows) left.failed({ action, isRunning: () => false, again: async () => undefined });
  const keys = left.owed().map(({ key }) => key);
  t.is(keys.length, 5);
  t.is(new Set(keys).size, 5);
});
