// Ways back on which something fails, too.
import test from 'ava';
import { takenUp } from '../../../src/node/plan.ts';
import { runTransaction } from '../../../src/node/transaction.ts';
import { Model, oldEndpoint } from './model.ts';
import { begin, isOn, run, stories, type Story } from './stories.ts';

/** A switch whose way back cannot repoint the kubelet. */
function unpointable(): { readonly story: Story; readonly model: Model } {
  const story = stories['switch'] as Story;
  const model = new Model(story.before(), true);
  model.onPoint = (name) => {
    if (name === 'before ready' && model.journal?.direction === 'forward') throw new Error('not Ready');
    if (name === 'before repoint' && model.journal?.direction === 'back') throw new Error('read-only');
    return false;
  };
  return { story, model };
}

test('a walk back that cannot go on is tried until the user ends it, stays open, and is taken up', async (t) => {
  const { story, model } = unpointable();
  const { effects, store } = model;
  const user = new AbortController();
  const slept: number[] = [];
  const sleep = async (ms: number): Promise<void> => {
    slept.push(ms);
    if (slept.filter((one) => one >= 5000).length === 6) user.abort(new Error('it was interrupted'));
  };
  const told: string[] = [];
  const tell = (line: string): void => void told.push(line);
  const stuck = await runTransaction(
    { effects, store, tell, nowMs: () => 0, sleep, interrupted: user.signal },
    begin(story),
  );
  t.is(stuck.outcome, null);
  t.deepEqual(stuck.stuck, { step: 'repoint-kubelet', message: 'read-only' });
  t.deepEqual(model.journal, stuck);
  t.deepEqual(
    slept.filter((ms) => ms >= 5000),
    [5000, 10_000, 20_000, 40_000, 60_000, 60_000],
  );
  t.true(told.includes('stuck at repoint-kubelet while the kubelet is stopped: tried again in 5 s'));
  t.is(
    model.passed.filter((name) => name === 'before repoint').length,
    1 + 6 * 3,
    'once forward, three times each back',
  );
  model.onPoint = () => false;
  const ended = await run(model, takenUp(stuck, 'b0'));
  if (ended === 'killed') return t.fail();
  t.is(ended.outcome, 'walked-back');
  t.is(ended.stuck, null);
  isOn(t, story, { model, ended });
});

test('a walk back that was stuck without a kubelet goes on by itself, after an interruption too', async (t) => {
  for (const interrupted of [false, true]) {
    const { story, model } = unpointable();
    const { effects, store, onPoint } = model;
    const user = new AbortController();
    model.onPoint = (name, number) => {
      if (interrupted && name === 'before ready' && model.journal?.direction === 'forward')
        user.abort(new Error('now'));
      return onPoint(name, number);
    };
    const sleep = async (ms: number): Promise<void> => {
      if (ms === 10_000) model.onPoint = () => false;
    };
    const ended = await runTransaction(
      { effects, store, tell: () => undefined, nowMs: () => 0, sleep, interrupted: user.signal },
      begin(story),
    );
    t.is(ended.outcome, 'walked-back');
    t.is(ended.stuck, null);
    isOn(t, story, { model, ended });
  }
});

test('what podwright leaves in place does not keep a node from the runtime it had', async (t) => {
  for (const name of ['switch', 'install'] as const) {
    const story = stories[name] as Story;
    const model = new Model(story.before(), story.kubelet);
    model.onPoint = (point) => {
      if (point === 'before self-test') throw new Error('broken');
      if (point === 'before place config' && model.journal?.direction === 'back') throw new Error('read-only');
      return false;
    };
    const ended = await run(model, begin(story));
    if (ended === 'killed') return t.fail();
    t.is(ended.outcome, 'walked-back');
    t.true(ended.warnings.includes('place: read-only'));
    t.is(model.passed.filter((point) => point === 'before place config').length, 1 + 3);
    t.is(model.host.kubelet, story.kubelet);
    t.is(model.host.daemon, null);
    if (story.kubelet) t.is(model.host.uses, oldEndpoint);
  }
});

test('a journal that cannot be written any more ends the way forward, and not the way back', async (t) => {
  const story = stories['switch'] as Story;
  const whole = new Model(story.before(), true);
  await run(whole, begin(story));
  for (let k = 1; k <= 11; k += 1) {
    const model = new Model(story.before(), true);
    let writes = 0;
    const told: string[] = [];
    const store = {
      read: () => null,
      write: () => {
        if ((writes += 1) >= k) throw new Error('no space');
      },
    };
    const { effects } = model;
    const tell = (line: string): void => void told.push(line);
    const never = new AbortController().signal;
    const ended = await runTransaction(
      { effects, store, tell, nowMs: () => 0, sleep: async () => undefined, interrupted: never },
      begin(story),
    );
    t.is(ended.outcome, k === 1 ? 'refused' : 'walked-back', `write ${k}`);
    t.is(ended.failure?.message, 'no space');
    t.true(told.includes('the journal could not be written: no space'));
    isOn(t, story, { model, ended });
  }
});

test('a clock that is set meanwhile does not end it', async (t) => {
  const story = stories['switch'] as Story;
  const model = new Model(story.before(), true);
  let now = 0;
  const ended = await runTransaction(
    {
      effects: model.effects,
      store: model.store,
      tell: () => undefined,
      nowMs: () => (now += 3_600_000),
      sleep: async () => undefined,
      interrupted: new AbortController().signal,
    },
    begin(story),
  );
  t.is(ended.outcome, 'done');
});
