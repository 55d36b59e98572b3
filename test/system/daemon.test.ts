// The daemon itself: what it says of itself, its metrics, its configuration, its files, its end, its neighbours.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { cgroupDriver } from '../helpers/cgroups.ts';
import { dist, endsWithoutResidue, TestDaemon, useDaemon } from '../helpers/daemon.ts';
import { containerConfig, exec, output, pull, runPod, scripted, sh, start, statusOf } from '../helpers/pods.ts';
import { ref } from '../helpers/registry.ts';
import { until } from '../helpers/until.ts';

const run = promisify(execFile);
// what is under way when it is told to stop may take its time on a busy machine
const daemon = useDaemon(test, { flags: ['--set=grpc.drain_timeout=15s'] });

test.before('an image', () => pull(daemon));

/** Runs podwrightd to its end; its status and what it printed. */
async function podwrightd(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return run(join(dist, 'podwrightd'), args).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
}

test.serial('Version, Status and RuntimeConfig are as the kubelet needs them', async (t) => {
  const version = await daemon.runtime.Version({ version: '0.1.0' });
  t.like(version, { version: '0.1.0', runtime_name: 'podwright', runtime_api_version: 'v1' });
  t.regex(version.runtime_version, /^\d+\.\d+\.\d+/);
  const { status, runtime_handlers, features, info } = await daemon.runtime.Status({ verbose: true });
  t.deepEqual(
    status?.conditions.map(({ type, status: holds }) => [type, holds]),
    [
      ['RuntimeReady', true],
      ['NetworkReady', true],
    ],
  );
  t.true(runtime_handlers.some(({ name }) => name === ''));
  t.true(features?.supplemental_groups_policy);
  t.truthy(JSON.parse(info['config'] ?? 'null'));
  t.deepEqual((await daemon.runtime.Status({})).info, {});
  t.is(
    (await daemon.runtime.RuntimeConfig({})).linux?.cgroup_driver,
    cgroupDriver === 'systemd' ? 'SYSTEMD' : 'CGROUPFS',
  );
  await daemon.runtime.UpdateRuntimeConfig({ runtime_config: { network_config: { pod_cidr: '' } } });
});

test.serial('the socket and the directories are for root and its group alone', (t) => {
  t.is(statSync(daemon.socket).mode & 0o777, 0o660);
  for (const dir of [daemon.root, daemon.state]) t.is(statSync(dir).mode & 0o777, 0o700, dir);
  t.is(readFileSync(join(daemon.state, 'podwrightd.pid'), 'utf8').trim(), String(daemon.pid));
});

test.serial('metrics tell of calls, pods, pulls and stages', async (t) => {
  const scrape = async (): Promise<string> => (await fetch(daemon.metricsUrl)).text();
  const pod = await runPod(daemon);
  await start(daemon, pod, containerConfig());
  await daemon.runtime.ContainerStatus({ container_id: 'f'.repeat(64) }).catch(() => undefined);
  const text = await scrape();
  for (const line of [
    /^podwright_build_info\{.*version="\d.*\} 1$/m,
    /^podwright_rpc_duration_seconds_count\{method="RunPodSandbox",code="OK"\} \d+$/m,
    /^podwright_rpc_errors_total\{method="ContainerStatus",code="NOT_FOUND"\} 1$/m,
    /^podwright_sandboxes\{state="ready"\} 1$/m,
    /^podwright_containers\{state="running"\} 1$/m,
    /^podwright_images 1$/m,
    /^podwright_image_pulls_total\{result="ok"\} 1$/m,
    /^podwright_pod_start_stage_seconds_count\{rpc="RunPodSandbox",stage="network"\} \d+$/m,
    /^podwright_owed_network_releases 0$/m,
    /^process_resident_memory_bytes \d+$/m,
  ]) {
    t.regex(text, line);
  }
  await daemon.removePod(pod.id);
  t.regex(await scrape(), /^podwright_sandboxes\{state="ready"\} 0$/m);
});

test.serial('a metrics port that somebody else has keeps the metrics away, not the runtime', async (t) => {
  await daemon.stop();
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(Number(new URL(daemon.metricsUrl).port), '127.0.0.1', resolve));
  await daemon.start();
  const pod = await runPod(daemon);
  await daemon.removePod(pod.id);
  t.regex(await daemon.podwright('doctor'), /warning: metrics: could not serve metrics on .*EADDRINUSE/);
  const trouble = async () => (await daemon.runtime.Status({ verbose: true })).info['metricsTrouble'];
  t.regex((await trouble()) ?? '', /EADDRINUSE/);
  await new Promise((resolve) => other.close(resolve));
  await until('they are served', async () => (await trouble()) === '[]');
  t.regex(await (await fetch(daemon.metricsUrl)).text(), /podwright_build_info/);
});

test.serial('secrets of pods are in no log', async (t) => {
  const pod = await runPod(daemon);
  const envs = [{ key: 'TOKEN', value: Buffer.from('swordfish-in-env') }];
  await output(daemon, pod, { ...scripted('true'), envs });
  await daemon.image.PullImage({
    image: { image: ref('bench/tools') },
    auth: { username: 'u', password: 'swordfish-in-auth' },
  });
  t.notRegex(daemon.log(10_000_000), /swordfish/);
  await daemon.removePod(pod.id);
});

test.serial('the command line tool shows what runs', async (t) => {
  const pod = await runPod(daemon, { metadata: { name: 'shown', namespace: 'test', uid: 'u', attempt: 0 } });
  const id = await start(daemon, pod, containerConfig({ metadata: { name: 'in-it', attempt: 0 } }));
  t.regex(await daemon.podwright('version'), /podwright/);
  t.regex(await daemon.podwright('status'), /RuntimeReady\s+yes/);
  t.regex(await daemon.podwright('pods'), /shown/);
  t.regex(await daemon.podwright('ps'), /in-it/);
  t.regex(await daemon.podwright('images'), /bench\/tools/);
  t.regex(await daemon.podwright('trace', pod.id), /network/);
  t.regex(await daemon.podwright('inspect', id), new RegExp(id));
  t.regex(await daemon.podwright('doctor'), /nothing is wrong/);
  t.regex(await daemon.podwright('doctor', '--collect'), /nothing is wrong/, 'what lives keeps its network');
  await daemon.removePod(pod.id);
});

test.serial(
  '--check names the nearest key for one it does not know, and --print-config is a configuration',
  async (t) => {
    const file = join(daemon.dir, 'config.toml');
    writeFileSync(file, '[network]\nbrigde = "x"\n');
    const wrong = await podwrightd('--check', '--config', file);
    t.not(wrong.code, 0);
    t.regex(wrong.stderr, /network\.brigde/);
    t.regex(wrong.stderr, /network\.bridge|"bridge"/);
    t.regex(wrong.stderr, /config\.toml/);
    const printed = await podwrightd('--print-config', `--root=${daemon.dir}/else`);
    t.is(printed.code, 0);
    t.true(printed.stdout.includes(`${daemon.dir}/else`));
    writeFileSync(file, printed.stdout);
    t.like(await podwrightd('--check', '--config', file), { code: 0 });
    mkdirSync(join(daemon.dir, 'conf.d'), { recursive: true });
    writeFileSync(join(daemon.dir, 'conf.d/10.toml'), '[metrics]\naddress = "nowhere"\n');
    const dropIn = await podwrightd('--check', '--config', file);
    t.not(dropIn.code, 0);
    t.regex(dropIn.stderr, /10\.toml.*metrics\.address/s);
    t.not((await podwrightd('--no-such-flag')).code, 0);
    t.regex((await podwrightd('--version')).stdout, /^\d+\.\d+\.\d+/);
  },
);

test.serial('SIGHUP takes what can change, and refuses whole what cannot', async (t) => {
  const dir = join(daemon.dir, 'reload');
  mkdirSync(dir, { recursive: true });
  const file = join(dir, 'config.toml');
  writeFileSync(file, '[image]\npinned = []\n');
  const other = new TestDaemon({ flags: [`--config=${file}`] });
  t.teardown(() => other.destroy());
  await other.start();
  await pull(other);
  const pinned = async (): Promise<boolean> => (await other.image.ListImages({})).images[0]?.pinned ?? false;
  t.false(await pinned());
  writeFileSync(file, `[image]\npinned = ["${ref('bench/tools')}"]\n`);
  process.kill(other.pid, 'SIGHUP');
  await until('the image is pinned', pinned);
  writeFileSync(file, '[image]\npinned = []\n[grpc]\ndrain_timeout = "1s"\n');
  process.kill(other.pid, 'SIGHUP');
  await until('the refusal is logged', () => other.log().includes('grpc.drain_timeout'));
  t.true(await pinned(), 'the old configuration stays whole');
});

test.serial('SIGTERM lets calls end, leaves pods running, and a new start finds them the same', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, containerConfig());
  const before = await statusOf(daemon, id);
  const volume = join(daemon.dir, 'volume');
  mkdirSync(volume);
  const mounts = [{ container_path: '/volume', host_path: volume }];
  const waits = await start(daemon, pod, containerConfig({ mounts }));
  const call = exec(
    daemon,
    waits,
    ...sh('touch /volume/begun; while [ ! -e /volume/go ]; do sleep 0.05; done; echo answered'),
  );
  await until('the command runs', () => existsSync(join(volume, 'begun')));
  const stopped = daemon.stop();
  await until('no new call is taken', () =>
    daemon.runtime.Version({}, { deadlineMs: 5000 }).then(
      () => false,
      () => true,
    ),
  );
  writeFileSync(join(volume, 'go'), '');
  await stopped;
  t.is((await call).stdout, 'answered\n');
  t.false(existsSync(join(daemon.state, 'podwrightd.pid')));
  await daemon.start();
  t.deepEqual({ ...(await statusOf(daemon, id)) }, { ...before });
  t.is((await exec(daemon, id, 'true')).code, 0);
  await daemon.removePod(pod.id);
});

test.serial(
  'two daemons side by side do not know of each other, and the end of one harms no pod of the other',
  async (t) => {
    const other = new TestDaemon();
    t.teardown(() => other.destroy());
    await other.start();
    await pull(other);
    const [here, there] = await Promise.all([runPod(daemon), runPod(other)]);
    const id = await start(daemon, here, containerConfig());
    await start(other, there, containerConfig());
    t.is((await daemon.runtime.ListPodSandbox({})).items.length, 1);
    t.is((await other.runtime.ListPodSandbox({})).items.length, 1);
    await daemon.removePod(here.id);
    await other.shutdown();
    t.deepEqual([...(await other.leftOfPods()), ...(await other.leftOfNetwork())], []);
    const again = await runPod(daemon);
    t.is((await exec(daemon, await start(daemon, again, containerConfig()), 'true')).code, 0, id);
    await daemon.removePod(again.id);
  },
);

test.serial('a second daemon on the same root is refused and changes nothing', async (t) => {
  const pod = await runPod(daemon);
  const second = await podwrightd(
    ...daemon.flags.filter((flag) => !flag.startsWith('--state')),
    `--state=${daemon.dir}/other`,
  );
  t.not(second.code, 0);
  t.regex(second.stderr, /another podwrightd/);
  const same = await podwrightd(...daemon.flags);
  t.not(same.code, 0);
  t.is((await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id })).status?.state, 'SANDBOX_READY');
  await daemon.removePod(pod.id);
});

endsWithoutResidue(test, daemon);
