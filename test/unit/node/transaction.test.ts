import test, { type ExecutionContext } from 'ava';
import { type Journal, type Kind, newJournal, type Settings, type Side } from '../../../src/node/journal.ts';
import { takenUp } from '../../../src/node/plan.ts';
import { runTransaction } from '../../../src/node/transaction.ts';
import { type Host, Model, newEndpoint, oldEndpoint, oldSide, podwrightSide } from './model.ts';

const settings = (kubelet: boolean): Settings => ({
  prefix: '/opt/podwright',
  configDir: '/etc/podwright',
  configFile: '/etc/podwright/config.toml',
  linkDir: null,
  daemon: { by: 'self', log: '/var/log/podwrightd.log' },
  kubelet: kubelet
    ? { form: 'config', file: '/k', control: { by: 'systemd', unit: 'kubelet.service' }, healthUrl: 'http://h' }
    : null,
  kubernetes: null,
  graceMs: 1000,
  timeoutMs: 60_000,
  freeBytes: 0,
});

interface Story {
  readonly kind: Kind;
  readonly kubelet: boolean;
  readonly from: Side;
  readonly to: Side;
  readonly before: () => Host;
}

const onOld = (): Host => ({
  kubelet: true,
  pointer: oldEndpoint,
  uses: oldEndpoint,
  cordoned: false,
  pods: new Set([oldEndpoint]),
  daemon: null,
  placed: null,
  config: null,
});
const onNew = (): Host => ({
  ...onOld(),
  pointer: newEndpoint,
  uses: newEndpoint,
  pods: new Set([newEndpoint]),
  daemon: '1.0.0',
  placed: '1.0.0',
  config: 'one',
});
const alone = (version: string | null): Host => ({
  ...onOld(),
  kubelet: false,
  pointer: '',
  uses: '',
  pods: new Set(version === null ? [] : [newEndpoint]),
  daemon: version,
  placed: version,
  config: version && 'one',
});
const origin: Side = { type: 'runtime', endpoint: oldEndpoint, name: 'containerd', version: '2', pointer: oldEndpoint };

const stories: Readonly<Record<string, Story>> = {
  switch: { kind: 'switch', kubelet: true, from: oldSide, to: podwrightSide('1.0.0', 'one'), before: onOld },
  'switch of a cordoned node': {
    kind: 'switch',
    kubelet: true,
    from: oldSide,
    to: podwrightSide('1.0.0'),
    before: () => ({ ...onOld(), cordoned: true }),
  },
  upgrade: {
    kind: 'upgrade',
    kubelet: true,
    from: podwrightSide('1.0.0'),
    to: podwrightSide('1.1.0', 'two'),
    before: onNew,
  },
  revert: { kind: 'revert', kubelet: true, from: podwrightSide('1.0.0'), to: origin, before: onNew },
  install: {
    kind: 'install',
    kubelet: false,
    from: { type: 'none' },
    to: podwrightSide('1.0.0', 'one'),
    before: () => alone(null),
  },
  'uninstall of a node of its own': {
    kind: 'uninstall',
    kubelet: false,
    from: podwrightSide('1.0.0'),
    to: { type: 'none' },
    before: () => alone('1.0.0'),
  },
};

const begin = ({ kind, from, to, kubelet }: Story): Journal =>
  newJournal({
    id: 'x',
    kind,
    from,
    to,
    settings: settings(kubelet),
    bootId: 'b0',
    now: '2026-01-01T00:00:00.000Z',
    previous: null,
  });

const run = (model: Model, journal: Journal): Promise<Journal | 'killed'> => {
  const { effects, store } = model;
  const never = new AbortController().signal;
  const parts = {
    effects,
    store,
    tell: () => undefined,
    nowMs: () => 0,
    sleep: async () => undefined,
    interrupted: never,
  };
  return Promise.race([runTransaction(parts, journal), model.killed.promise]);
};

/** All is on one side, as it would be if nothing else had ever been. */
function isOn(t: ExecutionContext, story: Story, { model, ended }: { model: Model; ended: Journal }): void {
  const side = ended.outcome === 'done' ? story.to : story.from;
  const { host } = model;
  const before = story.before();
  const about = `${ended.outcome} after ${model.passed.at(-1)}`;
  t.is(host.kubelet, story.kubelet, `the kubelet runs, ${about}`);
  // told, for nothing else is left to be done about it
  const told = ended.warnings.some((warning) => warning.startsWith('uncordon: '));
  t.true(host.cordoned === before.cordoned || told, `cordoned as before, ${about}`);
  t.is(host.daemon, side.type === 'podwright' ? side.version : null, `podwrightd, ${about}`);
  t.is(host.placed, side.type === 'podwright' ? side.version : null, `the link, ${about}`);
  if (ended.outcome !== 'done') t.is(host.config, before.config, `configuration, ${about}`);
  else if (story.to.type === 'podwright' && story.to.config !== null) t.is(host.config, story.to.config);
  if (story.kubelet && side.type !== 'none') {
    t.is(host.pointer, side.endpoint, `the kubelet is told, ${about}`);
    t.deepEqual([...host.pods], [side.endpoint], `pods are on one side, ${about}`);
  }
  if (side.type === 'none') t.deepEqual([...host.pods], []);
}

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

test('a walk back that cannot go on stays open, and is taken up', async (t) => {
  const story = stories['switch'] as Story;
  const model = new Model(story.before(), true);
  model.onPoint = (name) => {
    if (name === 'before ready' && model.journal?.direction === 'forward') throw new Error('not Ready');
    if (name === 'before repoint' && model.journal?.direction === 'back') throw new Error('read-only');
    return false;
  };
  const stuck = await run(model, begin(story));
  if (stuck === 'killed') return t.fail();
  t.is(stuck.outcome, null);
  t.deepEqual(stuck.stuck, { step: 'repoint-kubelet', message: 'read-only' });
  t.deepEqual(model.journal, stuck);
  t.is(model.passed.filter((name) => name === 'before repoint').length, 4, 'once forward, three times back');
  model.onPoint = () => false;
  const ended = await run(model, takenUp(stuck, 'b0'));
  if (ended === 'killed') return t.fail();
  t.is(ended.outcome, 'walked-back');
  t.is(ended.stuck, null);
  isOn(t, story, { model, ended });
});

test('a step that takes longer than the whole may is walked back', async (t) => {
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
