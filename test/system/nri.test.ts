// Real NRI plugins, on the reference's own stub: one that the daemon starts, one that registers.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { nriPlugins, TemplatePlugin, withoutNriPlugins } from '../helpers/nri.ts';
import { create, fails, output, pull, runPod, scripted, shell, start, statusOf } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

if (withoutNriPlugins === null) withPlugins();
else test.skip(`NRI plugins of the reference's stub [${withoutNriPlugins}]`, () => undefined);

function withPlugins(): void {
  const dir = mkdtempSync('/tmp/pwt-nri-');
  const socket = join(dir, 'run/nri.sock');
  const programs = join(dir, 'plugins');
  mkdirSync(programs);
  mkdirSync(join(dir, 'conf.d'));
  copyFileSync(nriPlugins.injector, join(programs, '10-device-injector'));
  writeFileSync(join(programs, 'README'), 'not a program\n');
  writeFileSync(join(programs, '20-broken'), '#!/bin/sh\nexit 3\n');
  chmodSync(join(programs, '20-broken'), 0o755);
  // on a slow machine a plugin that answers late must not be one that is given up
  const patient = ['--set=nri.registration_timeout=2m', '--set=nri.request_timeout=2m'];
  const flags = [
    ...patient,
    '--set=nri.enable=true',
    `--set=nri.socket=${socket}`,
    `--set=nri.plugin_path=${programs}`,
    `--set=nri.plugin_config_path=${join(dir, 'conf.d')}`,
  ];
  const daemon = useDaemon(test, { flags });
  const template = (): TemplatePlugin => new TemplatePlugin(socket);
  /** The stub tells its plugin that the connection is closed, or the plugin's program first that the stub has ended. */
  const over = /^(Closed|ended)/;
  /** How many lines of the log, from the first start on, are of that. */
  const logged = (what: RegExp): number =>
    readFileSync(daemon.logFile, 'utf8')
      .split('\n')
      .filter((line) => what.test(line)).length;
  /** Does what brings the daemon's own plugin in, once more. */
  const joining = async (act: () => Promise<unknown>): Promise<void> => {
    const joined = /"10-device-injector".*has joined/;
    const before = logged(joined);
    await act();
    await until('the plugin of the node joins', () => logged(joined) > before);
  };
  const restart = (): Promise<void> => joining(() => daemon.restart());

  test.before('an image', async () => void (await pull(daemon)));
  test.after.always('the plugins go', () => rmSync(dir, { recursive: true }));

  test.serial('the socket is for root alone, and a second daemon does not take it', async (t) => {
    await until('the socket is there', () => existsSync(socket));
    t.is(statSync(socket).mode & 0o777, 0o600);
    t.is(statSync(join(dir, 'run')).mode & 0o777, 0o700);
    await until('the broken one is told of', () => logged(/20-broken.*could not join|could not join.*20-broken/) === 1);
    await until('the other one joins', () => logged(/"10-device-injector".*has joined/) === 1);
  });

  test.serial('device-injector: a pod’s annotation brings a device and a mount into its container', async (t) => {
    writeFileSync(join(dir, 'given'), 'given\n');
    const annotations = {
      'devices.nri.io/pod': '[{path: /dev/injected, type: c, major: 1, minor: 3, file_mode: 432, uid: 12, gid: 34}]',
      'mounts.nri.io/container.with': `[{source: ${join(dir, 'given')}, destination: /mnt/given, type: bind, options: [bind, ro]}]`,
    };
    const pod = await runPod(daemon, { annotations });
    const look =
      'stat -c "%t %T %a %u %g" /dev/injected; echo x > /dev/injected && echo wrote; cat /mnt/given; echo y > /mnt/given';
    const { stdout, stderr } = await output(daemon, pod, scripted(look, { metadata: { name: 'with' } }));
    t.is(stdout, '1 3 660 12 34\nwrote\ngiven\n');
    t.regex(stderr, /Read-only file system/);
    const { stderr: none } = await output(daemon, pod, scripted('cat /mnt/given', { metadata: { name: 'without' } }));
    t.regex(none, /No such file/);
    await daemon.removePod(pod.id);
  });

  test.serial('a plugin that says no: the container is not made, and the plugin stays', async (t) => {
    const pod = await runPod(daemon, { annotations: { 'devices.nri.io': '{' } });
    const message = /NRI plugin 10-device-injector fails CreateContainer: invalid annotation "devices\.nri\.io"/;
    await fails(t, create(daemon, pod, scripted('true')), { code: 'FAILED_PRECONDITION', message });
    await daemon.removePod(pod.id);
  });

  test.serial('template: it is told of the whole life of a pod, in order', async (t) => {
    const plugin = template();
    await plugin.says(/^Synchronize/);
    const pod = await runPod(daemon, { metadata: { name: 'told' } });
    const id = await start(daemon, pod, scripted('exec sleep 3600', { metadata: { name: 'c' } }));
    await daemon.runtime.UpdateContainerResources({ container_id: id, linux: { cpu_shares: '77' } });
    await daemon.runtime.UpdatePodSandboxResources({ pod_sandbox_id: pod.id, resources: { cpu_shares: '99' } });
    await daemon.runtime.StopContainer({ container_id: id, timeout: '0' });
    await daemon.runtime.RemoveContainer({ container_id: id });
    await daemon.removePod(pod.id);
    await plugin.says(/^RemovePodSandbox test\/told/);
    t.deepEqual(
      plugin.lines.filter((line) => line.includes('told') || /^(Validate|Resources)/.test(line)),
      [
        'RunPodSandbox test/told',
        'CreateContainer test/told/c CONTAINER_UNKNOWN',
        'Validate c ""',
        'PostCreateContainer test/told/c CONTAINER_CREATED',
        'StartContainer test/told/c CONTAINER_CREATED',
        'PostStartContainer test/told/c CONTAINER_RUNNING',
        'Resources 77',
        'UpdateContainer test/told/c CONTAINER_RUNNING',
        'PostUpdateContainer test/told/c CONTAINER_RUNNING',
        'UpdatePodSandbox test/told',
        'PostUpdatePodSandbox test/told',
        'StopContainer test/told/c CONTAINER_STOPPED',
        'RemoveContainer test/told/c CONTAINER_STOPPED',
        'StopPodSandbox test/told',
        'RemovePodSandbox test/told',
      ],
    );
    await plugin.kill();
  });

  test.serial('a validator knows which plugin gave the device', async (t) => {
    const plugin = template();
    await plugin.says(/^Synchronize/);
    const annotations = { 'devices.nri.io': '[{path: /dev/injected, type: c, major: 1, minor: 3}]' };
    const pod = await runPod(daemon, { annotations });
    await create(daemon, pod, scripted('true', { metadata: { name: 'owned' } }));
    t.is(await plugin.says(/^Validate owned/), 'Validate owned "10-device-injector"');
    await plugin.kill();
    await daemon.removePod(pod.id);
  });

  test.serial('a plugin that hangs is given up after its time, and the pod is made', async (t) => {
    flags.push('--set=nri.request_timeout=5s');
    await restart();
    const plugin = template();
    await plugin.says(/^Synchronize/);
    const left = /"plugin":"50-template".*has left/;
    const before = logged(left);
    plugin.signal('SIGSTOP');
    const pod = await runPod(daemon);
    await until('the plugin is given up', () => logged(left) > before);
    plugin.signal('SIGCONT');
    await plugin.says(over);
    await plugin.kill();
    t.is(logged(left), before + 1);
    await daemon.removePod(pod.id);
    flags.pop();
    await restart();
  });

  test.serial('a plugin killed in the middle: containers are made without it', async (t) => {
    const plugin = template();
    await plugin.says(/^Synchronize/);
    const pod = await runPod(daemon);
    await plugin.kill();
    const id = await start(daemon, pod, scripted('exec sleep 3600'));
    t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
    await daemon.removePod(pod.id);
  });

  test.serial('after a restart of the daemon a plugin that comes back is told of all that there is', async (t) => {
    const annotations = { 'devices.nri.io': '[{path: /dev/injected, type: c, major: 1, minor: 3}]' };
    const pod = await runPod(daemon, { metadata: { name: 'lives-on' }, annotations });
    const id = await start(daemon, pod, scripted('exec sleep 3600', { metadata: { name: 'c' } }));
    const before = template();
    await before.says(/^Synchronize 1 pods, 1 containers/);
    await joining(() => daemon.crash());
    await before.says(over);
    await before.kill();
    await until('the socket is served', () => existsSync(socket));
    const after = template();
    await after.says(/^Synchronize 1 pods, 1 containers/);
    await after.says(/^Pod test\/lives-on \[10\./);
    await after.says(/^Container c CONTAINER_RUNNING \[sh -c exec sleep 3600\]/);
    t.is(await shell(daemon, id, 'stat -c "%t %T" /dev/injected'), '1 3');
    // the one that the daemon starts was started again, before anything is made
    const { stdout } = await output(daemon, pod, scripted('stat -c "%t %T" /dev/injected'));
    t.is(stdout, '1 3\n');
    await after.kill();
    await daemon.removePod(pod.id);
  });

  test.serial('a daemon that ends says good-bye, and takes its plugins and its socket along', async (t) => {
    const plugin = template();
    await plugin.says(/^Synchronize/);
    await daemon.stop();
    await plugin.says(/^Shutdown/);
    await plugin.says(over);
    await plugin.kill();
    t.false(existsSync(socket));
    await daemon.start();
  });

  endsWithoutResidue(test, daemon);
}
