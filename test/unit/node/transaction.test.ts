import test from 'ava';
import type { Journal } from '../../../src/node/journal.ts';
import { takenUp } from '../../../src/node/plan.ts';
import { runTransaction } from '../../../src/node/transaction.ts';
import { Model } from './model.ts';
import { begin, isOn, run, stories, type Story } from './stories.ts';

/** How many points a transaction passes when nothing goes wrong. */
async function pointsOf(story: Story): Promise<number> {
  const model = new Model(story.before(), story.kubelet);
  await run(model, begin(story));
  return model.passed.length;
}

for (const [name, story] of Object.entries(stories)) {
  test(`${name}: done`, async (t) => {
    const model = new Model(story.before(), story.kubelet);
    const ended = await run(model, begin(story));
    if (ended === 'killed') return t.fail();
    t.is(ended.outcome, 'done');
    t.deepEqual(ended.warnings, []);
    isOn(t, story, { model, ended });
    t.deepEqual(model.journal, ended);
  });

  test(`${name}: what fails at any point is walked back, or done all the same`, async (t) => {
    const count = await pointsOf(story);
    t.true(count >= 5);
    for (let k = 1; k <= count; k += 1) {
      const model = new Model(story.before(), story.kubelet);
      model.onPoint = (_, number) => {
        if (number === k) throw new Error('broken');
        return false;
      };
      const ended = await run(model, begin(story));
      if (ended === 'killed') return t.fail();
      const failedAt = model.passed[k - 1] ?? '';
      if (failedAt.endsWith('uncordon')) t.is(ended.outcome, 'done', failedAt);
      else t.is(ended.outcome, failedAt === 'look' ? 'refused' : 'walked-back', failedAt);
      isOn(t, story, { model, ended: ended.outcome === 'done' ? { ...ended, outcome: 'done' } : ended });
    }
  });

  test(`${name}: what fails for good is walked back`, async (t) => {
    const model = new Model(story.before(), story.kubelet);
    await run(model, begin(story));
    const forward = new Set(model.passed.filter((point) => point.startsWith('before')));
    for (const point of forward) {
      const again = new Model(story.before(), story.kubelet);
      again.onPoint = (passing) => {
        if (passing === point && again.journal?.direction === 'forward') throw new Error('broken');
        return false;
      };
      const ended = await run(again, begin(story));
      if (ended === 'killed') return t.fail();
      isOn(t, story, { model: again, ended });
    }
  });

  for (const booted of [false, true])
    test(`${name}: killed at any point${booted ? ', by a reboot' : ''}, it ends on one side`, async (t) => {
      const count = await pointsOf(story);
      for (let k = 1; k <= count; k += 1) {
        const first = new Model(story.before(), story.kubelet);
        first.onPoint = (_, number) => number === k;
        t.is(await run(first, begin(story)), 'killed');
        const second = new Model(first.host, story.kubelet);
        if (booted) second.boot();
        const ended = await run(second, takenUp(first.journal as Journal, booted ? 'b1' : 'b0'));
        if (ended === 'killed') return t.fail();
        t.is(ended.outcome, 'done', `killed at ${first.passed.at(-1)}`);
        isOn(t, story, { model: second, ended });
      }
    });

  test(`${name}: killed at any point of the walk back, it ends where it was`, async (t) => {
    const broken = (model: Model): boolean => model.journal?.direction === 'forward';
    const failing = (model: Model, name: string): void => {
      // the last thing but the return to pods: nearly all has been done by then
      const late = story.kubelet && story.kind !== 'upgrade' ? 'before ready' : 'after self-test';
      if (name === late && broken(model)) throw new Error('broken');
      if (story.to.type === 'none' && name === 'after place link' && broken(model)) throw new Error('broken');
    };
    const whole = new Model(story.before(), story.kubelet);
    whole.onPoint = (name) => {
      failing(whole, name);
      return false;
    };
    const back = await run(whole, begin(story));
    if (back === 'killed') return t.fail();
    t.is(back.outcome, 'walked-back');
    isOn(t, story, { model: whole, ended: back });
    for (let k = 1; k <= whole.passed.length; k += 1)
      for (const booted of [false, true]) {
        const first = new Model(story.before(), story.kubelet);
        first.onPoint = (name, number) => {
          failing(first, name);
          return number === k;
        };
        const early = await run(first, begin(story));
        if (early !== 'killed') continue; // the point that fails is not one to be killed at
        const second = new Model(first.host, story.kubelet);
        if (booted) second.boot();
        second.onPoint = (name) => {
          failing(second, name);
          return false;
        };
        second.journal = first.journal;
        const ended = await run(second, takenUp(first.journal as Journal, booted ? 'b1' : 'b0'));
        if (ended === 'killed') return t.fail();
        t.is(ended.outcome, 'walked-back');
        isOn(t, story, { model: second, ended });
      }
  });
}

test('what is interrupted too often walks back', async (t) => {
  const story = stories['switch'] as Story;
  let journal = begin(story);
  let host = story.before();
  for (let i = 0; i < 4; i += 1) {
    const model = new Model(host, true);
    model.onPoint = (name) => name === 'before self-test';
    t.is(await run(model, journal), 'killed');
    host = model.host;
    journal = takenUp(model.journal as Journal, 'b0');
  }
  const model = new Model(host, true);
  const ended = await run(model, journal);
  if (ended === 'killed') return t.fail();
  t.is(ended.outcome, 'walked-back');
  t.deepEqual(ended.failure, { step: 'self-test', message: 'it was interrupted 4 times' });
  isOn(t, story, { model, ended });
});

test('a step that takes longer than the whole may is walked back', async (t) => {
  const held = setInterval(() => undefined, 1000); // the timer of a step alone keeps no process alive
  t.teardown(() => clearInterval(held));
  const story = stories['switch'] as Story;
  const model = new Model(story.before(), true);
  const hanging = { ...model.effects };
  hanging.selfTest = async (_journal, _side, { signal }) => {
    const { promise, reject } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    await promise;
  };
  const parts = {
    effects: hanging,
    store: model.store,
    tell: () => undefined,
    nowMs: () => 0,
    sleep: async () => undefined,
    interrupted: new AbortController().signal,
  };
  const journal = begin(story);
  const ended = await runTransaction(parts, { ...journal, settings: { ...journal.settings, timeoutMs: 20 } });
  t.is(ended.outcome, 'walked-back');
  t.regex(ended.failure?.message ?? '', /^self-test was not over when the 0\.02 s of the whole were$/);
  isOn(t, story, { model, ended });
});

test('an interruption by the user walks back', async (t) => {
  const story = stories['revert'] as Story;
  const model = new Model(story.before(), true);
  const user = new AbortController();
  model.onPoint = (name) => {
    if (name === 'after remove pods') user.abort(new Error('it was interrupted'));
    return false;
  };
  const parts = {
    effects: model.effects,
    store: model.store,
    tell: () => undefined,
    nowMs: () => 0,
    sleep: async () => undefined,
    interrupted: user.signal,
  };
  const ended = await runTransaction(parts, begin(story));
  t.is(ended.outcome, 'walked-back');
  t.deepEqual(ended.failure, { step: 'stop-daemon', message: 'it was interrupted' });
  isOn(t, story, { model, ended });
});
