// What plugins are told of changes on record: what they know of, once, in order; and what is being made when one joins.
import { duplexPair } from 'node:stream';
import test from 'ava';
import type { Container } from '../../../src/container/container.ts';
import { Nri } from '../../../src/nri/nri.ts';
import { noEdits } from '../../../src/oci/edits.ts';
import type { OciSpec } from '../../../src/oci/types.ts';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';
import { type Handlers, TestPlugin } from '../../helpers/nri-plugin.ts';
import { until } from '../../helpers/until.ts';

const long = 60_000;

const sandbox = (phase: Sandbox['status']['phase'] = 'ready'): Sandbox =>
  ({
    identity: {
      id: 'pod',
      config: sandboxConfig(),
      runtimeHandler: '',
      createdAt: 1n,
      cgroupPath: '/p',
      ownsCgroup: true,
    },
    status: {
      phase,
      ips: [],
      hostInterface: null,
      monitor: null,
      pausePid: 0,
      stopRequestedAt: 0n,
      deliveredAt: 0n,
      updated: null,
    },
  }) as unknown as Sandbox;

const container = (status: Partial<Container['status']> = {}): Container =>
  ({
    identity: {
      id: 'c',
      sandboxId: 'pod',
      config: containerConfig(),
      imageId: 'i',
      imageRef: 'r@d',
      chain: [],
      cgroupPath: '/c',
      createdAt: 1n,
    },
    status: {
      phase: 'created',
      pid: 0,
      startedAt: 0n,
      exit: null,
      user: { uid: 0, gid: 0, supplementalGroups: [] },
      resources: null,
      ...status,
    },
  }) as unknown as Container;

const spec = {
  process: { args: ['run'], env: [], rlimits: [], user: { uid: 0, gid: 0, additionalGids: [] } },
  mounts: [],
  annotations: {},
  linux: { namespaces: [], devices: [], resources: { devices: [] } },
} as unknown as OciSpec;

const exit = { exitCode: 0, reason: 'Completed', message: '', finishedAt: 5n } as const;

function node() {
  const records = { pods: [] as Sandbox[], containers: [] as Container[] };
  const updates: object[] = [];
  const evicted: string[] = [];
  const quiet = (): void => undefined;
  const nri = new Nri({
    about: { runtimeName: 'podwright', runtimeVersion: '1' },
    timeouts: { registrationMs: long, requestMs: long },
    validator: { validate: false } as never,
    most: 9,
    log: { info: quiet, warn: quiet, error: quiet },
    configOf: async () => '',
    sandboxes: () => records.pods,
    containers: () => records.containers,
    sandbox: () => sandbox(),
    podFacts: () => ({ netns: '/n', overhead: null, resources: null }),
    specOf: () => spec,
    cdi: async () => noEdits,
    updateContainer: async (id, limits) => void updates.push({ id, ...limits }),
    evict: (id) => void evicted.push(id),
  });
  async function join(handlers: Handlers = {}): Promise<TestPlugin> {
    const [ours, theirs] = duplexPair();
    const plugin = new TestPlugin(theirs, handlers);
    const joined = nri.join(ours, { kind: 'external', index: '', name: '' });
    await plugin.register('p', '10');
    if (!(await joined)) throw new Error('the plugin did not join');
    return plugin;
  }
  /** What it was told since it joined; a last event tells that all before it have come. */
  async function told(plugin: TestPlugin): Promise<string[]> {
    await nri.running(sandbox('creating'));
    await until('all is told', () => plugin.calls.at(-1) === 'RunPodSandbox');
    return plugin.calls.slice(2, -1);
  }
  return { nri, records, join, told, updates, evicted };
}

const planned = { identity: container().identity, sandbox: sandbox(), spec, resources: null };

test('without a plugin nothing is done, and nothing is kept', async (t) => {
  const { nri } = node();
  t.true(nri.idle);
  t.is((await nri.adjust(planned)).spec, spec);
  nri.containerChanged(null, container({ phase: 'creating' }));
  nri.containerChanged(container(), null);
  await nri.running(sandbox('creating'));
  t.true(nri.idle);
});

test('a life as the records tell it', async (t) => {
  const { nri, join, told } = node();
  const plugin = await join();
  nri.containerChanged(null, container({ phase: 'creating' }));
  await nri.adjust(planned);
  nri.containerChanged(container({ phase: 'creating' }), container());
  await nri.starting(container());
  nri.containerChanged(container(), container({ startedAt: 2n }));
  nri.containerChanged(container({ startedAt: 2n }), container({ startedAt: 2n, deliveredAt: 3n }));
  nri.containerChanged(container({ startedAt: 2n }), container({ startedAt: 2n, exit }));
  nri.containerChanged(container({ startedAt: 2n, exit }), container({ phase: 'removing', startedAt: 2n, exit }));
  nri.containerChanged(container({ phase: 'removing', startedAt: 2n, exit }), null);
  nri.sandboxChanged(sandbox(), sandbox('stopped'));
  nri.sandboxChanged(sandbox('stopped'), sandbox('removing'));
  nri.sandboxChanged(sandbox('removing'), null);
  t.deepEqual(await told(plugin), [
    'CreateContainer',
    'ValidateContainerAdjustment',
    'PostCreateContainer',
    'StartContainer',
    'PostStartContainer',
    'StopContainer',
    'RemoveContainer',
    'StopPodSandbox',
    'RemovePodSandbox',
  ]);
});

test('what came to nothing before plugins heard of it is not told', async (t) => {
  const { nri, join, told } = node();
  const plugin = await join();
  nri.containerChanged(null, container({ phase: 'creating' }));
  nri.containerChanged(container({ phase: 'creating' }), container({ phase: 'removing' }));
  nri.containerChanged(container({ phase: 'removing' }), null);
  nri.sandboxChanged(null, sandbox('creating'));
  nri.sandboxChanged(sandbox('creating'), sandbox('removing'));
  nri.sandboxChanged(sandbox('removing'), null);
  t.deepEqual(await told(plugin), []);
});

test('what came to nothing after they had heard of it is', async (t) => {
  const { nri, join, told } = node();
  const plugin = await join();
  nri.containerChanged(null, container({ phase: 'creating' }));
  await nri.adjust(planned);
  nri.containerChanged(container({ phase: 'creating' }), container({ phase: 'removing' }));
  nri.containerChanged(container({ phase: 'removing' }), null);
  t.deepEqual((await told(plugin)).slice(2), ['StopContainer', 'RemoveContainer']);
});

test('a plugin that joins is told of what is being made, of what there is, and of no ruins', async (t) => {
  const { nri, join, records } = node();
  await join();
  await nri.running(sandbox('creating'));
  await nri.adjust(planned);
  const gone = container({ phase: 'removing' });
  records.containers.push({ ...gone, identity: { ...gone.identity, id: 'ruin' as never } });
  const other = container({ startedAt: 1n });
  records.containers.push({ ...other, identity: { ...other.identity, id: 'other' as never } });
  const late = await join();
  const request = late.requests.find(({ method }) => method === 'Synchronize')?.request;
  t.like(request, { pods: [{ id: 'pod' }], containers: [{ id: 'other', state: 'CONTAINER_RUNNING' }, { id: 'c' }] });
});

test('updates and evictions go to the verbs; a refused field of one fails it alone', async (t) => {
  const { join, updates, evicted } = node();
  const plugin = await join();
  const good = { containerId: 'a', linux: { resources: { memory: { limit: { value: '9' } } } } };
  const bad = { containerId: 'b', linux: { resources: { rdtClass: { value: 'x' } } } };
  const request = { update: [good, bad, { ...bad, ignoreFailure: true }], evict: [{ containerId: 'z', reason: 'r' }] };
  const { body } = await plugin.call('UpdateContainers', request, 'UpdateContainersResponse');
  t.like(body, { failed: [{ containerId: 'b' }] });
  t.is((body['failed'] as object[]).length, 1);
  t.like(updates, [{ id: 'a', resources: { memoryLimitBytes: 9, memorySwapLimitBytes: 9 } }]);
  t.deepEqual(evicted, ['z']);
});

test('an update is what the caller and the plugins want; its swap is the caller’s unless a plugin sets memory', async (t) => {
  const asked = { ...(containerConfig().resources as object), memoryLimitBytes: 100, cpuShares: 5 };
  const base = {
    cpuPeriod: null,
    cpuQuota: null,
    cpusetCpus: '',
    cpusetMems: '',
    hugepageLimits: [],
    unified: {},
    memorySwapLimitBytes: null,
    oomScoreAdj: 3,
    ...asked,
  };
  const { nri, join } = node();
  t.deepEqual(await nri.updating(container(), base), { resources: base, pidsLimit: null });
  let resources: object = { cpu: { cpus: '1' } };
  await join({ UpdateContainer: () => ({ update: [{ containerId: 'c', linux: { resources } }] }) });
  t.like(await nri.updating(container(), base), {
    resources: { cpuShares: 5, cpusetCpus: '1', memoryLimitBytes: 100, memorySwapLimitBytes: null, oomScoreAdj: 3 },
  });
  resources = { memory: { limit: { value: '50' } }, pids: { limit: '4' } };
  t.like(await nri.updating(container(), base), {
    resources: { memoryLimitBytes: 50, memorySwapLimitBytes: 50 },
    pidsLimit: 4,
  });
});

test('what is made waits for the plugins that the node starts', async (t) => {
  const { nri, join, told } = node();
  const { promise, resolve } = Promise.withResolvers<void>();
  nri.launching(promise);
  const made = nri.adjust(planned);
  const plugin = await join({ CreateContainer: () => ({ adjust: { args: ['adjusted'] } }) });
  resolve();
  t.deepEqual((await made).spec.process.args, ['adjusted']);
  t.true((await told(plugin)).includes('CreateContainer'));
});
