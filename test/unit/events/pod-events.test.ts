// Events over real records: what follows from each change, in which order, with which statuses.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { recordExit, recordStart } from '../../../src/container/exits.ts';
import { type ContainerIdentity, containerState, type ContainerStatus } from '../../../src/container/container.ts';
import type { ContainerEvent } from '../../../src/cri/verbs.ts';
import { podEvents } from '../../../src/daemon/pod-events.ts';
import type { SandboxIdentity, SandboxStatus } from '../../../src/sandbox/sandbox.ts';
import { containerRecords } from '../../../src/state/containers.ts';
import { RecordWriter } from '../../../src/state/record-writer.ts';
import { sandboxRecords } from '../../../src/state/sandboxes.ts';
import { containerOf, sandboxOf } from '../../helpers/builders.ts';

function house(t: ExecutionContext, root = mkdtempSync(join(tmpdir(), 'podwright-events-'))) {
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const writer = new RecordWriter((error) => {
    throw error;
  });
  const dirs = { trashDir: join(root, 'trash'), quarantineDir: join(root, 'quarantine'), writer };
  const store = {
    sandboxes: sandboxRecords<SandboxIdentity, SandboxStatus>({ dir: join(root, 's'), ...dirs }),
    containers: containerRecords<ContainerIdentity, ContainerStatus>({ dir: join(root, 'c'), ...dirs }),
  };
  store.sandboxes.load();
  store.containers.load();
  const dead = new Set<string>();
  const faults: object[] = [];
  let clock = 100n;
  const events = podEvents({
    store,
    isAlive: (id) => !dead.has(id),
    now: () => (clock += 1n),
    log: { warn: () => undefined, error: (fields: object) => void faults.push(fields) } as never,
  });
  return { ...store, events, dead, faults, root };
}

type House = ReturnType<typeof house>;

/** Everything that a subscriber has not read. */
async function unread(subscriber: AsyncIterator<ContainerEvent, undefined>): Promise<ContainerEvent[]> {
  const all: ContainerEvent[] = [];
  for (;;) {
    const none = Symbol('none');
    const next = await Promise.race([subscriber.next(), new Promise((resolve) => setTimeout(resolve, 20, none))]);
    if (next === none) return all;
    all.push((next as IteratorYieldResult<ContainerEvent>).value);
  }
}

const told = (events: readonly ContainerEvent[]): string[] => events.map((e) => `${e.containerId} ${e.type}`);

function runPod({ sandboxes }: House): void {
  const { identity, status } = sandboxOf();
  sandboxes.create(identity, { ...status, phase: 'creating' });
  sandboxes.update(identity.id, { phase: 'ready' });
}

function makeContainer({ containers }: House, id = 'c1'): void {
  const { identity, status } = containerOf({ id });
  containers.create(identity, { ...status, phase: 'creating' });
  containers.update(id, { phase: 'created', startTime: 5 });
}

const exit = { exitCode: 0, oomKilled: false, started: true, logDroppedBytes: 0, startedAt: 10n, finishedAt: 20n };

test('the life of a pod, each step with the whole pod right after it', async (t) => {
  const pod = house(t);
  const reader = pod.events.subscribe(() => 1);
  runPod(pod);
  makeContainer(pod);
  pod.containers.update('c1', { deliveredAt: 9n });
  recordStart(pod.containers, { containerId: 'c1', pid: 7, startTime: 5, startedAt: 10n });
  recordExit(pod.containers, { ...exit, containerId: 'c1' });
  pod.containers.update('c1', { phase: 'removing' });
  await pod.containers.remove('c1');
  pod.sandboxes.update('s1', { phase: 'stopped', monitor: null });
  pod.sandboxes.update('s1', { phase: 'removing' });
  await pod.sandboxes.remove('s1');
  const events = await unread(reader);
  t.deepEqual(told(events), [
    's1 created',
    's1 started',
    'c1 created',
    'c1 started',
    'c1 stopped',
    'c1 deleted',
    's1 stopped',
    's1 deleted',
  ]);
  t.deepEqual(
    events.map((e) => e.sandbox.state),
    ['ready', 'ready', 'ready', 'ready', 'ready', 'ready', 'not-ready', 'not-ready'],
  );
  t.deepEqual(
    events.map((e) => e.containers.map(containerState).join()),
    ['', '', 'created', 'running', 'exited', '', '', ''],
  );
  const times = events.map((e) => e.createdAt);
  t.deepEqual(
    times,
    times.toSorted((a, b) => (a < b ? -1 : 1)),
  );
  t.is(new Set(times).size, times.length);
  t.deepEqual(pod.faults, []);
});

test('an exit that is known before its start: started, then stopped, both with the times', async (t) => {
  const pod = house(t);
  runPod(pod);
  makeContainer(pod);
  const reader = pod.events.subscribe(() => 1);
  recordExit(pod.containers, { ...exit, containerId: 'c1' });
  recordStart(pod.containers, { containerId: 'c1', pid: 7, startTime: 5, startedAt: 10n });
  const events = await unread(reader);
  t.deepEqual(told(events), ['c1 started', 'c1 stopped']);
  t.is(events[0]?.containers[0]?.status.startedAt, 10n);
});

test('a failed start has its end only, and a failed creation nothing', async (t) => {
  const pod = house(t);
  runPod(pod);
  makeContainer(pod);
  const reader = pod.events.subscribe(() => 1);
  const failed = { exitCode: 128, reason: 'StartError', message: 'no such program', finishedAt: 30n } as const;
  pod.containers.update('c1', { exit: failed });
  const { identity, status } = containerOf({ id: 'c2' });
  pod.containers.create(identity, { ...status, phase: 'creating' });
  pod.containers.update('c2', { phase: 'removing' });
  await pod.containers.remove('c2');
  t.deepEqual(told(await unread(reader)), ['c1 stopped']);
});

test('a pod that is removed without a stop has stopped before it is gone', async (t) => {
  const pod = house(t);
  runPod(pod);
  const reader = pod.events.subscribe(() => 1);
  pod.sandboxes.update('s1', { phase: 'removing' });
  await pod.sandboxes.remove('s1');
  const events = await unread(reader);
  t.deepEqual(told(events), ['s1 stopped', 's1 deleted']);
  t.deepEqual(
    events.map((e) => e.sandbox.state),
    ['not-ready', 'not-ready'],
  );
});

test('a dead monitor stops its pod, once', async (t) => {
  const pod = house(t);
  runPod(pod);
  const reader = pod.events.subscribe(() => 1);
  pod.dead.add('s1');
  pod.events.monitorGone('s1');
  pod.sandboxes.update('s1', { phase: 'stopped', monitor: null });
  t.deepEqual(told(await unread(reader)), ['s1 stopped']);
});

test('after a restart: nothing of before is told again, what recovery finds is kept for who comes soon', async (t) => {
  const before = house(t);
  runPod(before);
  makeContainer(before, 'c1');
  makeContainer(before, 'c2');
  recordStart(before.containers, { containerId: 'c1', pid: 7, startTime: 5, startedAt: 10n });
  recordStart(before.containers, { containerId: 'c2', pid: 8, startTime: 6, startedAt: 11n });
  const pod = house(t, before.root);
  pod.events.recovering();
  recordExit(pod.containers, { ...exit, containerId: 'c1' });
  pod.events.recovered();
  recordExit(pod.containers, { ...exit, containerId: 'c2', finishedAt: 40n });
  const late = pod.events.subscribe(() => 1);
  await pod.sandboxes.remove('s1');
  t.deepEqual(told(await unread(late)), ['c1 stopped', 's1 stopped', 's1 deleted']);
});

test('a monitor that died while the daemon was down has stopped its pod', async (t) => {
  const before = house(t);
  runPod(before);
  const pod = house(t, before.root);
  pod.dead.add('s1');
  pod.events.recovering();
  pod.events.recovered();
  t.deepEqual(told(await unread(pod.events.subscribe(() => 1))), ['s1 stopped']);
});

test('subscribers that do not read: records change all the same, and overflows are counted', (t) => {
  const pod = house(t);
  runPod(pod);
  for (let n = 0; n < 5; n += 1) pod.events.subscribe(() => 6 * 1024 * 1024);
  for (let n = 0; n < 4; n += 1) makeContainer(pod, `c${n}`);
  t.is(pod.containers.list().length, 4);
  t.is(pod.events.overflows(), 5);
  t.is(pod.events.subscribers(), 0);
  t.is(pod.events.published(), 6);
});

test('an event that cannot be made does not keep a record from changing', (t) => {
  const pod = house(t);
  pod.events.subscribe(() => {
    throw new Error('no size');
  });
  runPod(pod);
  t.is(pod.sandboxes.get('s1')?.status.phase, 'ready');
  t.is(pod.faults.length, 1);
});
