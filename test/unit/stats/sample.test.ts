import test from 'ava';
import type { Container } from '../../../src/container/container.ts';
import type { ContainerId, ImageId, SandboxId } from '../../../src/lib/id.ts';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
import type { CgroupUsage } from '../../../src/cgroup/cgroup.ts';
import { statsVerbs } from '../../../src/stats/sample.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';

const sandbox = (id: string): Sandbox => ({
  identity: {
    id: id as SandboxId,
    config: sandboxConfig(),
    runtimeHandler: '',
    createdAt: 1n,
    cgroupPath: `/p/${id}`,
    ownsCgroup: true,
  },
  status: {
    phase: 'ready',
    ips: [],
    hostInterface: null,
    monitor: null,
    pausePid: 0,
    stopRequestedAt: 0n,
    deliveredAt: 2n,
    updated: null,
  },
});
const container = (id: string, sandboxId: string): Container => ({
  identity: {
    id: id as ContainerId,
    sandboxId: sandboxId as SandboxId,
    config: containerConfig(),
    imageId: 'i' as ImageId,
    imageRef: 'i',
    chain: [],
    logPath: '',
    cgroupPath: `/p/${sandboxId}/${id}`,
    stopSignal: 'SIGTERM',
    createdAt: 1n,
  },
  status: {
    phase: 'created',
    pid: 7,
    startTime: 3,
    bootId: 'now',
    startedAt: 5n,
    exit: null,
    user: { uid: 0, gid: 0, supplementalGroups: [] },
    resources: null,
    stopRequestedAt: 0n,
    deliveredAt: 2n,
    notes: [],
  },
});
const sample = (usageNs: bigint, timestampNs: bigint): CgroupUsage => ({
  timestampNs,
  cpu: { usageNs },
  memory: null,
  pids: { current: 1n },
  psi: null,
});

function node(containers: Container[], sandboxes: Sandbox[]) {
  let clock = 1_000n;
  let cpu = 0n;
  const read: string[] = [];
  const measured: string[] = [];
  const verbs = statsVerbs({
    containers: { list: () => containers, find: (id) => containers.find((c) => c.identity.id === id) },
    sandboxes: { list: () => sandboxes, find: (id) => sandboxes.find((s) => s.identity.id === id) },
    cgroupUsage: async (paths) => {
      read.push(...paths);
      cpu += 5_000_000n;
      return paths.map(() => sample(cpu, cpu * 2n));
    },
    layerUsage: async (id) => {
      measured.push(id);
      return { bytes: 1, inodes: 1 };
    },
    interfaces: async () => [],
    snapshotsDir: '/s',
    now: () => (clock += 1n),
  });
  return { verbs, read, measured };
}

test("one pod's stats read nothing of other pods", async (t) => {
  const { verbs, read, measured } = node([container('a', 's1'), container('b', 's2')], [sandbox('s1'), sandbox('s2')]);
  const usage = await verbs.podSandboxStats('s1');
  t.deepEqual(
    usage.containers.map((c) => c.container.identity.id),
    ['a' as ContainerId],
  );
  t.deepEqual(read.toSorted(), ['/p/s1', '/p/s1/a']);
  t.deepEqual(measured, ['a']);
});

test('each pod of the list has its own containers', async (t) => {
  const { verbs } = node(
    [container('a', 's1'), container('b', 's2'), container('c', 's1')],
    [sandbox('s1'), sandbox('s2')],
  );
  const usages = await verbs.listPodSandboxStats({ id: '', podSandboxId: '', labels: {} });
  t.deepEqual(
    usages.map((u) => u.containers.map((c) => String(c.container.identity.id))),
    [['a', 'c'], ['b']],
  );
});

test('rates come from the second reading on, of pods and of containers', async (t) => {
  const { verbs } = node([container('a', 's1')], [sandbox('s1')]);
  const first = await verbs.podSandboxStats('s1');
  t.is(first.cpu?.usageNanoCores, null);
  const second = await verbs.podSandboxStats('s1');
  t.is(second.cpu?.usageNanoCores, 500_000_000n);
  t.is(second.containers[0]?.cpu?.usageNanoCores, 500_000_000n);
});

test('what is gone is not remembered, whichever list is asked for', async (t) => {
  const containers = [container('a', 's1')];
  const { verbs } = node(containers, [sandbox('s1')]);
  const filter = { id: '', podSandboxId: '', labels: {} };
  await verbs.listPodSandboxStats(filter);
  const [gone] = containers.splice(0);
  await verbs.listPodSandboxStats(filter);
  if (gone) containers.push(gone);
  const [pod] = await verbs.listPodSandboxStats(filter);
  t.is(pod?.containers[0]?.cpu?.usageNanoCores, null);
});
