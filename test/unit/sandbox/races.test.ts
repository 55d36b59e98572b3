// Calls that meet each other half-way: what one leaves must not be undone, or forgotten, by the other.
import test from 'ava';
import { Failure, failedPrecondition } from '../../../src/lib/failure.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';
import { fakeHost } from '../../helpers/fake-host.ts';

const input = { config: sandboxConfig(), runtimeHandler: '' };
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));

test('a monitor that comes up after the cgroup has failed is not left behind', async (t) => {
  const host = fakeHost();
  const { launch } = host.hands.monitor;
  host.hands.monitor.launch = async (id) => {
    await soon();
    return launch(id);
  };
  host.failAtCall(1); // sandbox record, cgroup
  await t.throwsAsync(host.run(input), { message: /cgroup.create/ });
  await soon();
  await soon();
  t.deepEqual([...host.resources], []);
});

test('a writable layer that is ready after the seccomp profile was refused is not left behind', async (t) => {
  const host = fakeHost();
  const sandboxId = await host.run(input);
  const before = [...host.resources];
  const { prepare } = host.hands.snapshots;
  host.hands.snapshots.prepare = async (id) => {
    await soon();
    return prepare(id);
  };
  host.refuseSeccomp(failedPrecondition('no such profile'));
  await t.throwsAsync(host.create({ sandboxId, config: containerConfig() }), {
    instanceOf: Failure,
    message: 'no such profile',
  });
  await soon();
  await soon();
  t.deepEqual([...host.resources], before);
});

const ended = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: Error) => error.message,
  );

for (const slow of ['prepare', 'createContainer', 'readFile'] as const) {
  test(`a pod removed while a container of it is made leaves nothing: slow ${slow}`, async (t) => {
    const host = fakeHost();
    const sandboxId = await host.run(input);
    const { snapshots, monitor } = host.hands;
    const { prepare, readFile } = snapshots;
    const { createContainer } = monitor;
    if (slow === 'prepare') snapshots.prepare = async (id) => soon().then(() => prepare(id));
    if (slow === 'readFile') snapshots.readFile = async () => soon().then(() => readFile());
    if (slow === 'createContainer') {
      monitor.createContainer = async (id, request) => soon().then(() => createContainer(id, request));
    }
    const making = ended(host.create({ sandboxId, config: containerConfig() }));
    await new Promise((resolve) => setImmediate(resolve));
    t.is(await ended(host.remove(sandboxId)), 'done');
    t.not(await making, 'done');
    t.deepEqual([...host.resources], []);
    t.is(host.sandboxRecords.list().length + host.containerRecords.list().length, 0);
  });
}

test('a container made while its pod is stopped is not left as if it could be started', async (t) => {
  const host = fakeHost();
  const sandboxId = await host.run(input);
  const { detach } = host.hands.network;
  host.hands.network.detach = async (id, netns) => soon().then(() => detach(id, netns));
  const stopping = host.stop(sandboxId);
  await new Promise((resolve) => setImmediate(resolve));
  await t.throwsAsync(host.create({ sandboxId, config: containerConfig() }), { message: /not ready/ });
  await stopping;
});

test('the pause process of a monitor that died does not keep its pod from being stopped', async (t) => {
  const host = fakeHost();
  const { security } = input.config;
  const namespaces = { ...security.namespaces, pid: 'pod' } as const;
  const id = await host.run({ ...input, config: sandboxConfig({ security: { ...security, namespaces } }) });
  host.monitors.delete(id);
  const killed: string[] = [];
  host.hands.cgroups.kill = async (path) => void killed.push(path);
  await host.stop(id);
  t.deepEqual(killed, [`/pods/${id}/${id}`]);
});

test('a call that came while the earlier one ran shares its answer, delivered or not', async (t) => {
  const host = fakeHost();
  const [a, b] = await Promise.all([host.run(input), host.run(input)]);
  t.is(a, b);
  const sandboxId = a;
  const [c, d] = await Promise.all([
    host.create({ sandboxId, config: containerConfig() }),
    host.create({ sandboxId, config: containerConfig() }),
  ]);
  t.is(c, d);
  await t.throwsAsync(host.run(input), { message: /exists/ });
  await t.throwsAsync(host.create({ sandboxId, config: containerConfig() }), { message: /exists/ });
});

test('the netns pin of an earlier boot is a plain file: the network is released without it', async (t) => {
  const host = fakeHost();
  const seen: (string | null)[] = [];
  host.hands.network.detach = async (_, netns) => void seen.push(netns);
  const now = await host.run(input);
  await host.stop(now);
  const before = await host.run({
    ...input,
    config: sandboxConfig({ metadata: { ...input.config.metadata, attempt: 1 } }),
  });
  const monitor = host.sandboxRecords.get(before)?.status.monitor;
  if (monitor) host.sandboxRecords.update(before, { monitor: { ...monitor, bootId: 'earlier' } });
  host.monitors.delete(before);
  await host.stop(before);
  t.deepEqual(seen, [`/netns/${now}`, null]);
});

test('maps come in any order: the retry of a Go client has the same config', async (t) => {
  const host = fakeHost();
  const one = { labels: { a: '1', b: '2' }, annotations: { x: '1', y: '2' } };
  const other = { labels: { b: '2', a: '1' }, annotations: { y: '2', x: '1' } };
  const sandboxId = await host.run({ ...input, config: sandboxConfig(one) }, false);
  t.is(await host.run({ ...input, config: sandboxConfig(other) }), sandboxId);
  const id = await host.create({ sandboxId, config: containerConfig(one) }, false);
  t.is(await host.create({ sandboxId, config: containerConfig(other) }), id);
});
