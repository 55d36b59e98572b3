// NetworkReady is honest: nothing is ready without a configuration, and one that appears is used without a restart.
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { TestDaemon } from '../helpers/daemon.ts';
import { ask } from '../helpers/outside.ts';
import { exec, fails, podConfig, podIp, pull, runPod, scripted, start } from '../helpers/pods.ts';
import { kitPrograms } from '../helpers/registry.ts';
import { until } from '../helpers/until.ts';

let daemon: TestDaemon;
let plain: string;

test.before('a daemon without a network of its own', async () => {
  const plugins = join(await kitPrograms(), 'cni');
  daemon = new TestDaemon({ network: 'none', flags: [`--cni-bin-dirs=${plugins}`] });
  await daemon.start();
  await pull(daemon);
  plain = daemon.subnet.replace('.0/24', '');
});
test.afterEach.always((t) => {
  if (!t.passed) t.log(daemon.lastWords());
});
test.after.always(() => daemon.destroy());

async function condition(): Promise<{ ready: boolean; reason: string; message: string }> {
  const { status } = await daemon.runtime.Status({});
  const found = status?.conditions.find(({ type }) => type === 'NetworkReady');
  return { ready: found?.status ?? false, reason: found?.reason ?? '', message: found?.message ?? '' };
}

/** Puts a configuration into place as an installer does: whole, by rename. */
function drop(name: string, config: object): void {
  mkdirSync(daemon.confDir, { recursive: true });
  writeFileSync(join(daemon.dir, name), JSON.stringify(config));
  renameSync(join(daemon.dir, name), join(daemon.confDir, name));
}

const ipam = (): object => ({
  type: 'host-local',
  dataDir: join(daemon.dir, 'ipam'),
  ranges: [[{ subnet: `${plain}.0/24` }]],
  routes: [{ dst: '0.0.0.0/0' }],
});

test.serial('with no configuration the network is not ready, the runtime is, and pods are refused', async (t) => {
  const { ready, reason, message } = await condition();
  t.false(ready);
  t.is(reason, 'NetworkPluginNotReady');
  t.true(message.includes(daemon.confDir), message);
  await fails(t, daemon.runtime.RunPodSandbox({ config: podConfig(daemon) }), { code: 'FAILED_PRECONDITION' });
  t.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial("a pod of the host's network runs all the same", async (t) => {
  const host = { linux: { security_context: { namespace_options: { network: 'NODE' } } } } as const;
  const pod = await runPod(daemon, host);
  const id = await start(daemon, pod, scripted('sleep 3600', host));
  t.is((await exec(daemon, id, 'true')).code, 0);
  await daemon.removePod(pod.id);
});

test.serial('a broken configuration is told and not used', async (t) => {
  mkdirSync(daemon.confDir, { recursive: true });
  writeFileSync(join(daemon.confDir, '10-broken.conflist'), '{ not json');
  const { ready, message } = await condition();
  t.false(ready);
  t.regex(message, /10-broken\.conflist/);
  rmSync(join(daemon.confDir, '10-broken.conflist'));
});

test.serial(
  'a conflist of bridge, host-local and portmap makes it ready without a restart, and is carried out natively',
  async (t) => {
    drop('20-bridge.conflist', {
      cniVersion: '1.0.0',
      name: 'dropped',
      plugins: [
        { type: 'bridge', bridge: daemon.bridge, isGateway: true, ipMasq: true, hairpinMode: true, ipam: ipam() },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    });
    await until('the network is ready', async () => (await condition()).ready);
    const pod = await runPod(daemon);
    const ip = await podIp(daemon, pod);
    t.true(ip.startsWith(`${plain}.`), ip);
    await start(daemon, pod, scripted('exec tcpsvd 0.0.0.0 80 echo hello'));
    await until('it serves', () => ask(ip, 80).catch(() => null));
    t.is(await ask(ip, 80), 'hello');
    await daemon.removePod(pod.id);
    t.deepEqual(await daemon.leftOfPods(), []);
  },
);

test.serial('any other conflist is carried out by its plugins, and released by them', async (t) => {
  rmSync(join(daemon.confDir, '20-bridge.conflist'));
  drop('30-ptp.conflist', {
    cniVersion: '1.0.0',
    name: 'foreign',
    plugins: [
      { type: 'ptp', ipam: ipam() },
      { type: 'tuning', sysctl: { 'net.ipv4.ip_default_ttl': '77' } },
    ],
  });
  await until('the network is ready', async () => (await condition()).ready);
  const pod = await runPod(daemon);
  const ip = await podIp(daemon, pod);
  t.true(ip.startsWith(`${plain}.`), ip);
  const id = await start(daemon, pod, scripted('exec tcpsvd 0.0.0.0 80 echo hello'));
  t.is((await exec(daemon, id, 'cat', '/proc/sys/net/ipv4/ip_default_ttl')).stdout, '77\n');
  await until('it serves', () => ask(ip, 80).catch(() => null));
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
  await t.throwsAsync(ask(ip, 80));
});

test.serial('a plugin that fails fails the pod with its words, and leaves nothing of it', async (t) => {
  rmSync(join(daemon.confDir, '30-ptp.conflist'));
  const one = { subnet: `${plain}.0/24`, rangeStart: `${plain}.9`, rangeEnd: `${plain}.9` };
  drop('40-small.conflist', {
    cniVersion: '1.0.0',
    name: 'small',
    plugins: [{ type: 'ptp', ipam: { type: 'host-local', dataDir: join(daemon.dir, 'ipam'), ranges: [[one]] } }],
  });
  const pod = await until('a pod of the small network', () => runPod(daemon).catch(() => null));
  t.is(await podIp(daemon, pod), `${plain}.9`);
  await t.throwsAsync(runPod(daemon), { message: /no IP addresses available/ });
  const { items } = await daemon.runtime.ListPodSandbox({});
  t.deepEqual(
    items.map(({ id }) => id),
    [pod.id],
  );
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
  rmSync(join(daemon.confDir, '40-small.conflist'));
});

test.serial('when the configuration goes, the network is not ready again', async (t) => {
  await until('the network is not ready', async () => !(await condition()).ready);
  t.is((await condition()).reason, 'NetworkPluginNotReady');
});

test.serial(
  'a subnet of our own that cuts into a route of the host is not used, and NetworkReady says why',
  async (t) => {
    const foreign = `pwx${daemon.bridge.slice(-8)}`;
    execFileSync('ip', ['link', 'add', foreign, 'type', 'bridge']);
    const other = new TestDaemon();
    t.teardown(async () => {
      execFileSync('ip', ['link', 'del', foreign]);
      await other.destroy();
    });
    execFileSync('ip', ['addr', 'add', other.subnet.replace('.0/24', '.129/25'), 'dev', foreign]);
    execFileSync('ip', ['link', 'set', foreign, 'up']);
    await other.start();
    const networkReady = async () =>
      (await other.runtime.Status({})).status?.conditions.find(({ type }) => type === 'NetworkReady');
    const why = new RegExp(`network\\.subnet ${other.subnet} overlaps the host's route to \\S+/25 of ${foreign}`);
    t.like(await networkReady(), { status: false, reason: 'NetworkPluginNotReady' });
    t.regex((await networkReady())?.message ?? '', why);
    await fails(t, other.runtime.RunPodSandbox({ config: podConfig(other) }), {
      code: 'FAILED_PRECONDITION',
      message: why,
    });
    t.deepEqual(await other.leftOfNetwork(), []);
    execFileSync('ip', ['addr', 'flush', 'dev', foreign]);
    t.true((await networkReady())?.status);
    await other.removePod((await runPod(other)).id);
    await other.shutdown();
    t.deepEqual(await other.leftOfNetwork(), []);
  },
);

test.serial('nothing is left on the host', async (t) => {
  await daemon.removeAllPods();
  t.deepEqual(await daemon.leftOfPods(), []);
  await daemon.shutdown();
  t.deepEqual(await daemon.leftOfNetwork(), []);
});
