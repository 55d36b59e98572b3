// How a container starts and ends when the monitor, the connection to it, or another call gets in between.
import test from 'ava';
import { containerState } from '../../../src/container/container.ts';
import { recordExit, recordStart } from '../../../src/container/exits.ts';
import { internal, notFound, unavailable } from '../../../src/lib/failure.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';
import { fakeHost } from '../../helpers/fake-host.ts';

const input = { config: sandboxConfig(), runtimeHandler: '' };

async function created() {
  const host = fakeHost();
  const sandboxId = await host.run(input);
  const id = await host.create({ sandboxId, config: containerConfig() });
  const status = () => {
    const container = host.containerRecords.get(id);
    if (!container) throw new Error('no record');
    return { ...container.status, state: containerState(container) };
  };
  return { host, id, sandboxId, status };
}
const exitOf = (containerId: string, finishedAt: bigint) => ({
  containerId,
  exitCode: 3,
  oomKilled: false,
  finishedAt,
  started: true,
  startedAt: 0n,
  logDroppedBytes: 0,
});

test('a start whose answer was lost is no failed start: the monitor tells later that it runs', async (t) => {
  const { host, id, status } = await created();
  host.hands.monitor.startContainer = async () => {
    throw unavailable('the monitor closed the connection');
  };
  await t.throwsAsync(host.start(id), { message: /closed the connection/ });
  t.is(status().state, 'created');
  recordStart(host.containerRecords, { containerId: id, pid: 9, startTime: 4, startedAt: 5_000n });
  t.is(status().state, 'running');
  t.is(status().pid, 9);
});

test('a start that failed is a StartError, also when its exit was told first', async (t) => {
  const { host, id, status } = await created();
  host.hands.monitor.startContainer = async () => {
    recordExit(host.containerRecords, { ...exitOf(id, 4_000n), exitCode: 128, started: false });
    throw internal('exec /nothing: no such file');
  };
  await t.throwsAsync(host.start(id), { message: /no such file/ });
  t.is(status().exit?.reason, 'StartError');
  t.is(status().exit?.exitCode, 128);
});

test('an exit told before the answer to the start ends after it', async (t) => {
  const { host, id, status } = await created();
  host.hands.monitor.startContainer = async () => {
    recordExit(host.containerRecords, exitOf(id, 4_000n));
    return { pid: 7, startedAt: 4_500n };
  };
  await host.start(id);
  t.is(status().state, 'exited');
  t.is(status().pid, 0);
  t.true((status().exit?.finishedAt ?? 0n) > status().startedAt);
});

test('a start is never before the creation', async (t) => {
  const { host, id, status } = await created();
  recordStart(host.containerRecords, { containerId: id, pid: 9, startTime: 4, startedAt: 1n });
  t.true(status().startedAt >= (host.containerRecords.get(id)?.identity.createdAt ?? 0n));
});

test('a container that its monitor does not know does not hold up its pod', async (t) => {
  const { host, id, sandboxId, status } = await created();
  await host.start(id);
  host.hands.monitor.stopContainer = async () => {
    throw notFound(`no container ${id}`);
  };
  await host.stop(sandboxId);
  t.is(status().exit?.reason, 'Unknown');
});

test('stopping a container that is removed meanwhile succeeds', async (t) => {
  const { host, id, sandboxId } = await created();
  await host.start(id);
  host.monitors.delete(sandboxId);
  const { kill } = host.hands.cgroups;
  host.hands.cgroups.kill = async (path) => {
    await kill(path);
    await host.containerRecords.remove(id);
  };
  await t.notThrowsAsync(host.stopContainer(id, 0));
});

test('an exit that is told while the cgroup is killed stands', async (t) => {
  const { host, id, sandboxId, status } = await created();
  await host.start(id);
  host.monitors.delete(sandboxId);
  host.hands.cgroups.kill = async () => recordExit(host.containerRecords, exitOf(id, 9_000n));
  await host.stopContainer(id, 0);
  t.is(status().exit?.exitCode, 3);
});

test('a stop that comes while the container is being started waits, and stops it', async (t) => {
  const { host, id, status } = await created();
  const { startContainer } = host.hands.monitor;
  host.hands.monitor.startContainer = async () => {
    await new Promise((resolve) => setTimeout(resolve, 10));
    return startContainer();
  };
  const starting = host.start(id);
  await new Promise((resolve) => setImmediate(resolve));
  await host.stopContainer(id, 0);
  await starting;
  t.is(status().state, 'exited');
});

test('a start that a stop has ended is no StartError, whichever is told first', async (t) => {
  for (const exitFirst of [false, true]) {
    const { host, id, status } = await created();
    const { promise: hooksEnded, resolve: endHooks } = Promise.withResolvers<void>();
    host.hands.monitor.startContainer = async () => {
      await hooksEnded;
      if (exitFirst) recordExit(host.containerRecords, exitOf(id, 9_000n));
      throw internal('a hook was killed');
    };
    const { stopContainer } = host.hands.monitor;
    host.hands.monitor.stopContainer = async (...args) => {
      endHooks();
      await new Promise((resolve) => setImmediate(resolve));
      return stopContainer(...args);
    };
    const starting = t.throwsAsync(host.start(id), { message: /was stopped while it was started/ });
    await new Promise((resolve) => setImmediate(resolve));
    await host.stopContainer(id, 0);
    await starting;
    t.is(status().state, 'exited');
    t.not(status().exit?.reason, 'StartError');
  }
});

test('while the processes of a container cannot be ended, nothing else of it is tried', async (t) => {
  const { host, sandboxId } = await created();
  host.hands.monitor.stopContainer = async () => {
    throw unavailable('the monitor does not answer');
  };
  host.hands.monitor.removeContainer = async () => {
    throw unavailable('the monitor does not answer');
  };
  const from = host.calls.length;
  await t.throwsAsync(host.remove(sandboxId), { message: /does not answer/ });
  t.false(host.calls.slice(from).some((call) => /cgroup.remove|snapshots.remove|shutdown/.test(call)));
});
