// The installer's loop against a cluster that is a map of objects: the turn, labels, and a whole story of one node.
import test from 'ava';
import type { ApiRequest, ApiServer } from '../../../src/apiserver/apiserver.ts';
import { Backoff } from '../../../src/installer/backoff.ts';
import { nodesLeft } from '../../../src/installer/cluster.ts';
import type { NodeSeen } from '../../../src/installer/decide.ts';
import { labelValue, said, say } from '../../../src/installer/labels.ts';
import { lookOnce, type NodePorts, parseAttempt, type Task } from '../../../src/installer/node.ts';
import { Turn } from '../../../src/installer/turn.ts';

const never = new AbortController().signal;
// oxlint-disable-next-line typescript/no-explicit-any -- documents of the API, of which a test looks at a place or two
type Loose = Record<string, any>;

const leasePath = '/apis/coordination.k8s.io/v1/namespaces/pw/leases/turn';
const nodePath = '/api/v1/nodes/n1';

/** An API server of a few objects: merge patches, and replacement by resourceVersion. */
class FakeApi implements ApiServer {
  readonly url = 'https://fake';
  readonly objects = new Map<string, Loose>([
    [leasePath, { metadata: { name: 'turn', resourceVersion: '1' } }],
    [nodePath, { metadata: { name: 'n1', labels: { own: 'x' }, annotations: {} } }],
  ]);
  readonly patches: Loose[] = [];
  /** Nodes that have an installer; null: that may not be asked. */
  installers: readonly string[] | null = null;

  exchange({ method, path, body }: ApiRequest) {
    const answer = (status: number, value: unknown = null) =>
      Promise.resolve({ status, body: value, retryAfterMs: null });
    const [place = '', query] = path.split('?');
    if (query?.includes('component%3Dinstaller') === true) {
      if (this.installers === null) return answer(403);
      return answer(200, { items: this.installers.map((nodeName) => ({ metadata: {}, spec: { nodeName } })) });
    }
    if (query !== undefined) return answer(200, { items: [...this.objects.values()].filter(isLabelled) });
    const found = this.objects.get(place);
    if (found === undefined) return answer(404);
    if (method === 'GET') return answer(200, structuredClone(found));
    const given = structuredClone(body) as Loose;
    if (method === 'PUT') {
      if (given['metadata'].resourceVersion !== found['metadata'].resourceVersion) return answer(409);
      given['metadata'].resourceVersion = String(Number(given['metadata'].resourceVersion) + 1);
      this.objects.set(place, given);
      return answer(200, structuredClone(given));
    }
    this.patches.push(given);
    for (const part of ['labels', 'annotations'] as const)
      for (const [key, value] of Object.entries(given['metadata'][part] ?? {}))
        if (value === null) delete found['metadata'][part][key];
        else found['metadata'][part][key] = value;
    return answer(200, found);
  }

  close(): void {
    this.objects.clear();
  }
}

const isLabelled = (one: Loose): boolean => 'podwright.io/release' in (one['metadata'].labels ?? {});

test('one node has the turn, until it gives it back or is silent for long', async (t) => {
  const api = new FakeApi();
  let now = 1_000_000;
  const turnOf = (node: string) => new Turn(api, { namespace: 'pw', name: 'turn', node, seconds: 60 }, () => now);
  const [a, b] = [turnOf('a'), turnOf('b')];
  t.is(await a.take(never), null);
  t.is(await b.take(never), 'a');
  t.is(api.objects.get(leasePath)?.['spec'].renewTime, '1970-01-01T00:16:40.000000Z', 'a MicroTime');
  now += 50_000;
  t.is(await a.take(never), null, 'renewed');
  now += 50_000;
  t.is(await b.take(never), 'a', 'the renewal counts from when it was seen');
  await b.giveBack(never);
  t.is(api.objects.get(leasePath)?.['spec'].holderIdentity, 'a', 'only its holder gives it back');
  now += 61_000;
  t.is(await b.take(never), null, 'nobody has heard of a, and it has no Node');
  t.is(api.objects.get(leasePath)?.['spec'].leaseTransitions, 2);
  await b.giveBack(never);
  t.is(await turnOf('c').take(never), null);
});

test('a turn is not taken over from a node that is not well, however long it is silent', async (t) => {
  const api = new FakeApi();
  let now = 1_000_000;
  const turnOf = (node: string) => new Turn(api, { namespace: 'pw', name: 'turn', node, seconds: 60 }, () => now);
  const b = turnOf('b');
  const holderIs = (ready: string, status: string | null): void =>
    void api.objects.set('/api/v1/nodes/a', {
      metadata: { name: 'a', annotations: status === null ? {} : { 'podwright.io/status': status } },
      status: { conditions: [{ type: 'Ready', status: ready }] },
    });
  holderIs('Unknown', 'switch is to begin');
  t.is(await turnOf('a').take(never), null);
  t.is(await b.take(never), 'a');
  now += 3_600_000;
  t.is(await b.take(never), 'a, which is not Ready (mend it, or delete its Node)', 'its kubelet may not run');
  holderIs('Unknown', 'runs the pods');
  t.is(await b.take(never), 'a, which is not Ready (mend it, or delete its Node)', 'nor does another fall beside it');
  for (const status of ['switch is to begin', 'walking back at start-kubelet', 'no process kubelet of the host runs']) {
    holderIs('True', status);
    const remedy =
      'where podwright node status there tells of nothing to be done: kubectl annotate node a podwright.io/status-';
    t.is(await b.take(never), `a, which said last: ${status} (${remedy})`);
  }
  t.is(api.objects.get(leasePath)?.['spec'].holderIdentity, 'a');
  holderIs('True', 'switch failed and was walked back: ready: it was not');
  t.is(await b.take(never), null, 'it has given up');
  await b.giveBack(never);
  t.is(await turnOf('a').take(never), null);
  holderIs('True', 'switch is to begin');
  t.not(await b.take(never), null);
  now += 61_000;
  t.not(await b.take(never), null, 'its installer may be gone for good');
  holderIs('True', null);
  t.is(await b.take(never), null, 'somebody has looked, and has taken the annotation away');
});

test('of two that take it at once one is told that it was not first', async (t) => {
  const api = new FakeApi();
  const turn = new Turn(api, { namespace: 'pw', name: 'turn', node: 'a', seconds: 60 }, () => 0);
  const exchange = api.exchange.bind(api);
  api.exchange = async (request: ApiRequest) => {
    const answer = await exchange(request);
    if (request.method === 'GET') api.objects.get(leasePath)!['metadata'].resourceVersion = '9';
    return answer;
  };
  t.is(await turn.take(never), 'another node that was first');
});

test('a node says only what changed, and only in words of ours', async (t) => {
  const api = new FakeApi();
  const before = await said(api, 'n1', never);
  t.deepEqual(before, { release: null, runtime: null, status: null, attempt: null });
  const now = { release: '1', runtime: 'podwright', status: 's', attempt: null };
  t.true(await say(api, { node: 'n1', before, now }, never));
  t.false(await say(api, { node: 'n1', before: now, now }, never));
  t.deepEqual(api.patches, [
    {
      metadata: {
        labels: { 'podwright.io/release': '1', 'podwright.io/runtime': 'podwright' },
        annotations: { 'podwright.io/status': 's' },
      },
    },
  ]);
  const chart = { namespace: 'pw', instance: 'i' };
  t.deepEqual(await nodesLeft(api, chart, never), ['n1: s'], 'who has an installer may not be asked');
  api.installers = [];
  const [line = ''] = await nodesLeft(api, chart, never);
  t.regex(
    line,
    /^n1: no installer is there .* kubectl label node n1 podwright.io\/release- podwright.io\/runtime- \(s\)$/,
  );
  api.installers = ['n1'];
  t.deepEqual(await nodesLeft(api, chart, never), ['n1: s']);
  await say(api, { node: 'n1', before: now, now: before }, never);
  t.deepEqual(api.objects.get(nodePath)?.['metadata'].labels, { own: 'x' });
  t.deepEqual(await nodesLeft(api, chart, never), []);
  await t.throwsAsync(said(api, 'n2', never), { message: 'the API server has no node n2' });
});

test('versions become values of labels, attempts are read back', (t) => {
  t.is(labelValue('1.2.3+build~4'), '1.2.3_build_4');
  t.deepEqual(parseAttempt('abc/t1'), { wish: 'abc', after: 't1' });
  t.deepEqual(parseAttempt('abc/'), { wish: 'abc', after: '' });
  t.is(parseAttempt(null), null);
  t.is(parseAttempt('abc'), null);
});

/** A node whose host does what it is told, one look later. */
function story() {
  const api = new FakeApi();
  const ran: string[] = [];
  const events: string[] = [];
  let seen: NodeSeen = { state: 'none', on: null, transaction: null, staged: true, changing: false };
  let holder: string | null = null;
  let [fault, full, away] = ['', false, false];
  const ports: NodePorts = {
    look: () => (away ? Promise.reject(new Error('no process kubelet')) : Promise.resolve(seen)),
    anyRelease: (preferred) => Promise.resolve(preferred),
    begin: (_, words) => {
      ran.push(words.join(' '));
      return fault === '' ? Promise.resolve() : Promise.reject(new Error(fault));
    },
    stage: () => (full ? Promise.reject(new Error('no space')) : Promise.resolve()),
    restage: () => Promise.resolve(),
    unstage: () => Promise.resolve(void events.push('unstaged')),
    removeNetwork: () => Promise.resolve(void events.push('network removed')),
    removeMountPoints: () => {
      const labels = api.objects.get(nodePath)?.['metadata'].labels as Record<string, string>;
      events.push(`mount points removed, ${'podwright.io/release' in labels ? 'not told' : 'told'}`);
      return Promise.resolve();
    },
    lastWords: () => Promise.resolve('podwright: no pointer is found'),
    said: (signal) => said(api, 'n1', signal),
    say: async (before, now, signal) => void (await say(api, { node: 'n1', before, now }, signal)),
    takeTurn: () => Promise.resolve(holder),
    giveTurnBack: () => Promise.resolve(void events.push('turn given back')),
    setReady: (ready) => Promise.resolve(void events.push(ready ? 'ready' : 'not ready')),
  };
  const host = { process: '', prefix: '/opt/podwright', configDir: '/c', journalDir: '/j', linkDir: '' };
  const settings = { node: 'n1', switch: true, purge: true, host, daemon: {}, kubelet: {} };
  const wish = { retire: false, switch: true, release: '/opt/podwright/releases/1', config: 'c', digest: 'w' };
  const task = (about: Partial<Task['wish']>, trial: Task['trial']): Task => ({
    wish: { ...wish, ...about },
    settings,
    version: '1',
    trial,
  });
  return {
    api,
    ran,
    events,
    see: (next: NodeSeen) => void (seen = next),
    otherHolds: (name: string | null) => void (holder = name),
    breaks: (about: { readonly fault?: string; readonly full?: boolean; readonly away?: boolean }) =>
      void ({ fault = '', full = false, away = false } = about),
    look: async (about: Partial<Task['wish']> = {}, trial: Task['trial'] = 'first') => {
      const { next, status } = await lookOnce(ports, task(about, trial), never);
      return `${next}: ${status}`;
    },
    labels: () => api.objects.get(nodePath)?.['metadata'].labels as Record<string, string>,
    annotations: () => api.objects.get(nodePath)?.['metadata'].annotations as Record<string, string>,
  };
}

const change = (about: object) => ({
  id: 't1',
  kind: 'switch',
  step: null,
  direction: 'forward',
  movesKubelet: true,
  wish: 'w',
  failure: null,
  ...about,
});
const podwright = { type: 'podwright', release: '/opt/podwright/releases/1', config: 'c' } as const;

test('a node waits for its turn, is switched, is labelled, and is given back', async (t) => {
  const { ran, events, see, otherHolds, look, labels, annotations } = story();
  otherHolds('n0');
  t.is(await look(), 'wait: waits for n0');
  t.deepEqual(ran, []);
  otherHolds(null);
  t.is(await look(), 'begin: switch is to begin');
  t.is(ran.length, 1);
  t.regex(ran[0] ?? '', /^node switch --release=\/opt\/podwright\/releases\/1 /);
  t.is(annotations()['podwright.io/attempt'], 'w/');
  see({ state: 'under-way', on: null, transaction: change({ step: 'remove-pods' }), staged: true, changing: false });
  t.is(await look(), 'wait: switch at remove-pods');
  t.deepEqual(labels(), { own: 'x', 'podwright.io/release': '1' }, 'no pods that need podwright yet');
  see({ state: 'done', on: podwright, transaction: change({}), staged: true, changing: false });
  t.is(await look(), 'done: runs the pods');
  t.is(labels()['podwright.io/runtime'], 'podwright');
  t.deepEqual(events.slice(-2), ['ready', 'turn given back']);

  t.is(await look({ retire: true }), 'begin: uninstall is to begin');
  t.regex(ran.at(-1) ?? '', /^uninstall --purge --prefix=/);
  t.deepEqual(labels(), { own: 'x', 'podwright.io/release': '1' }, 'pods of RuntimeClasses come no more');
  t.true(events.includes('unstaged'));
  t.is(annotations()['podwright.io/attempt'], 'retire-w/t1');
  t.false(events.includes('network removed'), 'while podwright runs the pods, and may be walked back to');
  see({ state: 'none', on: null, transaction: null, staged: false, changing: false });
  t.is(await look({ retire: true }), 'done: gone');
  t.true(events.includes('network removed'));
  t.is(events.filter((event) => event === 'mount points removed, told').length, 1, 'after it was told');
  t.deepEqual(labels(), { own: 'x' });
  t.deepEqual(annotations(), {});
});

test('a switch that failed is told, and left alone; what was interrupted is resumed', async (t) => {
  const { ran, events, see, look, labels, annotations } = story();
  await look();
  see({ state: 'interrupted', on: null, transaction: change({ step: 'place' }), staged: true, changing: false });
  t.is(await look(), 'resume: switch was interrupted at place');
  t.is(ran.at(-1), 'node resume --journal-dir=/j');
  see({
    state: 'walked-back',
    on: { type: 'runtime', release: null, config: null },
    transaction: change({ direction: 'back', failure: 'ready: it was not' }),
    staged: true,
    changing: false,
  });
  t.is(await look(), 'failed: switch failed and was walked back: ready: it was not');
  t.is(await look(), 'failed: switch failed and was walked back: ready: it was not');
  t.is(ran.length, 2);
  t.false(events.includes('ready'));
  t.regex(annotations()['podwright.io/status'] ?? '', /walked back/);
  t.is(labels()['podwright.io/runtime'], undefined);
  t.is(await look({ digest: 'other' }), 'begin: switch is to begin', 'other values are another attempt');
});

test('a node that refuses gives the turn back until it is tried again', async (t) => {
  const { ran, events, see, look, annotations } = story();
  await look();
  see({
    state: 'refused',
    on: { type: 'runtime', release: null, config: null },
    transaction: change({ failure: 'preflight: no room' }),
    staged: true,
    changing: false,
  });
  const told = 'refused: switch was refused: preflight: no room; it is tried again after a pause';
  t.is(await look(), told);
  t.is(events.at(-1), 'turn given back');
  t.is(annotations()['podwright.io/status'], told.replace('refused: ', ''));
  t.is(await look({}, 'held'), told);
  t.is(ran.length, 1);
  t.is(await look({}, 'due'), 'begin: switch is to begin; was refused: preflight: no room');
  t.is(ran.length, 2);
  t.is(annotations()['podwright.io/attempt'], 'w/t1');
  t.regex(await look(), /^refused: switch ended before it had a journal: podwright: no pointer is found;/);
});

test('what fails before there is a journal is told, and gives the turn back', async (t) => {
  const { ran, events, breaks, look, see, annotations } = story();
  breaks({ full: true });
  t.is(await look(), 'refused: no space; it is tried again after a pause');
  t.is(events.at(-1), 'turn given back');
  breaks({ fault: 'unit exists' });
  t.is(await look({}, 'due'), 'refused: unit exists; it is tried again after a pause');
  t.is(annotations()['podwright.io/status'], 'unit exists; it is tried again after a pause');
  t.is(events.at(-1), 'turn given back');
  t.is(ran.length, 1);
  breaks({});
  see({ state: 'none', on: null, transaction: null, staged: true, changing: true });
  events.length = 0;
  t.is(await look(), 'wait: a change begins', 'it has no journal yet, and keeps its turn');
  see({ state: 'under-way', on: null, transaction: change({ step: 'place' }), staged: true, changing: true });
  breaks({ full: true });
  t.is(await look(), 'wait: switch at place', 'a full disk does not take the turn from what goes on');
  breaks({ away: true });
  await t.throwsAsync(look(), { message: 'no process kubelet' });
  t.is(annotations()['podwright.io/status'], 'no process kubelet');
  breaks({ away: true, full: true });
  await t.throwsAsync(look());
  t.is(annotations()['podwright.io/status'], 'no space; no process kubelet');
  t.false(events.includes('turn given back'));
});

test('a node that cannot be given back is left as failed', async (t) => {
  const { ran, events, see, look } = story();
  const walkedBack = {
    state: 'walked-back',
    on: podwright,
    transaction: change({ id: 't2', kind: 'uninstall', failure: 'ready: it was not' }),
    staged: true,
    changing: false,
  } as const;
  see({ ...walkedBack, state: 'done', transaction: change({}) });
  t.is(await look({ retire: true }), 'begin: uninstall is to begin');
  see(walkedBack);
  const failed = 'failed: uninstall failed and was walked back: ready: it was not';
  t.is(await look({ retire: true }), failed);
  t.is(await look({ retire: true }), failed);
  t.is(ran.length, 1);
  t.is(events.at(-1), 'turn given back');
  t.false(events.includes('network removed'));
});

test('pauses grow until something is done, and another attempt has none', (t) => {
  const backoff = new Backoff();
  const pauses: number[] = [];
  let now = 0;
  for (let at = 0; at < 7; at += 1) {
    backoff.looked('refused', backoff.trial('w', now), now);
    const from = now;
    while (backoff.trial('w', now) === 'held') {
      backoff.looked('refused', 'held', now); // changes nothing
      now += 1000;
    }
    pauses.push((now - from) / 1000);
    backoff.looked('wait', 'due', now);
    t.is(backoff.trial('w', now), 'due', 'also after waiting for the turn');
    backoff.looked('begin', 'due', now);
    t.is(backoff.trial('w', now), 'first');
  }
  t.deepEqual(pauses, [20, 40, 80, 160, 300, 300, 300]);
  backoff.looked('refused', 'first', now);
  t.is(backoff.trial('w', now), 'held');
  t.is(backoff.trial('retire-w', now), 'first');
  backoff.looked('refused', 'first', now);
  backoff.looked('done', 'due', now);
  backoff.looked('refused', 'first', now);
  t.is(backoff.trial('retire-w', now + 20_000), 'due');
});
