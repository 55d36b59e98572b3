// Usage of containers and pods: read during the call, in one batch (RULINGS 23). Must not cache what it reads.
import { notFound } from '../lib/failure.ts';
import { labelsMatch } from '../lib/labels.ts';
import { type Container, containerState } from '../container/container.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { type CgroupSample, cgroupUsage, type CpuPoint, nanoCores } from './derive.ts';

/** Bytes and inodes of a directory tree. */
export interface LayerUsage {
  readonly bytes: number;
  readonly inodes: number;
}

/** Traffic of one interface of a pod, as the pod sees it. */
export interface InterfaceCounters {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxErrors: number;
  readonly txBytes: number;
  readonly txErrors: number;
}

export interface StatsPorts {
  readonly containers: { readonly list: () => Container[]; readonly find: (id: string) => Container | undefined };
  readonly sandboxes: { readonly list: () => Sandbox[]; readonly find: (id: string) => Sandbox | undefined };
  readonly cgroupStats: (paths: readonly string[]) => Promise<readonly (CgroupSample | null)[]>;
  readonly layerUsage: (containerId: string) => Promise<LayerUsage>;
  readonly interfaces: (sandbox: Sandbox) => Promise<readonly InterfaceCounters[]>;
  readonly snapshotsDir: string;
  readonly now: () => bigint;
}

export interface UsageFilter {
  readonly id: string;
  readonly podSandboxId: string;
  readonly labels: Readonly<Record<string, string>>;
}

const big = (value: number): bigint => BigInt(Math.round(value));

/** The verbs of stats. Holds only the last CPU point of each cgroup, for rates. */
export function statsVerbs(ports: StatsPorts) {
  const points = new Map<string, CpuPoint>();

  const rate = (path: string, sample: CgroupSample): bigint | null => {
    if (!sample.cpu) return null;
    const now = { timestampNs: sample.timestampNs, usageNs: sample.cpu.usageNs };
    const cores = nanoCores(points.get(path), now);
    if (cores !== null || !points.has(path)) points.set(path, now);
    return cores;
  };

  /** Forgets the points of what is gone. */
  const prune = (): void => {
    const live = new Set([...ports.containers.list(), ...ports.sandboxes.list()].map(({ identity }) => identity.cgroupPath));
    for (const path of points.keys()) if (!live.has(path)) points.delete(path);
  };

  async function writableLayer(id: string) {
    const { bytes, inodes } = await ports.layerUsage(id);
    return { timestamp: ports.now(), mountpoint: ports.snapshotsDir, usedBytes: big(bytes), inodesUsed: big(inodes) };
  }

  async function usageOf(containers: readonly Container[]) {
    const running = containers.filter((c) => containerState(c) === 'running');
    const samples = await ports.cgroupStats(running.map((c) => c.identity.cgroupPath));
    const sampled = new Map(running.map((c, at) => [c.identity.id, samples[at] ?? null]));
    const timestamp = ports.now();
    return Promise.all(
      containers.map(async (container) => {
        const { id, cgroupPath } = container.identity;
        const sample = sampled.get(id) ?? null;
        const usage = sample && cgroupUsage(sample, timestamp, rate(cgroupPath, sample));
        const parts = usage ?? { cpu: null, memory: null, swap: null, io: null };
        return { container, ...parts, writableLayer: await writableLayer(id) };
      }),
    );
  }

  const containersFor = (filter: UsageFilter): Container[] =>
    ports.containers.list().filter((c) => {
      const { identity } = c;
      if (containerState(c) !== 'running' || !identity.id.startsWith(filter.id)) return false;
      return identity.sandboxId.startsWith(filter.podSandboxId) && labelsMatch(identity.config.labels, filter.labels);
    });

  async function network(sandbox: Sandbox) {
    if (sandbox.identity.config.security.namespaces.network === 'node') return null;
    const all = (await ports.interfaces(sandbox)).map((i) => ({
      name: i.name,
      rxBytes: big(i.rxBytes),
      rxErrors: big(i.rxErrors),
      txBytes: big(i.txBytes),
      txErrors: big(i.txErrors),
    }));
    const [first = null, ...others] = all;
    return { timestamp: ports.now(), defaultInterface: first, others };
  }

  async function usageOfPods(sandboxes: readonly Sandbox[]) {
    const samples = await ports.cgroupStats(sandboxes.map((s) => s.identity.cgroupPath));
    const asked = new Set<string>(sandboxes.map((s) => s.identity.id));
    const running = ports.containers.list().filter((c) => asked.has(c.identity.sandboxId) && containerState(c) === 'running');
    const containers = Map.groupBy(await usageOf(running), (usage) => usage.container.identity.sandboxId);
    const timestamp = ports.now();
    return Promise.all(
      sandboxes.map(async (sandbox, at) => {
        const { id, cgroupPath } = sandbox.identity;
        const sample = samples[at] ?? null;
        const usage = sample && cgroupUsage(sample, timestamp, rate(cgroupPath, sample));
        const { cpu, memory, io } = usage ?? { cpu: null, memory: null, io: null };
        const processCount = sample?.pids ? { timestamp, count: big(sample.pids.current) } : null;
        return { sandbox, cpu, memory, io, network: await network(sandbox), processCount, containers: containers.get(id) ?? [] };
      }),
    );
  }

  return {
    /** ContainerStats: one container; without its cgroup only the writable layer. */
    async containerStats(id: string) {
      const container = ports.containers.find(id);
      if (!container) throw notFound(`container ${id} does not exist`);
      const [usage] = await usageOf([container]);
      if (!usage) throw notFound(`container ${id} does not exist`);
      return usage;
    },
    /** ListContainerStats: running containers. */
    async listContainerStats(filter: UsageFilter) {
      const all = await usageOf(containersFor(filter));
      prune();
      return all;
    },
    /** PodSandboxStats: one pod with its containers. */
    async podSandboxStats(id: string) {
      const sandbox = id === '' ? undefined : ports.sandboxes.find(id);
      if (!sandbox) throw notFound(`sandbox ${id} does not exist`);
      const [usage] = await usageOfPods([sandbox]);
      if (!usage) throw notFound(`sandbox ${id} does not exist`);
      return usage;
    },
    /** ListPodSandboxStats: pods that are ready. */
    async listPodSandboxStats(filter: UsageFilter) {
      const all = await usageOfPods(
        ports.sandboxes
          .list()
          .filter((s) => s.status.phase === 'ready' && s.identity.id.startsWith(filter.id) && labelsMatch(s.identity.config.labels, filter.labels)),
      );
      prune();
      return all;
    },
  };
}
