import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ask, cannotRun, serve, startHost, until, type Host } from './network/host.ts';
import { conflist, dirWith, fakePlugins, installPlugins, someResult } from './network/plugins.ts';

const pluginDir = dirWith('bridge', 'host-local', 'portmap');
const cannotRunPlugins = cannotRun ?? (pluginDir ? null : 'no CNI plugins: run hack/testkit/install.sh cni');

const real = cannotRun === null ? test : test.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} (${cannotRun})`);
const withPlugins = cannotRunPlugins === null ? test : test.skip;
const pluginTitle = (what: string): string => (cannotRunPlugins === null ? what : `${what} (${cannotRunPlugins})`);

async function host(t: ExecutionContext, pluginTimeoutMs = 20_000): Promise<Host> {
  const made = await startHost({ default: 'none', pluginTimeoutMs });
  t.teardown(made.end);
  await made.call('start');
  return made;
}

/** Whether a process runs: a zombie, which its new parent has not buried yet, does not. */
function lives(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

const result = someResult;

real(title('plugins are chained, and DEL has what ADD had, also when the configuration is gone'), async (t) => {
  const h = await host(t);
  const { calls, put } = fakePlugins(h, 'first', 'second');
  put('first.result', JSON.stringify(result));
  conflist(h, {
    plugins: [
      { type: 'first', key: 1 },
      { type: 'second', capabilities: { portMappings: true } },
    ],
  });
  t.like(await h.call('status'), { ready: true });
  const pod = await h.newPod();
  const portMappings = [{ protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '' }] as const;
  const attachment = await h.attach(pod, { portMappings });
  t.deepEqual(attachment, { ips: ['10.9.9.9'], interface: 'eth0', hostInterface: null });
  t.regex(pod.sh('ip -o link show lo'), /UP/, 'loopback is ours to bring up');
  t.deepEqual(await h.attach(pod, { portMappings }), attachment, 'asked again, nothing is executed');

  rmSync(join(h.dirs.conf, '10-test.conflist'));
  await h.restart();
  t.false((await h.call('status')).ready);
  await h.call('detach', pod.id, null);
  await h.call('detach', pod.id, null);
  const seen = calls();
  t.deepEqual(
    seen.map(({ plugin, command, netns }) => `${command} ${plugin} ${netns}`),
    [`ADD first ${pod.netns}`, `ADD second ${pod.netns}`, 'DEL second ', 'DEL first '],
  );
  t.regex(
    seen[0]?.args ?? '',
    /K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-0;K8S_POD_INFRA_CONTAINER_ID=[0-9a-f]{64};K8S_POD_UID=uid-0$/,
  );
  t.deepEqual(seen[0]?.input, { type: 'first', key: 1, name: 'test', cniVersion: '1.0.0' });
  t.deepEqual(seen[1]?.input['prevResult'], result);
  t.deepEqual(seen[1]?.input['runtimeConfig'], {
    portMappings: [{ protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIP: '' }],
  });
  t.deepEqual(seen[2]?.input['prevResult'], result);
  t.deepEqual(seen[2]?.input['runtimeConfig'], seen[1]?.input['runtimeConfig']);
});

real(title('what a plugin refuses is told in its words, and its DEL stays owed until it succeeds'), async (t) => {
  const h = await host(t);
  const { calls, put } = fakePlugins(h, 'first', 'second');
  put('first.result', JSON.stringify(result));
  put('second.ADD.error', '{"code":11,"msg":"no more","details":"come back"}');
  put('second.DEL.error', 'out of order');
  conflist(h, { plugins: [{ type: 'first' }, { type: 'second' }] });
  const pod = await h.newPod();
  await t.throwsAsync(h.attach(pod), {
    message: 'unavailable: CNI plugin second ADD failed: no more; come back (code 11)',
  });
  await t.throwsAsync(h.call('detach', pod.id, pod.netns), {
    message: /^internal: CNI plugin second DEL failed: exit code 1; out of order/,
  });
  t.is(await h.call('owedReleases'), 1);
  t.deepEqual(await h.call('owed'), [pod.id]);
  await h.restart();
  await t.throwsAsync(h.call('collect', []), { message: /out of order/ });
  t.deepEqual(await h.call('owed'), [pod.id], 'a start knows of it again');
  await t.throwsAsync(h.call('releaseAgain', pod.id), { message: /out of order/ });
  rmSync(join(h.dirs.bin, 'second.DEL.error'));
  await h.call('releaseAgain', pod.id);
  await h.call('releaseAgain', pod.id);
  t.is(await h.call('owedReleases'), 0);
  t.deepEqual(
    calls().map(({ plugin, command }) => `${command} ${plugin}`),
    ['ADD first', 'ADD second', ...Array.from({ length: 4 }, () => 'DEL second'), 'DEL first'],
  );
});

/** The number that a script wrote into a file, once it is there. */
const written = (h: Host, name: string): Promise<number> =>
  until(`the file ${name}`, () => {
    const file = join(h.dirs.bin, name);
    return existsSync(file) && Number(readFileSync(file, 'utf8'));
  });

// a script that says that it runs, and goes on when it is told to
const waits = 'touch "$dir/asked"; while [ ! -e "$dir/go" ]; do sleep 0.05; done';
const asked = (h: Host): Promise<boolean> =>
  until('the plugin to be asked', () => existsSync(join(h.dirs.bin, 'asked')));

real(title('a plugin that hangs is ended; one that is missing makes the node not ready'), async (t) => {
  const h = await host(t, 6_000);
  const { put } = fakePlugins(h, 'slow');
  // it starts something that hangs as well: one that stays in its group, and one that does not but has its output
  put('slow.ADD.script', 'sleep 61.5 & echo $! > "$dir/child"; setsid sleep 62.5 & echo $! > "$dir/gone"; sleep 60');
  conflist(h, { plugins: [{ type: 'slow' }] });
  const pod = await h.newPod();
  await t.throwsAsync(h.attach(pod), { message: /^deadline-exceeded: CNI plugin slow ADD did not end within 6000 ms/ });
  const child = await written(h, 'child');
  await until('the end of the group', () => !lives(child));
  process.kill(await written(h, 'gone'), 'SIGKILL');
  conflist(h, { plugins: [{ type: 'slow' }, { type: 'absent' }] });
  t.like(await h.call('status'), {
    ready: false,
    reason: 'NetworkPluginNotReady',
    message: `the CNI plugin absent was not found in ${h.dirs.bin}`,
  });
});

real(
  title('a plugin that hangs does not hold up the start, and all who ask for the status share one run'),
  async (t) => {
    const h = await startHost({ default: 'none', pluginTimeoutMs: 60_000 });
    t.teardown(h.end);
    const { calls, put } = fakePlugins(h, 'first');
    put('first.STATUS.script', waits);
    conflist(h, { cniVersion: '1.1.0', plugins: [{ type: 'first' }] });
    await h.call('start');
    await asked(h);
    const told = Promise.all([h.call('status'), h.call('status')]);
    put('go', '');
    for (const status of await told) t.like(status, { ready: true, message: '' });
    t.deepEqual(
      calls().map(({ command }) => command),
      ['STATUS'],
    );
  },
);

real(title('new pods do not wait for plugins that release old ones'), async (t) => {
  const h = await host(t, 60_000);
  const { calls, put } = fakePlugins(h, 'first');
  put('first.result', JSON.stringify(result));
  put('first.DEL.script', waits);
  conflist(h, { cniVersion: '1.1.0', plugins: [{ type: 'first' }] });
  const [dead, alive] = [await h.newPod(), await h.newPod()];
  await h.attach(dead);
  const collected = h.call('collect', [alive.id]);
  await asked(h);
  t.deepEqual((await h.attach(alive)).ips, ['10.9.9.9']);
  put('go', '');
  await collected;
  const seen = calls().filter(({ command }) => command !== 'STATUS');
  t.deepEqual(
    seen.map(({ command, input }) => [command, input['cni.dev/valid-attachments']]),
    [
      ['ADD', undefined],
      ['DEL', undefined],
      ['ADD', undefined],
      ['GC', [{ containerID: alive.id, ifname: 'eth0' }]],
    ],
  );
});

real(title('plugins that take over a network are told of the pods on our own bridge'), async (t) => {
  const h = await host(t);
  const { calls } = fakePlugins(h, 'bridge');
  conflist(h, { cniVersion: '1.1.0', plugins: [bridgeConfig(h)] });
  t.like((await h.call('status')).config, { driver: 'bridge' });
  const pod = await h.newPod();
  await h.attach(pod);
  conflist(h, { cniVersion: '1.1.0', plugins: [bridgeConfig(h, { enabledad: false })] });
  t.like((await h.call('status')).config, { driver: 'plugins' });
  await h.call('collect', [pod.id]);
  const last = calls().at(-1);
  t.is(last?.command, 'GC');
  t.deepEqual(last?.input['cni.dev/valid-attachments'], [{ containerID: pod.id, ifname: 'eth0' }]);
  await h.call('detach', pod.id, pod.netns);
});

real(title('plugins of 1.1 are asked for their status and told who is alive'), async (t) => {
  const h = await host(t);
  const { calls, put } = fakePlugins(h, 'first');
  put('first.result', JSON.stringify(result));
  put('first.STATUS.error', '{"code":50,"msg":"no route yet"}');
  conflist(h, { cniVersion: '1.1.0', plugins: [{ type: 'first' }] });
  t.like(await h.call('status'), { ready: false, message: 'CNI plugin first STATUS failed: no route yet (code 50)' });
  rmSync(join(h.dirs.bin, 'first.STATUS.error'));
  conflist(h, { cniVersion: '1.1.0', name: 'again', plugins: [{ type: 'first' }] });
  t.like(await h.call('status'), { ready: true });
  const pod = await h.newPod();
  await h.attach(pod);
  await h.call('collect', [pod.id]);
  const last = calls().at(-1);
  t.is(last?.command, 'GC');
  t.deepEqual(last?.input['cni.dev/valid-attachments'], [{ containerID: pod.id, ifname: 'eth0' }]);
  const before = calls().length;
  conflist(h, { cniVersion: '1.1.0', name: 'again', disableGC: true, plugins: [{ type: 'first' }] });
  await h.call('collect', [pod.id]);
  t.deepEqual(
    calls()
      .slice(before)
      .map(({ command }) => command)
      .filter((command) => command === 'GC'),
    [],
  );
});

real(title('what a plugin prints without end, or leaves behind, holds nobody up'), async (t) => {
  const h = await host(t);
  const { put } = fakePlugins(h, 'first');
  conflist(h, { plugins: [{ type: 'first' }] });
  put('first.ADD.script', 'yes');
  const pod = await h.newPod();
  await t.throwsAsync(h.attach(pod), { message: /^internal: CNI plugin first ADD printed more than 8388608/ });
  // a daemon of its own keeps its output open
  put('first.ADD.script', 'setsid sleep 63.5 & echo $! > "$dir/gone"');
  put('first.result', JSON.stringify(result));
  t.deepEqual((await h.attach(pod)).ips, ['10.9.9.9']);
  process.kill(await written(h, 'gone'), 'SIGKILL');
});

real(title('the version spoken is the newest that all plugins have; without one the node is not ready'), async (t) => {
  const h = await host(t);
  const { calls, put } = fakePlugins(h, 'first', 'second', 'mute');
  put('first.result', JSON.stringify(result));
  put('first.versions', '["0.4.0","1.0.0","1.1.0"]');
  put('second.versions', '["0.3.1","0.4.0","1.0.0"]');
  const plugins = [{ type: 'first' }, { type: 'second' }, { type: 'mute' }];
  conflist(h, { cniVersion: '1.1.0', cniVersions: ['0.4.0', '1.0.0', '1.1.0'], plugins });
  t.true((await h.call('status')).ready);
  const pod = await h.newPod();
  await h.attach(pod);
  t.deepEqual(
    calls().map(({ plugin, command, input }) => `${command} ${plugin} ${String(input['cniVersion'])}`),
    ['ADD first 1.0.0', 'ADD second 1.0.0', 'ADD mute 1.0.0'],
    'no STATUS, which 1.0.0 has not',
  );
  conflist(h, { cniVersion: '1.1.0', plugins });
  t.like(await h.call('status'), {
    ready: false,
    message: 'CNI plugin second speaks 0.3.1, 0.4.0, 1.0.0, network test 1.1.0',
  });
  put('second.versions', '["1.1.0"]');
  h.sh(`touch -d 1970-01-02 ${join(h.dirs.bin, 'second')}`); // another program: it is asked anew
  conflist(h, { cniVersion: '1.1.0', plugins: [...plugins], disableGC: true });
  t.like(await h.call('status'), { ready: true });
});

real(title("CHECK tells a plugin's words, unless the configuration will not have it"), async (t) => {
  const h = await host(t);
  const { calls, put } = fakePlugins(h, 'first', 'second');
  put('first.result', JSON.stringify(result));
  conflist(h, { plugins: [{ type: 'first' }, { type: 'second' }] });
  const [pod, other] = [await h.newPod(), await h.newPod()];
  await h.attach(pod);
  await h.call('check', pod.id);
  t.like(calls().at(-1), { plugin: 'second', command: 'CHECK', netns: pod.netns, input: { prevResult: result } });
  put('second.CHECK.error', '{"code":99,"msg":"eth0 is not as I left it"}');
  await t.throwsAsync(h.call('check', pod.id), {
    message: 'internal: CNI plugin second CHECK failed: eth0 is not as I left it (code 99)',
  });
  await t.throwsAsync(h.call('check', other.id), { message: /^not-found: / });
  conflist(h, { disableCheck: true, plugins: [{ type: 'first' }, { type: 'second' }] });
  await h.attach(other);
  await h.call('check', other.id);
  t.is(calls().at(-1)?.command, 'ADD');
});

real(title('results are kept as libcni does it, and release a pod whose record is lost'), async (t) => {
  const h = await host(t);
  const { calls, put } = fakePlugins(h, 'first');
  put('first.result', JSON.stringify(result));
  conflist(h, { plugins: [{ type: 'first', capabilities: { aliases: true } }] });
  const pod = await h.newPod();
  await h.attach(pod);
  const file = join(h.root, 'cache', 'results', `test-${pod.id}-eth0`);
  t.like(JSON.parse(readFileSync(file, 'utf8')), { kind: 'cniCacheV1', containerId: pod.id, netns: pod.netns, result });
  writeFileSync(join(h.root, 'sandboxes', pod.id, 'network.json'), 'damaged');
  rmSync(join(h.dirs.conf, '10-test.conflist'));
  await h.restart();
  await h.call('detach', pod.id, null);
  const last = calls().at(-1);
  t.like(last, { command: 'DEL', netns: '', input: { prevResult: result, runtimeConfig: { aliases: ['pod-0'] } } });
  t.regex(last?.args ?? '', /^IgnoreUnknown=1;K8S_POD_NAMESPACE=default;/);
  t.deepEqual(readdirSync(join(h.root, 'cache', 'results')), []);
  t.is(await h.call('owedReleases'), 0);
});

const bridgeConfig = (h: Host, more: Record<string, unknown> = {}) => ({
  type: 'bridge',
  bridge: 'cnitest0',
  isGateway: true,
  ipMasq: true,
  hairpinMode: true,
  ipam: { type: 'host-local', dataDir: h.dirs.allocations, subnet: '10.213.5.0/24', routes: [{ dst: '0.0.0.0/0' }] },
  ...more,
});

withPlugins(pluginTitle('the real plugins and we share a network: allocations, bridge, traffic'), async (t) => {
  const h = await host(t);
  installPlugins(h, pluginDir ?? '', ['bridge', 'host-local', 'portmap']);
  const portmap = { type: 'portmap', capabilities: { portMappings: true } };
  const portMappings = [{ protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '' }] as const;

  conflist(h, { plugins: [bridgeConfig(h), portmap] });
  const own = await h.newPod();
  t.deepEqual((await h.attach(own)).ips, ['10.213.5.2']);
  // a key that we do not know: the same network, now by its plugins
  conflist(h, { plugins: [bridgeConfig(h, { enabledad: false }), portmap] });
  t.like((await h.call('status')).config, { driver: 'plugins', because: 'bridge has enabledad' });
  const foreign = await h.newPod();
  t.deepEqual((await h.attach(foreign, { portMappings })).ips, ['10.213.5.3'], 'the plugin goes on from our last');
  t.log(`ADD by bridge, host-local and portmap: ${h.lastMs().toFixed(1)} ms`);
  await serve(own, '0.0.0.0', 81);
  await serve(foreign, '0.0.0.0', 80);
  t.is(await ask(foreign, '10.213.5.2', 81), 'hello 10.213.5.3');
  t.is(await ask(own, '10.213.5.3', 80), 'hello 10.213.5.2');
  t.is(await ask(h, '127.0.0.1', 8080), 'hello 10.213.5.1');
  t.is((await h.call('interfaceStats', foreign.id))[0]?.name, 'eth0', 'counted from inside');

  conflist(h, { plugins: [bridgeConfig(h), portmap] });
  const third = await h.newPod();
  t.deepEqual((await h.attach(third)).ips, ['10.213.5.4'], "and we from the plugin's");
  for (const pod of [own, foreign, third]) await h.call('detach', pod.id, pod.netns);
  t.deepEqual(
    readdirSync(join(h.dirs.allocations, 'test')).filter((name) => name.startsWith('10.')),
    [],
  );
});
