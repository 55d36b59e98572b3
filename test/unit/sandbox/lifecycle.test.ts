import test from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import { KeyedLock } from '../../../src/lib/keyed-lock.ts';
import { type LinuxResources, mayBecome, type Sandbox, type SandboxPhase } from '../../../src/sandbox/sandbox.ts';
import { sandboxResources, updateSandboxResources } from '../../../src/sandbox/update-resources.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';
import { fakeHost } from '../../helpers/fake-host.ts';

const input = { config: sandboxConfig(), runtimeHandler: '' };

for (const runtimeHandler of ['', 'other', 'gvisor']) {
  test(`a pod of handler "${runtimeHandler}" from nothing to nothing leaves nothing`, async (t) => {
    const host = fakeHost();
    const id = await host.run({ ...input, runtimeHandler });
    const container = await host.create({ sandboxId: id, config: containerConfig() });
    await host.start(container);
    await host.stopContainer(container, 0);
    await host.stop(id);
    t.is(host.sandboxRecords.get(id)?.status.phase, 'stopped');
    await host.remove(id);
    t.deepEqual([...host.resources], []);
    t.is(host.sandboxRecords.list().length + host.containerRecords.list().length, 0);
  });
}

test('whichever call fails while a sandbox is made, nothing stays and the retry succeeds', async (t) => {
  const dry = fakeHost();
  await dry.run(input);
  for (let k = 0; k < dry.calls.length; k += 1) {
    const host = fakeHost();
    host.failAtCall(k);
    await t.throwsAsync(host.run(input), { instanceOf: Failure }, `call ${k}`);
    t.deepEqual([...host.resources], [], `after ${dry.calls[k]} failed`);
    t.is(host.sandboxRecords.list().length, 0);
    await host.run(input);
    t.is(host.sandboxRecords.list().length, 1);
  }
  t.true(dry.calls.length >= 5);
});

for (const runtimeHandler of ['', 'other', 'gvisor']) {
  test(`whichever call fails while a container of handler "${runtimeHandler}" is made, nothing stays and the retry succeeds`, async (t) => {
    const pod = { ...input, runtimeHandler };
    const dry = fakeHost();
    const own = await dry.run(pod);
    const from = dry.calls.length;
    await dry.create({ sandboxId: own, config: containerConfig() });
    t.true(dry.calls.length - from >= 5);
    for (let k = from; k < dry.calls.length; k += 1) {
      const host = fakeHost();
      const sandboxId = await host.run(pod);
      const before = [...host.resources];
      host.failAtCall(k);
      await t.throwsAsync(host.create({ sandboxId, config: containerConfig() }), { instanceOf: Failure });
      // the cgroup of gVisor's own container is the pod's, and goes with it
      const left = [...host.resources].filter((each) => each !== `cgroup /pods/${sandboxId}/${sandboxId}`);
      t.deepEqual(left, before, `after ${dry.calls[k]} failed`);
      await host.create({ sandboxId, config: containerConfig() });
    }
  });
}

test('whichever call fails while a pod is stopped and removed, the retry finishes', async (t) => {
  const prepare = async () => {
    const host = fakeHost();
    const id = await host.run({
      ...input,
      config: sandboxConfig({
        security: { ...input.config.security, namespaces: { ...input.config.security.namespaces, pid: 'pod' } },
      }),
    });
    const container = await host.create({ sandboxId: id, config: containerConfig() });
    await host.start(container);
    return { host, id };
  };
  const dry = await prepare();
  const from = dry.host.calls.length;
  await dry.host.stop(dry.id);
  await dry.host.remove(dry.id);
  t.deepEqual([...dry.host.resources], []);
  for (let k = from; k < dry.host.calls.length; k += 1) {
    const { host, id } = await prepare();
    host.failAtCall(k);
    await host.stop(id).catch(() => undefined);
    await host.remove(id).catch(() => undefined);
    await host.stop(id);
    await host.remove(id);
    t.deepEqual([...host.resources], [], `after ${dry.host.calls[k]} failed`);
    t.is(host.sandboxRecords.list().length + host.containerRecords.list().length, 0);
  }
});

test('a failed network release keeps the sandbox stoppable again', async (t) => {
  const host = fakeHost();
  const id = await host.run(input);
  host.failAtCall(host.calls.length);
  await t.throwsAsync(host.stop(id), { message: /release the network/ });
  t.true(host.resources.has(`netns ${id}`), 'a plugin needs the netns for the next try');
  await host.stop(id);
  t.is(host.sandboxRecords.get(id)?.status.phase, 'stopped');
});

test('a retry of a call that was never answered gets the same sandbox', async (t) => {
  const host = fakeHost();
  const id = await host.run(input, false);
  t.is(await host.run(input), id);
  await t.throwsAsync(host.run(input), { message: new RegExp(`sandbox ${id} exists`) });
});

test('the same metadata with another config is refused, naming what differs', async (t) => {
  const host = fakeHost();
  await host.run(input, false);
  const other = { ...input, config: sandboxConfig({ hostname: 'other' }) };
  const error = await t.throwsAsync(host.run(other), { instanceOf: Failure });
  t.is((error as Failure).kind, 'already-exists');
  t.regex(error?.message ?? '', /hostname differs/);
});

test('two calls at once make one sandbox', async (t) => {
  const host = fakeHost();
  const [a, b] = await Promise.all([host.run(input, false), host.run(input, false)]);
  t.is(a, b);
  t.is(host.sandboxRecords.list().length, 1);
});

test('the same for containers', async (t) => {
  const host = fakeHost();
  const sandboxId = await host.run(input);
  const id = await host.create({ sandboxId, config: containerConfig() }, false);
  t.is(await host.create({ sandboxId, config: containerConfig() }), id);
  await t.throwsAsync(host.create({ sandboxId, config: containerConfig() }), { message: /exists for c attempt 0/ });
  await t.throwsAsync(host.create({ sandboxId, config: containerConfig({ tty: true }) }), { message: /tty differs/ });
});

test('a sandbox whose monitor died takes no container, and comes down all the same', async (t) => {
  const host = fakeHost();
  const id = await host.run(input);
  const container = await host.create({ sandboxId: id, config: containerConfig() });
  await host.start(container);
  host.monitors.delete(id);
  host.resources.delete(`monitor ${id}`);
  host.resources.delete(`process ${container}`);
  await t.throwsAsync(
    host.create({ sandboxId: id, config: containerConfig({ metadata: { name: 'd', attempt: 0 } }) }),
    { message: /not ready/ },
  );
  await host.stop(id);
  t.is(host.containerRecords.get(container)?.status.exit?.exitCode, 255);
  await host.remove(id);
  t.deepEqual([...host.resources], []);
});

test('stopping and removing what does not exist succeeds', async (t) => {
  const host = fakeHost();
  await host.stop('f'.repeat(64));
  await host.remove('f'.repeat(64));
  await host.stopContainer('f'.repeat(64), 1);
  t.deepEqual(host.calls, []);
});

test('phases change only as the table says', (t) => {
  const phases: SandboxPhase[] = ['creating', 'ready', 'stopped', 'removing'];
  const allowed = phases.flatMap((from) => phases.filter((to) => mayBecome(from, to)).map((to) => `${from}>${to}`));
  t.deepEqual(allowed, [
    'creating>ready',
    'creating>removing',
    'ready>stopped',
    'ready>removing',
    'stopped>stopped',
    'stopped>removing',
    'removing>removing',
  ]);
});

const limits = (memoryLimitBytes: number): LinuxResources => ({
  cpuPeriod: null,
  cpuQuota: null,
  cpuShares: 256,
  memoryLimitBytes,
  oomScoreAdj: 0,
  cpusetCpus: '',
  cpusetMems: '',
  hugepageLimits: [],
  unified: {},
  memorySwapLimitBytes: null,
});

test('updated resources take the place of the config, each as a whole, and what is not given stays', async (t) => {
  const host = fakeHost();
  const id = await host.run({ ...input, config: sandboxConfig({ overhead: limits(1), resources: limits(2) }) });
  const ports = { records: host.sandboxRecords, locks: new KeyedLock() };
  const now = () => sandboxResources(host.sandboxRecords.get(id) as Sandbox);
  const { signal } = new AbortController();
  t.deepEqual(now(), { overhead: limits(1), resources: limits(2) });
  await updateSandboxResources(ports, { id, overhead: null, resources: limits(3) }, signal);
  t.deepEqual(now(), { overhead: limits(1), resources: limits(3) });
  await updateSandboxResources(ports, { id: id.slice(0, 8), overhead: limits(4), resources: null }, signal);
  t.deepEqual(now(), { overhead: limits(4), resources: limits(3) });
  await t.throwsAsync(updateSandboxResources(ports, { id: 'none', overhead: null, resources: null }, signal), {
    message: /does not exist/,
  });
  await host.stop(id);
  await t.throwsAsync(updateSandboxResources(ports, { id, overhead: null, resources: null }, signal), {
    message: /not ready/,
  });
});

test('a pod whose monitor is dead leaves nothing with its runtime', async (t) => {
  for (const runtimeHandler of ['other', 'gvisor']) {
    const host = fakeHost();
    const id = await host.run({ ...input, runtimeHandler });
    const container = await host.create({ sandboxId: id, config: containerConfig() });
    await host.start(container);
    host.monitors.delete(id);
    await host.remove(id);
    t.deepEqual(
      [...host.resources].filter((each) => each.startsWith('runtime state')),
      [],
    );
    t.true(host.calls.includes('runtime.delete'));
  }
});

test('a handler that nobody has configured is refused with those that are known', async (t) => {
  const host = fakeHost();
  await t.throwsAsync(host.run({ ...input, runtimeHandler: 'nobody' }), {
    message: /nobody is not configured; known: .*"other"/,
  });
});
