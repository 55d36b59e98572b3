// The unit of a release under a real systemd: hack/test.sh vm-service runs it in a machine of hack/testbed.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { criClient, type CriClient } from '../helpers/cri-client.ts';
import { TestDaemon } from '../helpers/daemon.ts';
import { pull, runPod, scripted, shell, start, statusOf } from '../helpers/pods.ts';
import { serveImages } from '../helpers/registry.ts';
import { until } from '../helpers/until.ts';

const top = join(import.meta.dirname, '../..');
const place = mkdtempSync('/tmp/podwright-vm-service-');
const tree = join(place, 'release');
const unit = '/run/systemd/system/podwrightd.service';

/** The directories and calls of a test's daemon, whose process is systemd's. */
class ServiceDaemon extends TestDaemon {
  readonly #client: CriClient = criClient(this.socket);

  override get runtime(): CriClient['runtime'] {
    return this.#client.runtime;
  }

  override get image(): CriClient['image'] {
    return this.#client.image;
  }
}

const daemon = new ServiceDaemon();

const systemctl = (...args: readonly string[]): string =>
  execFileSync('systemctl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
const property = (name: string): string => systemctl('show', 'podwrightd', '--value', '-p', name);
const pidOf = async (id: string): Promise<unknown> => {
  const { info } = await daemon.runtime.ContainerStatus({ container_id: id, verbose: true });
  return (JSON.parse(info['info'] ?? '{}') as { pid?: unknown }).pid;
};

test.before('the release is written, and its unit installed', async () => {
  const env = { ...process.env, AS_BUILT: '1' };
  const command = ['tree', tree, '--bindir', join(tree, 'bin')];
  execFileSync(join(top, 'hack/release.sh'), command, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  await serveImages();
  const shipped = readFileSync(join(tree, 'lib/systemd/system/podwrightd.service'), 'utf8');
  mkdirSync('/run/systemd/system/podwrightd.service.d', { recursive: true });
  mkdirSync(daemon.certsDir, { recursive: true });
  mkdirSync(daemon.confDir, { recursive: true });
  const flags = daemon.flags.map((flag) => flag.replace(/^--metrics-address=.*/, '--metrics-address='));
  writeFileSync(
    unit,
    shipped.replace(/^ExecStart=.*$/m, (line) => `${line} ${flags.join(' ')}`),
  );
  const dropIn = '[Service]\nWatchdogSec=40\nTimeoutStartSec=600\nTimeoutStopSec=600\n';
  writeFileSync('/run/systemd/system/podwrightd.service.d/test.conf', dropIn);
  systemctl('daemon-reload');
});

test.after.always('nothing of it stays', async () => {
  systemctl('stop', 'podwrightd');
  await daemon.destroy();
  rmSync(place, { recursive: true, force: true });
});

test.afterEach.always('what systemd says of a failed test', (t) => {
  if (!t.passed)
    t.log(execFileSync('journalctl', ['-u', 'podwrightd', '-n', '40', '--no-pager'], { encoding: 'utf8' }));
});

test.serial('systemctl start waits until it serves, and knows its status', async (t) => {
  systemctl('start', 'podwrightd');
  t.is((await daemon.runtime.Version({})).runtime_name, 'podwright');
  t.is(property('ActiveState'), 'active');
  await until('the status is told', () => property('StatusText') === `serving; 0 pods on ${daemon.socket}`);
});

let pod = '';
let container = '';
let process1: unknown;

/** Whether the daemon knows the container as running; while it recovers it answers nothing. */
const isRunning = async (): Promise<boolean> =>
  (await statusOf(daemon, container).catch(() => null))?.state === 'CONTAINER_RUNNING';

test.serial('a pod lives through systemctl restart, reload and daemon-reexec', async (t) => {
  await pull(daemon);
  const made = await runPod(daemon);
  pod = made.id;
  container = await start(daemon, made, scripted('echo $$ > /started; sleep 36000'));
  process1 = await pidOf(container);
  const first = property('MainPID');
  systemctl('restart', 'podwrightd');
  t.not(property('MainPID'), first);
  await until('it is found again', isRunning);
  t.is(await pidOf(container), process1, 'the same process');
  await until('the pod is counted', () => property('StatusText').startsWith('serving; 1 pods'));
  const second = property('MainPID');
  systemctl('reload', 'podwrightd');
  systemctl('daemon-reexec');
  t.deepEqual([property('ActiveState'), property('MainPID')], ['active', second]);
  t.is(await shell(daemon, container, 'cat /started'), '1');
});

test.serial('a daemon that hangs is killed by the watchdog and started again; its pod is not touched', async (t) => {
  const pid = property('MainPID');
  const heard = property('WatchdogTimestampMonotonic');
  await until('the watchdog hears of it', () => property('WatchdogTimestampMonotonic') !== heard, 400_000);
  t.is(property('NRestarts'), '0', 'a daemon that is well is left alone');
  process.kill(Number(pid), 'SIGSTOP');
  await until('systemd has started another', () => property('NRestarts') === '1', 600_000);
  await until('it serves', () => property('ActiveState') === 'active', 600_000);
  t.not(property('MainPID'), pid);
  await until('the pod is found again', isRunning);
  t.is(await pidOf(container), process1, 'the same process');
});

test.serial('systemctl stop leaves the pod; started again, it can be removed', async (t) => {
  systemctl('stop', 'podwrightd');
  t.is(property('ActiveState'), 'inactive');
  t.notThrows(() => process.kill(Number(process1), 0), 'the container runs on');
  systemctl('start', 'podwrightd');
  await until('it is found again', isRunning);
  await daemon.removePod(pod);
  t.deepEqual(await daemon.leftOfPods(), []);
});
