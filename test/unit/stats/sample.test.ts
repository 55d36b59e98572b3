import test from 'ava';
import type { Container } from '../../../src/container/container.ts';
import type { ContainerId, ImageId, SandboxId } from '../../../src/lib/id.ts';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
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
function node(containers: Container[], sandboxes: Sandbox[]) {
  let clock = 1_000n;
  const read: string[] = [];
  const measured: string[] = [];
  const verbs = statsVerbs({
    containers: { list: () => containers, find: (id) => containers.find((c) => c.identity.id === id) },
    sandboxes: { list: () => sandboxes, find: (id) => sandboxes.find((s) => s.identity.id === id) },
    cgroupUsage: async (of) => {
      read.push(...of.containers, ...of.pods);
      const told = (path: string) => Buffer.from(path);
      return { containers: of.containers.map(told), pods: of.pods.map(told) };
    },
    layerUsages: async (ids) => {
      measured.push(...ids);
      return ids.map(() => ({ bytes: 1, inodes: 1, at: 7n }));
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

test('each has what was read of its own cgroup', async (t) => {
  const { verbs } = node(
    [container('a', 's1'), container('b', 's2'), container('c', 's1')],
    [sandbox('s1'), sandbox('s2')],
  );
  const filter = { id: '', podSandboxId: '', labels: {} };
  const containers = await verbs.listContainerStats(filter);
  t.deepEqual(
    containers.map(({ measured }) => String(Buffer.from(measured))),
    ['/p/s1/a', '/p/s2/b', '/p/s1/c'],
  );
  const pods = await verbs.listPodSandboxStats(filter);
  t.deepEqual(
    pods.map(({ measured, containers: of }) =>
      [measured, ...of.map((c) => c.measured)].map((m) => String(Buffer.from(m))),
    ),
    [
      ['/p/s1', '/p/s1/a', '/p/s1/c'],
      ['/p/s2', '/p/s2/b'],
    ],
  );
});

test('of a container that does not run only the writable layer is read', async (t) => {
  const created = container('a', 's1');
  const stopped = { ...created, status: { ...created.status, pid: 0, startedAt: 0n } };
  const { verbs, read, measured } = node([stopped], [sandbox('s1')]);
  const usage = await verbs.containerStats('a');
  t.is(usage.measured.byteLength, 0);
  t.like(usage.writableLayer, { usedBytes: 1n, timestamp: 7n });
  t.deepEqual(read, []);
  t.deepEqual(measured, ['a']);
});
