// A host in memory behind the verbs' ports: it holds named resources, so that what is left can be seen,
// and it can be told to fail at its n-th call.
import { type Adjusted, type Planned, unadjusted } from '../../src/container/adjusted.ts';
import { randomBytes } from 'node:crypto';
import type { Container, ContainerIdentity, ContainerStatus } from '../../src/container/container.ts';
import { createContainer } from '../../src/container/create.ts';
import { startContainer } from '../../src/container/start.ts';
import { Starts } from '../../src/container/starts.ts';
import { endProcesses, stopContainer } from '../../src/container/stop.ts';
import { teardownContainer } from '../../src/container/teardown.ts';
import { noBase } from '../../src/oci/base-spec.ts';
import type { ContainerId, ImageId, SandboxId } from '../../src/lib/id.ts';
import { internal, unavailable } from '../../src/lib/failure.ts';
import { KeyedLock } from '../../src/lib/keyed-lock.ts';
import { runSandbox } from '../../src/sandbox/run.ts';
import { stopSandbox } from '../../src/sandbox/stop.ts';
import { removeSandbox } from '../../src/sandbox/remove.ts';
import { teardownSandbox } from '../../src/sandbox/teardown.ts';
import type { Sandbox, SandboxIdentity, SandboxStatus } from '../../src/sandbox/sandbox.ts';
import { noCgroupLimits as noLimits } from './no-limits.ts';

const hex = (): string => randomBytes(32).toString('hex');

function memoryRecords<I extends { readonly id: string }, S>(onCall: (name: string) => void, noun: string) {
  const all = new Map<string, { identity: I; status: S }>();
  return {
    all,
    create(identity: I, status: S) {
      onCall(`${noun}.create`);
      const record = { identity, status };
      all.set(identity.id, record);
      return record;
    },
    update(id: string, patch: Partial<S>) {
      const before = all.get(id);
      if (!before) throw internal(`no ${noun} ${id}`);
      const record = { identity: before.identity, status: { ...before.status, ...patch } };
      all.set(id, record);
      return record;
    },
    async remove(id: string) {
      onCall(`${noun}.remove`);
      all.delete(id);
    },
    get: (id: string) => all.get(id),
    find: (id: string) => [...all.values()].find((r) => r.identity.id.startsWith(id)),
    list: () => [...all.values()],
  };
}

export const image = {
  id: `sha256:${'1'.repeat(64)}` as ImageId,
  ref: 'r@sha256:1',
  chain: ['sha256:c'],
  artifactType: null,
  config: { env: [], entrypoint: ['/bin/sh'], cmd: [], workingDir: '', user: '', stopSignal: '' },
};

interface Plugins {
  running: (sandbox: Sandbox) => Promise<void>;
  adjust: (planned: Planned) => Promise<Adjusted>;
  starting: (container: Container) => Promise<void>;
}

/** A fresh host with all verbs wired to it. */
export function fakeHost() {
  const resources = new Set<string>();
  const calls: string[] = [];
  let failAt = -1;
  let refusal: Error | null = null;
  let clock = 1_000n;
  const step = (name: string): void => {
    calls.push(name);
    if (calls.length - 1 === failAt) throw internal(`step ${name} was told to fail`);
  };
  const now = (): bigint => (clock += 1n);
  const sandboxRecords = memoryRecords<SandboxIdentity, SandboxStatus>(step, 'sandbox record');
  const containerRecords = memoryRecords<ContainerIdentity, ContainerStatus>(step, 'container record');
  const locks = new KeyedLock();
  const monitors = new Set<string>();
  const facts = {
    place: { unifiedDir: '', v1Tasks: [] },
    killFile: '',
    freezerDir: '',
    memoryEvents: '',
    procsDir: '',
    devicesV1Dir: '',
    devicesV2Dir: '',
  };
  const cgroups = {
    create: async (path: string) => {
      step('cgroup.create');
      resources.add(`cgroup ${path}`);
      return facts;
    },
    update: async <R>(_: string, resources: R) => resources,
    read: async () => noLimits,
    settle: async ({ path }: { readonly path: string }) => {
      step('cgroup.settle');
      if (!resources.has(`cgroup ${path}`)) throw new Error(`${path} was not made`);
    },
    kill: async (_path: string) => step('cgroup.kill'),
    remove: async (paths: readonly string[]) => {
      step('cgroup.remove');
      for (const path of paths) resources.delete(`cgroup ${path}`);
    },
  };
  const exits = new Map<string, bigint>();
  const monitor = {
    launch: async (id: string) => {
      step('monitor.launch');
      resources.add(`monitor ${id}`);
      monitors.add(id);
      return { pid: 1, startTime: 1, version: '0' };
    },
    createSandbox: async (id: string) => {
      step('monitor.createSandbox');
      resources.add(`netns ${id}`);
      return { pausePid: 0, notes: [] };
    },
    shutdown: async (id: string) => {
      step('monitor.shutdown');
      monitors.delete(id);
      resources.delete(`monitor ${id}`);
      resources.delete(`netns ${id}`);
    },
    endWithoutSocket: async () => undefined,
    isAlive: (id: string) => monitors.has(id),
    createContainer: async (sandboxId: string, request: { containerId: string; external: object | null }) => {
      step('monitor.createContainer');
      if (!monitors.has(sandboxId)) throw unavailable(`sandbox ${sandboxId} has no monitor`);
      resources.add(`process ${request.containerId}`);
      if (request.external) resources.add(`runtime state ${request.containerId}`);
      return { pid: 7, startTime: 7, notes: [] };
    },
    startContainer: async () => {
      step('monitor.startContainer');
      return { pid: 7, startedAt: now() };
    },
    stopContainer: async (_: string, { containerId }: { containerId: string }) => {
      step('monitor.stopContainer');
      resources.delete(`process ${containerId}`);
      const finishedAt = exits.get(containerId) ?? now();
      exits.set(containerId, finishedAt);
      return {
        exit: {
          containerId,
          exitCode: 137,
          oomKilled: false,
          finishedAt,
          started: true,
          startedAt: 0n,
          logDroppedBytes: 0,
        },
        stuck: [],
      };
    },
    removeContainer: async (_: string, id: string) => {
      step('monitor.removeContainer');
      resources.delete(`process ${id}`);
      resources.delete(`runtime state ${id}`);
    },
    reopenLog: async () => undefined,
    cancelExec: async () => undefined,
    execSync: async () => ({ exitCode: 0, stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), timedOut: false }),
  };
  const network = {
    attach: async ({ sandboxId }: { sandboxId: string }) => {
      step('network.attach');
      resources.add(`address ${sandboxId}`);
      return { ips: ['10.0.0.2'], hostInterface: 'pw0' };
    },
    detach: async (id: string, _netns: string | null) => {
      step('network.detach');
      resources.delete(`address ${id}`);
    },
  };
  const paths = { hosts: '/h', hostname: '/n', resolvConf: '/r' };
  const files = {
    hostFiles: () => ({ hostname: 'node', hosts: '', resolvConf: 'nameserver 1.1.1.1\n' }),
    writePodFiles: (id: string) => {
      step('files.writePodFiles');
      resources.add(`files ${id}`);
    },
    removeSandboxFiles: async (id: string) => {
      step('files.removeSandboxFiles');
      resources.delete(`files ${id}`);
    },
    hasNetnsPin: (id: string) => resources.has(`netns ${id}`),
    podFilePaths: () => paths,
    writeBundle: (id: string) => {
      step('files.writeBundle');
      resources.add(`bundle ${id}`);
      return `/b/${id}`;
    },
    bundleDir: (id: string) => `/b/${id}`,
    writePodBundle: (id: string) => `/b/pod-${id}`,
    readProcess: () => null,
    exitFile: (id: string) => `/b/${id}/exit.json`,
    removeBundle: async (id: string) => {
      step('files.removeBundle');
      resources.delete(`bundle ${id}`);
    },
  };
  const snapshots = {
    prepare: async (id: string) => {
      step('snapshots.prepare');
      resources.add(`snapshot ${id}`);
      return { upper: '/u', work: '/w' };
    },
    lowerDirs: () => ['/l'],
    remove: async (id: string) => {
      step('snapshots.remove');
      resources.delete(`snapshot ${id}`);
    },
    readFile: async () => null,
  };
  const stages = () => ({ stage: <T>(_: string, work: () => Promise<T>) => work() });
  const netnsPin = (id: string): string => `/netns/${id}`;
  const plugins: Plugins = {
    running: async () => undefined,
    adjust: async (planned) => unadjusted(planned),
    starting: async () => undefined,
  };
  const containerPorts = {
    starts: new Starts(),
    records: containerRecords,
    locks,
    monitors: monitor,
    cgroups,
    snapshots,
    files,
    now,
    stages,
    starting: (container: Container) => plugins.starting(container),
    deleteByRuntime: async (_: unknown, { id }: { readonly id: string }) => {
      step('runtime.delete');
      resources.delete(`runtime state ${id}`);
    },
  };
  const teardownOne = (id: string): Promise<void> => teardownContainer(containerPorts, id);
  const createPorts = {
    ...containerPorts,
    sandboxes: sandboxRecords,
    images: { find: () => image, hold: () => () => undefined, admit: async () => undefined },
    adjust: (planned: Planned) => plugins.adjust(planned),
    seccompPolicy: (policy: string) => ({ bpf: Buffer.from(policy), flags: 0 }),
    seccomp: async () => {
      if (refusal) throw refusal;
      return { bpf: Buffer.alloc(0), flags: 0 };
    },
    apparmor: async () => '',
    selinux: () => ({ process: '', mount: '' }),
    relabelLimits: { directories: [], trees: [] },
    cdi: async () => ({ env: [], devices: [], mounts: [], additionalGids: [], hooks: [] }),
    hooks: async () => () => [],
    baseSpec: () => noBase,
    seccompProfile: async () => null,
    runtimeRoot: (id: string) => `/runtime/${id}`,
    teardown: teardownOne,
    newId: () => hex() as ContainerId,
    bootId: 'boot',
    pid: 4711,
    host: {
      capabilities: [],
      defaultCapabilities: [],
      rlimits: {},
      ownCgroupNamespace: true,
      noWritableCgroups: null,
      privilegedDevices: true,
      ownedDevices: false,
    },
    maxLogLineBytes: 16384,
    cgroupPathOf: (parent: string, id: string) => `${parent}/${id}`,
    netnsPin,
    diskLimits: () => [],
    overlayOptions: [],
    onNote: () => undefined,
  };
  const releasePorts = {
    records: sandboxRecords,
    cgroups,
    monitors: monitor,
    network,
    files,
    netnsPin,
    bootId: 'boot',
    unpinNetns: async (path: string) => void resources.delete(path.replace('/netns/', 'netns ')),
    containersOf: (id: string) =>
      containerRecords
        .list()
        .filter((c) => c.identity.sandboxId === id)
        .map((c) => c.identity.id),
    haltContainer: async (id: string) => {
      const container = containerRecords.get(id) as Container;
      await endProcesses(containerPorts, container, { timeoutMs: 0, signal: never });
    },
    deleteByRuntime: containerPorts.deleteByRuntime,
    pauseCgroupOf: (parent: string, id: string) => `${parent}/${id}`,
    containerCgroup: (id: string) => containerRecords.get(id)?.identity.cgroupPath ?? null,
  };
  const teardown = (id: string): Promise<void> =>
    teardownSandbox({ ...releasePorts, locks, teardownContainer: teardownOne }, id);
  let userNamespaceTrouble: Error | null = null;
  const runPorts = {
    ...releasePorts,
    locks,
    teardown,
    now,
    newId: () => hex() as SandboxId,
    bootId: 'boot',
    defaultSysctls: [],
    cgroupPathOf: (parent: string, id: string) =>
      parent === '' ? { path: `/pods/${id}`, owned: true } : { path: parent, owned: false },
    runtimes: {
      other: {
        path: '/bin/other',
        args: [],
        type: 'oci',
        hideUnifiedCgroup: false,
        writableLayerLimit: 0,
        baseRuntimeSpec: '',
      },
      gvisor: {
        path: '/bin/runsc',
        args: [],
        type: 'runsc',
        hideUnifiedCgroup: false,
        writableLayerLimit: 0,
        baseRuntimeSpec: '',
      },
    } as const,
    stages,
    running: (sandbox: Sandbox) => plugins.running(sandbox),
    selinux: () => null,
    userNamespaceTrouble: async () => userNamespaceTrouble,
  };
  const never = new AbortController().signal;
  type Input = Parameters<typeof runSandbox>[1];
  type ContainerInput = Parameters<typeof createContainer>[1];
  const caller = (delivered: boolean) => ({
    signal: never,
    onDelivered: (then: () => void) => void (delivered && then()),
  });
  return {
    resources,
    calls,
    locks,
    /** The host's hands: a test may replace one of their functions. */
    hands: { monitor, cgroups, snapshots, network, files },
    /** What plugins of the node say: a test may replace one of these. */
    plugins,
    containerPorts,
    haltContainer: releasePorts.haltContainer,
    sandboxRecords,
    containerRecords,
    monitors,
    failAtCall: (n: number) => (failAt = n),
    refuseSeccomp: (error: Error) => (refusal = error),
    refuseUserNamespaces: (why: string) => void (userNamespaceTrouble = new Error(why)),
    run: (input: Input, delivered = true) => runSandbox(runPorts, input, caller(delivered)),
    stop: (id: string) => stopSandbox({ ...releasePorts, locks, now }, id, never),
    remove: (id: string) => removeSandbox({ records: sandboxRecords, locks, teardown }, id, never),
    teardown,
    create: (input: ContainerInput, delivered = true) => createContainer(createPorts, input, caller(delivered)),
    start: (id: string) => startContainer(containerPorts, id, never),
    stopContainer: (id: string, timeoutMs: number) => stopContainer(containerPorts, { id, timeoutMs }, never),
  };
}
