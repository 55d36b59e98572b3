// What plugins of the node do to the verbs: a "no" leaves nothing behind, a change is what is made and put on record.
import test from 'ava';
import { adjustedCgroup, unadjusted } from '../../../src/container/adjusted.ts';
import { containerState } from '../../../src/container/container.ts';
import { failedPrecondition } from '../../../src/lib/failure.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';
import { fakeHost } from '../../helpers/fake-host.ts';
import { noLinuxLimits } from '../../helpers/no-limits.ts';

const pod = { config: sandboxConfig(), runtimeHandler: '' };
const no = async (): Promise<never> => {
  throw failedPrecondition('a plugin says no');
};

test('RunPodSandbox: a plugin that says no leaves nothing of the pod, and the retry makes it', async (t) => {
  const host = fakeHost();
  const { running } = host.plugins;
  const seen: unknown[] = [];
  host.plugins.running = async (sandbox) => {
    seen.push(sandbox.status.ips, sandbox.status.phase);
    return no();
  };
  await t.throwsAsync(host.run(pod), { message: 'a plugin says no' });
  t.deepEqual(seen, [['10.0.0.2'], 'creating'], 'it is told of a pod with its network');
  t.deepEqual([...host.resources], []);
  t.is(host.sandboxRecords.list().length, 0);
  host.plugins.running = running;
  t.truthy(await host.run(pod));
});

test('CreateContainer: a plugin that says no leaves nothing of the container', async (t) => {
  const host = fakeHost();
  const sandboxId = await host.run(pod);
  const before = [...host.resources];
  host.plugins.adjust = no;
  await t.throwsAsync(host.create({ sandboxId, config: containerConfig() }), { message: 'a plugin says no' });
  t.deepEqual([...host.resources], before);
  t.is(host.containerRecords.list().length, 0);
});

test('CreateContainer: what plugins want is what is made, limited and put on record', async (t) => {
  const host = fakeHost();
  const sandboxId = await host.run(pod);
  const asked = containerConfig().resources;
  const { cgroups, files, monitor } = host.hands;
  let limits: unknown;
  let written: unknown;
  let filter: unknown;
  const [makeCgroup, makeBundle, make] = [cgroups.create, files.writeBundle, monitor.createContainer];
  Object.assign(cgroups, {
    create: (...all: Parameters<typeof makeCgroup>) => ((limits = all[1 as never]), makeCgroup(...all)),
  });
  Object.assign(files, {
    writeBundle: (...all: Parameters<typeof makeBundle>) => ((written = all[1 as never]), makeBundle(...all)),
  });
  Object.assign(monitor, {
    createContainer: (...all: Parameters<typeof make>) => {
      filter = (all[1] as unknown as { seccompBpf: Buffer }).seccompBpf.toString();
      return make(...all);
    },
  });
  host.plugins.adjust = async (planned) => {
    const plan = unadjusted(planned);
    const resources = { ...(asked ?? (await noLimits())), memoryLimitBytes: 123 };
    const spec = { ...plan.spec, process: { ...plan.spec.process, args: ['changed'] } };
    return { spec, resources, pidsLimit: 7, seccomp: '{"policy":1}' };
  };
  const id = await host.create({ sandboxId, config: containerConfig() });
  t.like(limits, { memoryLimitBytes: 123, pidsLimit: 7 });
  t.like(written, { process: { args: ['changed'] } });
  t.is(filter, '{"policy":1}');
  const status = host.containerRecords.get(id)?.status;
  t.is(status?.resources?.memoryLimitBytes, 123);
  t.is(status?.seccomp, '{"policy":1}');
});

const noLimits = async () => noLinuxLimits;

test('a limit of tasks alone is a limit; none at all is none', async (t) => {
  const plan = { spec: {} as never, seccomp: null };
  t.is(adjustedCgroup({ ...plan, resources: null, pidsLimit: null }), null);
  t.like(adjustedCgroup({ ...plan, resources: null, pidsLimit: 5 }), {
    pidsLimit: 5,
    memoryLimitBytes: null,
    unified: {},
  });
});

test('StartContainer: a plugin that says no ends the container, with its words, and its process', async (t) => {
  const host = fakeHost();
  const sandboxId = await host.run(pod);
  const id = await host.create({ sandboxId, config: containerConfig() });
  host.plugins.starting = no;
  await t.throwsAsync(host.start(id), { message: 'a plugin says no' });
  const container = host.containerRecords.get(id);
  t.is(container && containerState(container), 'exited');
  t.like(container?.status.exit, { exitCode: 128, reason: 'StartError', message: 'a plugin says no' });
  t.false(host.calls.includes('monitor.startContainer'));
  t.false(host.resources.has(`process ${id}`));
  await host.remove(sandboxId);
  t.deepEqual([...host.resources], []);
});
