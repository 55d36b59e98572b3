// What follows from what is wished and what the host's journal says.
import test from 'ava';
import {
  type Attempt,
  isSettled,
  type NodeSeen,
  nextFor,
  triedAgain,
  type Wish,
} from '../../../src/installer/decide.ts';

const wish: Wish = {
  retire: false,
  switch: true,
  release: '/opt/podwright/releases/2',
  config: 'a = 1\n',
  digest: 'w',
};
const staged: Wish = { ...wish, switch: false };
const retire: Wish = { ...wish, retire: true };

type Transaction = NonNullable<NodeSeen['transaction']>;
const transaction = (about: Partial<Transaction> = {}): Transaction => ({
  id: 't1',
  kind: 'switch',
  step: null,
  direction: 'forward',
  movesKubelet: true,
  wish: 'w',
  failure: null,
  ...about,
});
const none: NodeSeen = { state: 'none', on: null, transaction: null, staged: true, changing: false };
const podwright = { type: 'podwright', release: wish.release, config: wish.config } as const;
const other = { type: 'runtime', release: null, config: null } as const;
const moved: NodeSeen = { state: 'done', on: podwright, transaction: transaction(), staged: true, changing: false };
const beside: NodeSeen = {
  ...moved,
  transaction: transaction({ kind: 'install', movesKubelet: false }),
};
const walkedBack: NodeSeen = {
  ...moved,
  state: 'walked-back',
  on: other,
  transaction: transaction({ direction: 'back', failure: 'ready: it was not' }),
};
const reverted: NodeSeen = { ...moved, on: other, transaction: transaction({ kind: 'revert' }) };
const gone: NodeSeen = { ...none, staged: false };

/** A decision in one word or two, with * for a change that waits for its turn. */
function said(wished: Wish, seen: NodeSeen, attempt: Attempt | null = null): string {
  const next = nextFor(wished, seen, attempt);
  return next.type === 'begin' ? `${next.change}${next.turn ? '*' : ''}` : next.type;
}

const table: readonly [string, Wish, NodeSeen, string][] = [
  ['a node that was never touched is switched in its turn', wish, none, 'switch*'],
  ['or only installed beside', staged, none, 'install'],
  ['as wished', wish, moved, 'done'],
  ['beside, as wished', staged, beside, 'done'],
  ['another release needs no turn: pods live on', { ...wish, release: '/opt/podwright/releases/3' }, moved, 'switch'],
  ['nor do other settings', { ...wish, config: 'a = 2\n' }, moved, 'switch'],
  ['nor do values of which only the command lines tell', { ...wish, digest: 'other' }, moved, 'switch'],
  ['and they are told a node beside', { ...staged, digest: 'other' }, beside, 'install'],
  ['beside too', { ...staged, config: 'a = 2\n' }, beside, 'install'],
  ['what runs beside goes before the kubelet is moved', wish, beside, 'uninstall'],
  ['and after that it is', wish, { ...beside, on: { ...other, type: 'none' }, staged: true }, 'switch*'],
  ['a kubelet that is not to be moved any more goes back', staged, moved, 'revert*'],
  ['and podwright goes beside', staged, reverted, 'install'],
  ['retired from the kubelet in its turn', retire, moved, 'uninstall*'],
  ['from beside at once', retire, beside, 'uninstall'],
  ['what is left goes too', retire, reverted, 'uninstall'],
  ['of a node that was never touched too', retire, none, 'uninstall'],
  ['gone', retire, gone, 'done'],
  ['gone, with a journal that stays', retire, { ...reverted, staged: false }, 'done'],
  ['nothing is begun while something goes on', retire, { ...moved, state: 'under-way', on: null }, 'wait'],
  ['nor while a command has not got to its journal yet', wish, { ...none, changing: true }, 'wait'],
  ['and what is being resumed is not resumed twice', wish, { ...moved, state: 'interrupted', changing: true }, 'wait'],
  ['interrupted', wish, { ...moved, state: 'interrupted', on: null }, 'resume'],
  ['stuck, also when it is to be retired', retire, { ...moved, state: 'stuck', on: null }, 'resume'],
];
for (const [title, wished, seen, expected] of table) test(title, (t) => t.is(said(wished, seen), expected));

test('by its status another node knows whether something goes on', (t) => {
  for (const [title, wished, seen] of table) {
    const { type, status } = nextFor(wished, seen, null);
    if (status !== 'gone') t.is(isSettled(status), type === 'done', title); // "gone" is never said: the words are taken away
  }
  t.true(isSettled(nextFor(wish, walkedBack, { wish: 'w', after: '' }).status), 'failed');
  t.true(isSettled('waits for n0, which is not Ready (mend it, or delete its Node)'));
  t.true(isSettled(`switch was refused: preflight: no room; ${triedAgain}`));
  t.true(isSettled(null), 'it has never said anything');
  t.false(isSettled('find the host’s namespaces: no process kubelet of the host runs'));
});

test('an attempt that was walked back is not made again for the same wish', (t) => {
  t.is(said(wish, walkedBack, { wish: 'w', after: '' }), 'failed');
  t.is(said(wish, walkedBack, { wish: 'another', after: '' }), 'switch*', 'another wish');
  t.is(said(wish, walkedBack, null), 'switch*', 'a person took the word away');
  t.is(said(wish, walkedBack, { wish: 'w', after: 't1' }), 'switch*', 'it was noted and not begun');
  const { status } = nextFor(wish, walkedBack, { wish: 'w', after: '' });
  t.is(status, 'switch failed and was walked back: ready: it was not');
});

test('an upgrade that was walked back is no success, whatever release and settings the node has', (t) => {
  const upgrade = transaction({
    kind: 'upgrade',
    direction: 'back',
    wish: 'before',
    failure: 'start-daemon: it did not',
  });
  const upgraded: NodeSeen = { ...walkedBack, on: podwright, transaction: upgrade };
  t.is(said(wish, upgraded, { wish: 'w', after: 't0' }), 'failed');
  t.is(said({ ...wish, digest: 'before' }, upgraded, { wish: 'w', after: 't0' }), 'done', 'the values before are back');
});

test('what was refused changed nothing, and is tried again', (t) => {
  const refused: NodeSeen = {
    ...walkedBack,
    state: 'refused',
    transaction: transaction({ failure: 'preflight: no room' }),
  };
  const next = nextFor(wish, refused, { wish: 'w', after: '' });
  t.like(next, { type: 'begin', change: 'switch', status: 'switch is to begin; was refused: preflight: no room' });
  t.like(next, { again: 'was refused: preflight: no room' });
  t.like(nextFor(wish, refused, { wish: 'another', after: '' }), { again: null }, 'another wish has not been tried');
});

test('what ended without a journal is told from what was not tried yet', (t) => {
  t.like(nextFor(wish, none, { wish: 'w', after: '' }), { type: 'begin', again: 'ended before it had a journal' });
  t.like(nextFor(wish, none, null), { type: 'begin', again: null });
  const two = { ...beside, on: { ...other, type: 'none' } as const, transaction: transaction({ id: 't2' }) };
  t.like(
    nextFor(wish, two, { wish: 'w', after: 't1' }),
    { change: 'switch', again: null },
    'the second of two changes',
  );
});

test('to give a node back is an attempt of its own, and is not made again when it was walked back', (t) => {
  const stayed: NodeSeen = {
    ...walkedBack,
    on: podwright,
    transaction: transaction({ kind: 'uninstall', failure: 'ready: no' }),
  };
  t.is(said(retire, stayed, { wish: 'w', after: '' }), 'uninstall*', 'that was the switch');
  t.is(said(retire, stayed, { wish: 'retire-w', after: 't0' }), 'failed');
  t.is(said(retire, stayed, { wish: 'retire-w', after: 't1' }), 'uninstall*', 'it was noted and not begun');
  t.like(nextFor(retire, reverted, { wish: 'retire-w', after: 't0' }), {
    change: 'uninstall',
    again: 'something was left',
  });
});
