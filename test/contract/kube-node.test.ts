// The node's condition and the classes of its handlers at a fake API server.
import test from 'ava';
import { type Asked, type FakeAnswer, type FakeApi, type Handler, refusal } from '../helpers/fake-api.ts';
import { wellFacts, withRoom } from '../helpers/kube-room.ts';
import { until } from '../helpers/until.ts';

type Json = Record<string, unknown>;
const ok = (body: Json = {}): FakeAnswer => ({ status: 200, body });
const conditionOf = (asked: Asked | undefined): Json => {
  const { status } = (asked?.body ?? {}) as { status?: { conditions: Json[] } };
  return status?.conditions[0] ?? {};
};
const patches = (api: FakeApi): Asked[] => api.asked.filter(({ method }) => method === 'PATCH');

test('the condition is told at once, when it changes, and every few minutes', (t) =>
  withRoom(async (room) => {
    const { api } = room;
    api.handler = () => ok({ kind: 'Node', status: { conditions: [] } });
    room.start({ condition: true });
    await until('it is told', () => patches(api).length === 1);
    const [first] = patches(api);
    t.is(first?.path, '/api/v1/nodes/n-1/status');
    t.is(first?.type, 'application/strategic-merge-patch+json');
    t.deepEqual(conditionOf(first), {
      type: 'PodwrightHealthy',
      status: 'True',
      reason: 'Healthy',
      message: 'podwright 1.2.3: nothing is wrong',
      lastHeartbeatTime: '2026-03-01T10:00:00Z',
      lastTransitionTime: '2026-03-01T10:00:00Z',
    });
    const looked = room.rests.length;
    await until('it is looked at again and again', () => room.rests.length > looked + 5);
    t.is(patches(api).length, 1, 'nothing new, nothing told');
    room.nowMs += 300_000;
    await until('the heartbeat', () => patches(api).length === 2);
    t.like(conditionOf(patches(api)[1]), {
      status: 'True',
      lastHeartbeatTime: '2026-03-01T10:05:00Z',
      lastTransitionTime: '2026-03-01T10:00:00Z',
    });
    room.facts = { ...wellFacts, quarantined: 1 };
    await until('the change', () => patches(api).length === 3);
    t.like(conditionOf(patches(api)[2]), {
      status: 'False',
      reason: 'RecordsQuarantined',
      lastTransitionTime: '2026-03-01T10:05:00Z',
    });
  }));

test('what a daemon of before told goes on, and the last word is that nobody looks any more', (t) =>
  withRoom(async (room) => {
    const { api } = room;
    const before = { type: 'PodwrightHealthy', status: 'True', lastTransitionTime: '2026-02-01T00:00:00Z' };
    api.handler = () => ok({ status: { conditions: [{ type: 'Ready', status: 'True' }, before] } });
    const kube = room.start({ condition: true });
    await until('it is told', () => patches(api).length === 1);
    t.like(conditionOf(patches(api)[0]), { status: 'True', lastTransitionTime: '2026-02-01T00:00:00Z' });
    await kube.stop();
    t.like(conditionOf(patches(api)[1]), {
      status: 'Unknown',
      reason: 'DaemonStopped',
      lastTransitionTime: '2026-03-01T10:00:00Z',
    });
  }));

test('a node that has not joined yet, and an API server that fails, are asked again', (t) =>
  withRoom(async (room) => {
    const { api } = room;
    const answers: Handler[] = [() => refusal(404), () => refusal(500), (_, response) => (response.destroy(), null)];
    api.handler = (asked, response) => (answers.shift() ?? (() => ok({ status: {} })))(asked, response);
    room.start({ condition: true });
    // the server has the change a moment before we have its answer
    await until('it is told', () => patches(api).length === 1 && room.requests.length >= 5);
    t.deepEqual(room.requests.slice(0, 5), ['refused', 'failed', 'failed', 'ok', 'ok']);
    t.true(room.rests.slice(0, 3).every((ms) => ms >= 10_000));
  }));

test('facts that cannot be had are a trouble, not an end', (t) =>
  withRoom(async (room) => {
    room.api.handler = () => ok({ status: {} });
    const { facts } = room;
    Object.defineProperty(room, 'facts', {
      configurable: true,
      get: () => {
        throw new Error('no disk');
      },
    });
    room.start({ condition: true });
    await until('it is told', () => room.lines.some((line) => line.includes('no disk')));
    Object.defineProperty(room, 'facts', { value: facts, writable: true, configurable: true });
    await until('it goes on', () => patches(room.api).length === 1);
    t.pass();
  }));

/** An API server with classes and nodes. */
class Classes {
  readonly classes = new Map<string, Json>();
  labels: Record<string, string> = {};
  /** Labels that other nodes have. */
  others: string[] = [];

  handler: Handler = ({ method, path, body }) => {
    const url = new URL(path, 'https://a');
    const name = url.pathname.split('/').at(-1) ?? '';
    if (url.pathname === '/api/v1/nodes') {
      const label = url.searchParams.get('labelSelector')?.split('=')[0] ?? '';
      return ok({ items: this.others.includes(label) || this.labels[label] ? [{}] : [] });
    }
    if (url.pathname === '/api/v1/nodes/n-1') return ok({ metadata: { labels: this.labels } });
    if (url.pathname === '/api/v1/nodes/n-1/status') {
      const { labels } = (body as { metadata: { labels: Record<string, string | null> } }).metadata;
      for (const [label, value] of Object.entries(labels)) {
        if (value === null) delete this.labels[label];
        else this.labels[label] = value;
      }
      return ok();
    }
    if (method === 'GET') return this.list(url);
    if (method === 'POST') {
      const made = body as Json & { metadata: { name: string } };
      if (this.classes.has(made.metadata.name)) return refusal(409);
      this.classes.set(made.metadata.name, made);
      return { status: 201, body: made };
    }
    if (method === 'PATCH') this.classes.set(name, { ...this.classes.get(name), ...(body as Json) });
    if (method === 'DELETE') this.classes.delete(name);
    return ok();
  };

  /** One on each page. */
  list(url: URL): FakeAnswer {
    if (url.searchParams.get('labelSelector') !== 'app.kubernetes.io/managed-by=podwright') return refusal(400);
    const ours = [...this.classes.values()].filter((one) => JSON.stringify(one).includes('"podwright"'));
    const at = Number(url.searchParams.get('continue') ?? 0);
    return ok({
      items: ours.slice(at, at + 1),
      metadata: at + 1 < ours.length ? { continue: String(at + 1) } : {},
    });
  }
}

const ours = (name: string, more: Json = {}): Json => ({
  metadata: { name, uid: `uid-${name}`, labels: { 'app.kubernetes.io/managed-by': 'podwright' } },
  handler: name,
  scheduling: { nodeSelector: { [`podwright.handler.${name}`]: 'true' } },
  ...more,
});

test('each handler has a class, and the node the label that it leads to', (t) =>
  withRoom(async (room) => {
    const world = new Classes();
    world.labels = { 'kubernetes.io/os': 'linux', 'podwright.handler.old': 'true' };
    world.classes.set('old', ours('old'));
    world.classes.set('shared', ours('shared'));
    world.others = ['podwright.handler.shared'];
    world.classes.set('crun', { metadata: { name: 'crun' }, handler: 'somebody-elses' });
    world.classes.set('bent', ours('bent', { scheduling: { nodeSelector: { a: 'b' } } }));
    world.classes.set('renamed', ours('renamed', { handler: 'not-its-name' }));
    room.api.handler = world.handler;
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    room.held = first.promise;
    room.start({ handlers: ['podwright', 'runsc', 'crun', 'bent', 'x'.repeat(60)] });
    await until('the first round is over', () => room.rests.length > 0);
    t.deepEqual(world.labels, {
      'kubernetes.io/os': 'linux',
      'podwright.handler.podwright': 'true',
      'podwright.handler.runsc': 'true',
      'podwright.handler.crun': 'true',
      'podwright.handler.bent': 'true',
    });
    t.deepEqual([...world.classes.keys()].sort(), ['bent', 'crun', 'podwright', 'renamed', 'runsc', 'shared']);
    t.like(world.classes.get('runsc'), {
      handler: 'runsc',
      scheduling: { nodeSelector: { 'podwright.handler.runsc': 'true' } },
    });
    t.deepEqual(world.classes.get('crun'), { metadata: { name: 'crun' }, handler: 'somebody-elses' });
    t.like(world.classes.get('bent'), { scheduling: { nodeSelector: { 'podwright.handler.bent': 'true' } } });
    t.true(room.lines.some((line) => line.includes('not ours') && line.includes('crun')));
    const deleted = room.api.asked.filter(({ method }) => method === 'DELETE');
    t.deepEqual(
      deleted.map(({ path }) => path),
      ['/apis/node.k8s.io/v1/runtimeclasses/old'],
    );
    t.like(deleted[0]?.body, { preconditions: { uid: 'uid-old' } });
    const writes = room.api.asked.filter(({ method }) => method !== 'GET').length;
    room.held = second.promise;
    first.resolve();
    await until('a second round', () => room.rests.length > 1);
    const again = room.api.asked.filter(({ method }) => method !== 'GET').slice(writes);
    t.deepEqual(
      again.map(({ method }) => method),
      ['POST'],
      'only the name that somebody else has is tried',
    );
  }));

test('a list that has expired, a refusal and a conflict are no end, and the next one goes on', (t) =>
  withRoom(async (room) => {
    const world = new Classes();
    world.classes.set('a', ours('a'));
    world.classes.set('b', ours('b'));
    const troubles: ((asked: Asked) => FakeAnswer | null)[] = [
      ({ path }) => (path.includes('continue=') ? refusal(410, 'the provided continue parameter is too old') : null),
      ({ method }) => (method === 'POST' ? refusal(403) : null),
      ({ method }) => (method === 'DELETE' ? refusal(409) : null),
    ];
    room.api.handler = (asked, response) => {
      const answer = troubles[0]?.(asked) ?? null;
      if (answer === null) return world.handler(asked, response);
      troubles.shift();
      return answer;
    };
    room.start({ handlers: ['podwright'] });
    await until('all is well', () => troubles.length === 0 && [...world.classes.keys()].join() === 'podwright');
    t.true(room.lines.some((line) => line.includes('410')));
    t.true(room.lines.some((line) => line.includes('403')));
  }));

test('nodes that cannot be counted keep a class', (t) =>
  withRoom(async (room) => {
    const world = new Classes();
    world.classes.set('a', ours('a'));
    room.api.handler = (asked, response) =>
      asked.path.startsWith('/api/v1/nodes?') ? { status: 200, body: { items: null } } : world.handler(asked, response);
    room.start({ handlers: [] });
    await until('two rounds', () => room.rests.length > 1);
    t.deepEqual([...world.classes.keys()], ['a']);
  }));

test('podwright that leaves the node takes its condition and its labels away, and nothing else', (t) =>
  withRoom(async (room) => {
    const world = new Classes();
    world.labels = { 'kubernetes.io/os': 'linux' };
    room.api.handler = (asked, response) => {
      const isCondition = asked.type === 'application/strategic-merge-patch+json';
      return isCondition ? ok() : world.handler(asked, response);
    };
    const kube = room.start({ condition: true, handlers: ['podwright', 'runsc'] });
    const conditions = (): Json[] =>
      patches(room.api)
        .filter(({ type }) => type === 'application/strategic-merge-patch+json')
        .map(conditionOf);
    await until('all is told', () => conditions().length === 1 && world.classes.size === 2);
    await kube.stop({ leaving: true });
    t.deepEqual(conditions()[1], { $patch: 'delete', type: 'PodwrightHealthy' });
    t.is(conditions().length, 2, 'no last word of a daemon that comes back');
    t.deepEqual(world.labels, { 'kubernetes.io/os': 'linux' });
    t.deepEqual([...world.classes.keys()].sort(), ['podwright', 'runsc'], 'they are of all nodes');
  }));

test('what is on its way when podwright leaves is not told of the node afterwards', (t) =>
  withRoom(async (room) => {
    const told: string[] = [];
    const held = Promise.withResolvers<() => void>();
    room.api.handler = ({ method, body }, response) => {
      if (method !== 'PATCH') return ok({ status: { conditions: [] } });
      const what = JSON.stringify(body).includes('"$patch":"delete"') ? 'taken away' : 'told';
      if (what === 'told') {
        held.resolve(() => {
          told.push(what);
          response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
        });
        return null;
      }
      told.push(what);
      return ok();
    };
    const kube = room.start({ condition: true });
    const apply = await held.promise;
    const over = kube.stop({ leaving: true });
    // who does not wait for it has it taken away by now
    await until('it is taken away', () => told.length > 0, 300).catch(() => undefined);
    apply();
    await over;
    t.deepEqual(told, ['told', 'taken away']);
  }));

test('where the API server hangs the end is not waited for', (t) =>
  withRoom(async (room) => {
    room.api.handler = ({ method }) => (method === 'PATCH' ? null : ok({ status: { conditions: [] } }));
    const kube = room.start({ condition: true });
    await until('it is being told', () => patches(room.api).length === 1);
    await kube.stop({ leaving: true });
    t.is(patches(room.api).length, 2, 'it was tried');
    t.true(room.lines.some((line) => line.startsWith('the node keeps a condition or labels of podwright')));
  }));

test('what cannot be taken away when podwright leaves is told', (t) =>
  withRoom(async (room) => {
    room.api.handler = () => ok({ status: { conditions: [] } });
    const kube = room.start({ condition: true, handlers: [] });
    await until('it is told', () => patches(room.api).length === 1);
    room.api.handler = () => refusal(403);
    await kube.stop({ leaving: true });
    const lines = room.lines.filter((line) => line.startsWith('the node keeps a condition or labels of podwright'));
    t.is(lines.length, 2);
    t.true(lines.every((line) => line.includes('403')));
  }));
