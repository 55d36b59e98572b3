// Usage of containers and of pods, each read in one batch.
import { type Container, containerState } from '../container/container.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { cgroupUsage } from './derive.ts';
import type { StatsPorts } from './ports.ts';
import type { CpuRates } from './rates.ts';

const big = (value: number): bigint => BigInt(Math.round(value));

/** Reads usage of containers; of one that does not run, the writable layer only. */
export function containerUsage(ports: StatsPorts, rates: CpuRates) {
  async function writableLayer(id: string) {
    const { bytes, inodes } = await ports.layerUsage(id);
    return { timestamp: ports.now(), mountpoint: ports.snapshotsDir, usedBytes: big(bytes), inodesUsed: big(inodes) };
  }

  return async function usageOf(containers: readonly Container[]) {
    const running = containers.filter((c) => containerState(c) === 'running');
    const samples = await ports.cgroupUsage(running.map((c) => c.identity.cgroupPath));
    const sampled = new Map(running.map((c, at) => [c.identity.id, samples[at] ?? null]));
    const timestamp = ports.now();
    return Promise.all(
      containers.map(async (container) => {
        const { id, cgroupPath } = container.identity;
        const sample = sampled.get(id) ?? null;
        const usage = sample && cgroupUsage(sample, timestamp, rates.of(cgroupPath, sample));
        const parts = usage ?? { cpu: null, memory: null, swap: null, io: null };
        return { container, ...parts, writableLayer: await writableLayer(id) };
      }),
    );
  };
}

/** Reads usage of pods with their running containers. */
export function podUsage(ports: StatsPorts, rates: CpuRates) {
  const usageOf = containerUsage(ports, rates);

  return async function usageOfPods(sandboxes: readonly Sandbox[]) {
    const samples = await ports.cgroupUsage(sandboxes.map((s) => s.identity.cgroupPath));
    const asked = new Set<string>(sandboxes.map((s) => s.identity.id));
    const running = ports.containers
      .list()
      .filter((c) => asked.has(c.identity.sandboxId) && containerState(c) === 'running');
    const containers = Map.groupBy(await usageOf(running), (usage) => usage.container.identity.sandboxId);
    const timestamp = ports.now();
    return Promise.all(
      sandboxes.map(async (sandbox, at) => {
        const { id, cgroupPath } = sandbox.identity;
        const sample = samples[at] ?? null;
        const usage = sample && cgroupUsage(sample, timestamp, rates.of(cgroupPath, sample));
        const { cpu, memory, io } = usage ?? { cpu: null, memory: null, io: null };
        const processCount = sample?.pids ? { timestamp, count: sample.pids.current } : null;
        return {
          sandbox,
          cpu,
          memory,
          io,
          network: await traffic(ports, sandbox),
          processCount,
          containers: containers.get(id) ?? [],
        };
      }),
    );
  };
}

/** Traffic of a pod's interfaces; null on the host's network. */
async function traffic(ports: StatsPorts, sandbox: Sandbox) {
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
