// Usage of containers and of pods, all of a question read in one batch.
import type { EncodedUsage } from '../cgroup/cgroup.ts';
import { type Container, containerState } from '../container/container.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { InterfaceCounters, StatsPorts } from './ports.ts';

const nothing: EncodedUsage = new Uint8Array();
const big = (value: number): bigint => BigInt(Math.round(value));

/** Reads usage of containers; of one that does not run, the writable layer only. */
export async function containerUsage(ports: StatsPorts, containers: readonly Container[]) {
  const running = containers.filter((c) => containerState(c) === 'running');
  const paths = running.map((c) => c.identity.cgroupPath);
  const [samples, layers] = await Promise.all([
    ports.cgroupUsage({ containers: paths, pods: [] }, ports.now()),
    writableLayers(ports, containers),
  ]);
  const sampled = new Map(running.map((c, at) => [c, samples.containers[at]]));
  return layers.map((writableLayer, at) => {
    const container = containers[at] as Container;
    return { container, measured: sampled.get(container) ?? nothing, writableLayer };
  });
}

/** Reads usage of pods with their running containers. */
export async function podUsage(ports: StatsPorts, sandboxes: readonly Sandbox[]) {
  const asked = new Set<string>(sandboxes.map((s) => s.identity.id));
  const running = ports.containers
    .list()
    .filter((c) => asked.has(c.identity.sandboxId) && containerState(c) === 'running');
  const wanted = {
    containers: running.map((c) => c.identity.cgroupPath),
    pods: sandboxes.map((s) => s.identity.cgroupPath),
  };
  const [samples, layers, networks] = await Promise.all([
    ports.cgroupUsage(wanted, ports.now()),
    writableLayers(ports, running),
    Promise.all(sandboxes.map((sandbox) => traffic(ports, sandbox))),
  ]);
  const usages = layers.map((writableLayer, at) => {
    const container = running[at] as Container;
    return { container, measured: samples.containers[at] ?? nothing, writableLayer };
  });
  const containers = Map.groupBy(usages, ({ container }) => container.identity.sandboxId);
  return sandboxes.map((sandbox, at) => ({
    sandbox,
    measured: samples.pods[at] ?? nothing,
    network: networks[at] ?? null,
    containers: containers.get(sandbox.identity.id) ?? [],
  }));
}

/** The writable layers of containers, in order. */
async function writableLayers({ layerUsages, snapshotsDir }: StatsPorts, containers: readonly Container[]) {
  const usages = await layerUsages(containers.map(({ identity }) => identity.id));
  return usages.map(({ bytes, inodes, at }) => ({
    timestamp: at,
    mountpoint: snapshotsDir,
    usedBytes: big(bytes),
    inodesUsed: big(inodes),
  }));
}

/** Traffic of a pod's interfaces; null on the host's network. */
async function traffic({ interfaces, now }: StatsPorts, sandbox: Sandbox) {
  if (sandbox.identity.config.security.namespaces.network === 'node') return null;
  const [first = null, ...others] = (await interfaces(sandbox)).map(usageOfInterface);
  return { timestamp: now(), defaultInterface: first, others };
}

const usageOfInterface = (i: InterfaceCounters) => ({
  name: i.name,
  rxBytes: big(i.rxBytes),
  rxErrors: big(i.rxErrors),
  txBytes: big(i.txBytes),
  txErrors: big(i.txErrors),
});
