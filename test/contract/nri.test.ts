// The border to NRI plugins against plugins that speak the protocol: good ones, slow ones, old ones and bad ones.
import { duplexPair } from 'node:stream';
import test from 'ava';
import { Plugins } from '../../src/nri/plugins.ts';
import { encodeTtrpc } from '../../src/nri/ttrpc.ts';
import type { Update, WireContainer, WirePod } from '../../src/nri/wire.ts';
import { type Handlers, mask, Refused, silence, TestPlugin } from '../helpers/nri-plugin.ts';
import { until } from '../helpers/until.ts';
import { container, message } from '../unit/nri/wishes.ts';

const noValidator = {
  validate: false,
  rejectOciHookAdjustment: false,
  rejectRuntimeDefaultSeccompAdjustment: false,
  rejectUnconfinedSeccompAdjustment: false,
  rejectCustomSeccompAdjustment: false,
  rejectNamespaceAdjustment: false,
  rejectSysctlAdjustment: false,
  requiredPlugins: [] as string[],
  tolerateMissingPluginsAnnotation: '',
};

/** A time that nobody reaches, and one that only those reach who never answer. */
const [long, short] = [60_000, 100];

const pod = (id = 'p'): WirePod => message('PodSandbox', { id, name: id }) as WirePod;

function border(
  options: { readonly everything?: { pods: WirePod[]; containers: WireContainer[] }; most?: number } = {},
) {
  const log: string[] = [];
  const say = (fields: object, text: string): void => void log.push(`${text} ${JSON.stringify(fields)}`);
  const timeouts = { registrationMs: long, requestMs: long };
  const done: { update: readonly Update[]; evict: readonly object[] }[] = [];
  const failing = new Set<string>();
  const plugins = new Plugins({
    about: { runtimeName: 'podwright', runtimeVersion: '1.2.3' },
    timeouts,
    validator: noValidator,
    most: options.most ?? 10,
    log: { info: say, warn: say, error: say },
    configOf: async (index, base) => `config of ${index}-${base}`,
    everything: () => options.everything ?? { pods: [], containers: [] },
    carryOut: async (wishes) => {
      done.push(wishes);
      return wishes.update.filter(({ containerId }) => failing.has(containerId));
    },
  });
  /** Connects a plugin; resolves when it is one of ours, or is not. */
  async function join(name: string, handlers: Handlers = {}) {
    const [ours, theirs] = duplexPair();
    const plugin = new TestPlugin(theirs, handlers);
    const joined = plugins.join(ours, { kind: 'external', index: '', name: '' });
    const [index = '', ...base] = name.split('-');
    if (name !== '') await plugin.register(base.join('-'), index);
    return Object.assign(plugin, { joined: await joined });
  }
  return { plugins, join, log, timeouts, done, failing };
}

const wants = (...events: Parameters<typeof mask>) => ({ Configure: () => ({ events: mask(...events) }) });

test('a plugin is configured, told of all that there is, and then only of what it wants', async (t) => {
  const { plugins, join } = border({ everything: { pods: [pod('a')], containers: [container()] } });
  const plugin = await join('10-one', wants('RunPodSandbox'));
  t.true(plugin.joined);
  const [configure, synchronize] = plugin.requests;
  t.like(configure?.request, {
    runtimeName: 'podwright',
    runtimeVersion: '1.2.3',
    config: '',
    requestTimeout: String(long),
    NRIVersion: 'v0.12.5',
  });
  t.like(synchronize?.request, { pods: [{ id: 'a' }], containers: [{ id: 'c' }], more: false });
  await plugins.tell('RunPodSandbox', () => ({ pod: pod() }));
  await plugins.tell('StopPodSandbox', () => ({ pod: pod() }));
  t.deepEqual(plugin.calls, ['Configure', 'Synchronize', 'RunPodSandbox']);
  t.deepEqual(plugins.list, [{ name: '10-one', origin: 'external' }]);
});

test('no word on events is a word for all', async (t) => {
  const { plugins, join } = border();
  const plugin = await join('10-one');
  await plugins.tell('RemoveContainer', () => ({ pod: pod(), container: container() }));
  t.true(plugin.calls.includes('RemoveContainer'));
});

test('a plugin that is started by the node is told its configuration, and keeps the name of its file', async (t) => {
  const { plugins } = border();
  const [ours, theirs] = duplexPair();
  const plugin = new TestPlugin(theirs);
  const joined = plugins.join(ours, { kind: 'launched', index: '20', name: 'file' });
  await plugin.register('another', '99');
  t.true(await joined);
  t.is(plugin.requests[0]?.request['config'], 'config of 20-file');
  t.deepEqual(plugins.list, [{ name: '20-file', origin: 'launched' }]);
});

test('what is too much for one message comes in several, and a plugin that takes none of it does not join', async (t) => {
  const long1 = (id: number): WireContainer => container({ id: `c${id}`, args: ['x'.repeat(1_500_000)] });
  const everything = { pods: [pod('a'), pod('b')], containers: [1, 2, 3, 4, 5, 6, 7].map(long1) };
  const { join } = border({ everything });
  const plugin = await join('10-one', { Synchronize: ({ more }) => ({ more }) });
  t.true(plugin.joined);
  const sent = plugin.requests.filter(({ method }) => method === 'Synchronize').map(({ request }) => request);
  const ids = (list: unknown): string[] => (list as { id: string }[]).map(({ id }) => id);
  t.true(sent.length > 1);
  t.deepEqual(
    sent.flatMap((one) => ids(one['pods'])),
    ['a', 'b'],
  );
  t.deepEqual(
    sent.flatMap((one) => ids(one['containers'])),
    ids(everything.containers),
  );
  t.deepEqual(
    sent.map((one) => one['more']),
    [...sent.slice(1).map(() => true), false],
  );
  t.false((await join('20-two', { Synchronize: () => ({ more: false }) })).joined);
});

test('plugins are asked in the order of their digits, and each sees what those before it want', async (t) => {
  const { plugins, join } = border();
  const adding = (key: string): Handlers => ({
    CreateContainer: () => ({ adjust: { env: [{ key, value: '1' }] } }),
  });
  const last = await join('90-last', adding('LAST'));
  const first = await join('05-first', adding('FIRST'));
  const { adjust } = await plugins.create(pod(), container({ env: ['A=1'] }));
  t.deepEqual(
    adjust.env.map(({ key }) => key),
    ['FIRST', 'LAST'],
  );
  const seen = (plugin: TestPlugin): unknown => plugin.requests.at(-2)?.request['container'];
  t.like(seen(first), { env: ['A=1'] });
  t.like(seen(last), { env: ['A=1', 'FIRST=1'] });
});

test('a conflict fails the call, and both plugins stay', async (t) => {
  const { plugins, join } = border();
  const handlers = { CreateContainer: () => ({ adjust: { annotations: { a: '1' } } }) };
  const all = [await join('10-a', handlers), await join('20-b', handlers)];
  await t.throwsAsync(plugins.create(pod(), container()), { message: /"20-b" and "10-a" both set Annotations a/ });
  t.is(plugins.list.length, 2);
  t.false(all.some(({ closed }) => closed));
});

test('a plugin that says no fails the call with its words, and stays', async (t) => {
  const { plugins, join } = border();
  const plugin = await join('10-no', { RunPodSandbox: () => new Refused(2, 'not today') });
  await t.throwsAsync(
    plugins.tell('RunPodSandbox', () => ({ pod: pod() })),
    { message: 'NRI plugin 10-no fails RunPodSandbox: not today' },
  );
  t.false(plugin.closed);
  t.is(plugins.list.length, 1);
});

test('a plugin that does not answer is disconnected, and the call goes on without it', async (t) => {
  const { plugins, join, timeouts } = border();
  const plugin = await join('10-slow', { CreateContainer: silence });
  timeouts.requestMs = short;
  const { adjust } = await plugins.create(pod(), container());
  t.deepEqual(adjust.env, []);
  await plugin.ended();
  t.deepEqual(plugins.list, []);
});

test('a failure policy: the call fails; a timeout does not disconnect', async (t) => {
  const { plugins, join, timeouts } = border();
  const failurePolicy = { failRequest: true, keepConnected: true };
  const plugin = await join('10-strict', { Configure: () => ({ failurePolicy }), RunPodSandbox: silence });
  timeouts.requestMs = short;
  await t.throwsAsync(
    plugins.tell('RunPodSandbox', () => ({ pod: pod() })),
    { message: /10-strict did not handle RunPodSandbox: it did not answer within 100 ms/ },
  );
  t.false(plugin.closed);
  t.is(plugins.list.length, 1);
});

test('a plugin that goes away in the middle of a call: the call goes on', async (t) => {
  const { plugins, join } = border();
  const plugin: TestPlugin = await join('10-gone', {
    CreateContainer: () => {
      plugin.socket.destroy();
      return silence();
    },
  });
  await join('20-stays', { CreateContainer: () => ({ adjust: { args: ['stays'] } }) });
  const { adjust } = await plugins.create(pod(), container());
  t.deepEqual(adjust.args, ['stays']);
  t.deepEqual(
    plugins.list.map(({ name }) => name),
    ['20-stays'],
  );
});

test('an old plugin is told by StateChange, from then on at once', async (t) => {
  const { plugins, join } = border();
  const plugin = await join('10-old', { RunPodSandbox: () => new Refused(12, 'unknown method') });
  for (const id of ['a', 'b']) await plugins.tell('RunPodSandbox', () => ({ pod: pod(id) }));
  t.deepEqual(plugin.calls.slice(2), ['RunPodSandbox', 'StateChange', 'StateChange']);
  t.like(plugin.requests.at(-1)?.request, { event: 'RUN_POD_SANDBOX', pod: { id: 'b' } });
});

test('validators see what all want, with its owners; one that rejects or does not answer fails the container', async (t) => {
  const { plugins, join, timeouts } = border();
  await join('10-adds', {
    ...wants('CreateContainer'),
    CreateContainer: () => ({ adjust: { linux: { devices: [{ path: '/dev/x', type: 'c' }] } } }),
  });
  let answer: object | Promise<object> = {};
  const validator = await join('90-judge', {
    ...wants('ValidateContainerAdjustment'),
    ValidateContainerAdjustment: () => answer,
  });
  await plugins.create(pod(), container());
  const request = validator.requests.at(-1)?.request;
  t.like(request, {
    adjust: { linux: { devices: [{ path: '/dev/x' }] } },
    owners: { owners: { c: { compound: { '4': { owners: { '/dev/x': '10-adds' } } } } } },
    plugins: [
      { name: 'adds', index: '10' },
      { name: 'judge', index: '90' },
    ],
  });
  answer = { reject: true, reason: 'no devices here' };
  await t.throwsAsync(plugins.create(pod(), container()), {
    message: /90-judge rejects the container: no devices here/,
  });
  t.false(validator.closed);
  answer = silence();
  timeouts.requestMs = short;
  await t.throwsAsync(plugins.create(pod(), container()), { message: /90-judge did not agree/ });
  await validator.ended();
});

test('what a plugin wants of others is handed on: after a creation, an update, a stop, and by itself', async (t) => {
  const { plugins, join, done, failing } = border();
  const update = [{ containerId: 'x', linux: { resources: { cpu: { cpus: '1' } } } }];
  const evict = [{ containerId: 'y', reason: 'noisy' }];
  const plugin = await join('10-busy', {
    Synchronize: () => ({ update }),
    CreateContainer: () => ({ update, evict }),
    UpdateContainer: () => ({
      update: [...update, { containerId: 'c', linux: { resources: { cpu: { cpus: '3' } } } }],
    }),
    StopContainer: () => ({ update }),
  });
  t.like(done, [{ update: [{ containerId: 'x' }] }], 'what it wants when it joins');
  const created = await plugins.create(pod(), container());
  t.like(created.wishes, { update: [{ containerId: 'x' }], evict });
  const asked = message('LinuxResources', { cpu: { shares: { value: '5' }, cpus: '0-3' } });
  const updated = await plugins.update(pod(), container(), asked as never);
  t.like(updated.resources, { cpu: { cpus: '3', shares: { value: '5' } } });
  t.like(updated.wishes, { update: [{ containerId: 'x' }], evict: [] });
  const stopped = await plugins.stopped(() => ({ pod: pod(), container: container() }));
  t.like(stopped, { update: [{ containerId: 'x' }] });
  failing.add('x');
  const answer = await plugin.call('UpdateContainers', { update, evict }, 'UpdateContainersResponse');
  t.like(answer, { code: 0, body: { failed: [{ containerId: 'x' }] } });
  t.like(done.at(-1), { evict });
});

test('names and indexes that cannot be, events that are not there, a second registration: refused', async (t) => {
  const { join, plugins } = border();
  for (const name of ['1-x', 'ab-x', '10-', '10-a b', `10-${'x'.repeat(200)}`])
    t.false((await join(name)).joined, name);
  t.false((await join('10-x', { Configure: () => ({ events: 1 << 20 }) })).joined);
  t.false((await join('10-x', { Configure: () => new Refused(2, 'no') })).joined);
  t.deepEqual(plugins.list, []);
  const plugin = await join('10-x');
  t.like(await plugin.register('y', '11'), { code: 3, message: 'registered already' });
  t.deepEqual(
    plugins.list.map(({ name }) => name),
    ['10-x'],
  );
});

test('one that connects and says nothing is let go; as many as may be, and no more', async (t) => {
  const { plugins, join, timeouts } = border({ most: 1 });
  timeouts.registrationMs = short;
  const [ours, theirs] = duplexPair();
  const silent = new TestPlugin(theirs);
  t.false(await plugins.join(ours, { kind: 'external', index: '', name: '' }));
  await silent.ended();
  timeouts.registrationMs = long;
  t.true((await join('10-x')).joined);
  const [more, another] = duplexPair();
  const turnedAway = new TestPlugin(another);
  t.false(await plugins.join(more, { kind: 'external', index: '', name: '' }));
  await turnedAway.ended();
});

const frame = (connection: number, payload: Buffer, length = payload.length): Buffer => {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(connection, 0);
  header.writeUInt32BE(length, 4);
  return Buffer.concat([header, payload]);
};
/** A message of a plugin to the runtime. */
const request = (stream: number, part: { type?: number; flags?: number; data?: Buffer } = {}): Buffer =>
  frame(2, encodeTtrpc({ stream, type: 1, flags: 0, data: Buffer.alloc(0), ...part }));
const answer = (stream: number, data = Buffer.alloc(0)): Buffer =>
  frame(1, encodeTtrpc({ stream, type: 2, flags: 0, data }));

/** What no plugin may send, with the connection that it is on. */
const garbage: Readonly<Record<string, Buffer>> = {
  'a frame of 4 GiB': frame(1, Buffer.alloc(0), 0xffff_ffff),
  'a message of 4 GiB': frame(2, Buffer.from('ffffffff00000001010000', 'hex')),
  'a request that is none': request(101, { data: Buffer.from('ffffff', 'hex') }),
  'a request on an even stream': request(100),
  'a request on a stream of before': request(1),
  'data of a stream that is not there': request(101, { type: 3 }),
  'a streaming request': request(101, { flags: 2 }),
  'random bytes': Buffer.from('8e6ba1f42d5c7793aa01fe6d2b9c4f5e8e6ba1f42d5c7793aa01fe6d2b9c4f5e', 'hex'),
};

for (const [what, bytes] of Object.entries(garbage)) {
  test(`${what}: the connection ends, and nothing else`, async (t) => {
    const { plugins, join } = border();
    const bad = await join('10-bad');
    await join('20-good', { CreateContainer: () => ({ adjust: { args: ['good'] } }) });
    bad.raw(bytes);
    await bad.ended();
    await until('it has left', () => plugins.list.length === 1);
    t.deepEqual((await plugins.create(pod(), container())).adjust.args, ['good']);
  });
}

test('an answer that is no message of its type, or of no call: the first ends the connection, the second is nothing', async (t) => {
  const { plugins, join } = border();
  const late = await join('10-late');
  late.raw(answer(9999));
  late.raw(frame(77, Buffer.from('nobody listens')));
  await plugins.tell('RunPodSandbox', () => ({ pod: pod() }));
  t.false(late.closed);
  const bad: TestPlugin = await join('20-bad', {
    CreateContainer: () => {
      // the call's stream: Configure had 1, Synchronize 3
      bad.raw(answer(5, Buffer.from([0x12, 0x03, 0x0a, 0x7f, 0x00])));
      return silence();
    },
  });
  await plugins.create(pod(), container());
  await bad.ended();
  t.deepEqual(
    plugins.list.map(({ name }) => name),
    ['10-late'],
  );
});

test('a runtime that ends says so', async (t) => {
  const { plugins, join } = border();
  const plugin = await join('10-x');
  await plugins.close(long);
  t.is(plugin.calls.at(-1), 'Shutdown');
  await plugin.ended();
  t.false(plugins.any);
});
