import test from 'ava';
import type { ApiServer } from '../../../src/apiserver/apiserver.ts';
import { Gatekeeper } from '../../../src/relay/gatekeeper.ts';

const never = new AbortController().signal;
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** An API server that knows "good", and answers no other token while it is held. */
function room() {
  const asked: string[] = [];
  const held: (() => void)[] = [];
  const state = { nowMs: 0, hold: false };
  const api = {
    url: 'https://api',
    exchange: async ({ body }: { body: { spec: { token?: string } } }) => {
      const { token } = body.spec;
      if (token === undefined) return { status: 201, body: { status: { allowed: true } } };
      asked.push(token);
      if (state.hold && token !== 'good') await new Promise<void>((resolve) => held.push(resolve));
      const user = { username: token };
      return { status: 201, body: { status: { authenticated: token === 'good', user } } };
    },
  } as unknown as ApiServer;
  const gatekeeper = new Gatekeeper({ api, nowMs: () => state.nowMs, audiences: [], allowMs: 1000 });
  const judge = async (token: string, signal = never) => (await gatekeeper.judge(token, '/metrics', signal)).type;
  const release = async (): Promise<void> => {
    while (held.length > 0) {
      for (const go of held.splice(0)) go();
      await settled();
    }
  };
  return { judge, asked, state, held, release };
}

test('a flood of bad tokens does not drive a good one out', async (t) => {
  const { judge, asked } = room();
  t.is(await judge('good'), 'allowed');
  for (let i = 0; i < 1100; i += 1) t.is(await judge(`bad-${i}`), 'unknown');
  t.is(await judge('good'), 'allowed');
  t.is(await judge('bad-1099'), 'unknown');
  t.is(asked.length, 1101, 'both are remembered');
  t.is(await judge('bad-0'), 'unknown');
  t.is(asked.length, 1102, 'the oldest is not');
});

test('bad tokens under way do not starve a good one', async (t) => {
  const { judge, asked, state, release } = room();
  t.is(await judge('good'), 'allowed');
  state.nowMs = 2000;
  state.hold = true;
  const bad = Array.from({ length: 20 }, (_, i) => judge(`bad-${i}`));
  await settled();
  t.is(asked.length, 1 + 16, 'so many at a time');
  t.is(await judge('good'), 'allowed', 'one that has been good waits for none of them');
  await release();
  t.deepEqual(new Set(await Promise.all(bad)), new Set(['unknown']));
  const others = Array.from({ length: 20 }, (_, i) => judge(`worse-${i}`));
  await settled();
  const fresh = room();
  fresh.state.hold = true;
  const before = Array.from({ length: 16 }, (_, i) => fresh.judge(`bad-${i}`));
  const first = fresh.judge('good');
  await settled();
  t.false(fresh.asked.includes('good'));
  await fresh.release();
  t.is(await first, 'allowed', 'one that is new has its turn');
  await release();
  await Promise.all([...others, ...before]);
});

test('too many that wait are put off, and who leaves makes room', async (t) => {
  const { judge, state, asked, release } = room();
  state.hold = true;
  const gone = new AbortController();
  const waiting = Array.from({ length: 16 + 255 }, (_, i) => judge(`bad-${i}`));
  const leaving = judge('leaves', gone.signal).catch(() => 'left');
  await settled();
  t.is(await judge('late'), 'undecided');
  gone.abort();
  t.is(await leaving, 'left');
  await settled();
  const last = judge('last');
  await release();
  t.is(await last, 'unknown');
  await Promise.all(waiting);
  t.false(asked.includes('leaves'));
});
