// Limits of podwright's own processes, measured in the kernel. The monitors' cgroup, which all daemons of a machine share,
// is limited only in a machine of the test's own (hack/testbed).
import test, { type ExecutionContext } from 'ava';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownCgroups, serviceOf } from '../../src/cgroup/path.ts';
import { cgroupDriver, cgroupExists, cgroupFile, cgroupOf, legacy } from '../helpers/cgroups.ts';
import { type DaemonOptions, TestDaemon } from '../helpers/daemon.ts';
import { counted, limited, mebi, onDisk } from '../helpers/limits.ts';
import { containerConfig, pidOf, pull, runPod, start, statusOf } from '../helpers/pods.ts';
import { ref } from '../helpers/registry.ts';
import { patienceMs, until } from '../helpers/until.ts';

const own = ownCgroups[cgroupDriver === 'systemd' ? 'systemd' : 'cgroupfs'];
const pidsIn = (path: string): number[] =>
  cgroupExists(path) ? cgroupFile(path, 'cgroup.procs').split('\n').filter(Boolean).map(Number) : [];
const throttledMs = (path: string): number =>
  legacy ? counted(path, 'cpu.stat', 'throttled_time') / 1e6 : counted(path, 'cpu.stat', 'throttled_usec') / 1e3;

/** A daemon of one test. */
async function daemonOf(t: ExecutionContext, settings: readonly string[], options: DaemonOptions = {}) {
  const flags = settings.map((setting) => `--set=own.${setting}`);
  const daemon = new TestDaemon({ network: 'none', flags, ...options });
  t.teardown(() => daemon.destroy());
  await daemon.start();
  return daemon;
}

const hostNetwork = { linux: { security_context: { namespace_options: { network: 'NODE' } } } } as const;

/** A docker archive of one layer with so many MiB that do not compress. */
function archive(t: ExecutionContext, mebibytes: number): string {
  const dir = mkdtempSync('/tmp/pwt-own-');
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  execFileSync('sh', ['-c', `mkdir ${dir}/fs && head -c ${mebibytes * mebi} /dev/urandom > ${dir}/fs/big`]);
  execFileSync('tar', ['-C', join(dir, 'fs'), '-cf', join(dir, 'layer.tar'), '.']);
  const diffId = execFileSync('sha256sum', [join(dir, 'layer.tar')], { encoding: 'utf8' }).split(' ')[0];
  const platform = { architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux', config: {} };
  const config = { ...platform, rootfs: { type: 'layers', diff_ids: [`sha256:${diffId}`] } };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  const manifest = [{ Config: 'config.json', RepoTags: ['example.test/own:1'], Layers: ['layer.tar'] }];
  writeFileSync(join(dir, 'manifest.json'), JSON.stringify(manifest));
  const file = join(dir, 'image.tar');
  execFileSync('tar', ['-C', dir, '-cf', file, 'manifest.json', 'config.json', 'layer.tar']);
  return file;
}

test.serial('capped work is throttled by the kernel, and calls beside it are answered', async (t) => {
  const daemon = await daemonOf(t, ['work_cpus=0.02', 'work_memory=512MiB']);
  const load = { ends: false };
  const loaded = daemon.podwright('load', archive(t, 8)).finally(() => (load.ends = true));
  await until('work is throttled', () => pidsIn(own.work).length === 1 && throttledMs(own.work) > 0);
  t.is(cgroupFile(own.work, 'memory.limit_in_bytes', 'memory.max'), String(512 * mebi));
  t.false(pidsIn(own.work).includes(daemon.pid));
  let calls = 0;
  let throttled = 0;
  while (!load.ends) {
    await daemon.runtime.ListContainers({});
    calls += 1;
    throttled = throttledMs(own.work);
  }
  await loaded;
  t.log(`${calls} calls while work was throttled for ${Math.round(throttled)} ms`);
  // to hash and write them takes 50 ms and more of a processor, of which there are 2 ms in each 100
  t.true(throttled > 100, `throttled for ${throttled} ms`);
  t.true(calls > 2, `${calls} calls`);
  const { images } = await daemon.image.ListImages({});
  t.is(images.length, 1);
  await daemon.stop();
  t.false(cgroupExists(own.work), 'its cgroup is gone with the daemon');
});

test.serial('work that needs more memory than it may is ended, and nothing else', async (t) => {
  const daemon = await daemonOf(t, ['work_memory=1MiB']);
  const { pid } = daemon;
  await t.throwsAsync(daemon.podwright('load', archive(t, 1)), { message: /the process for work ended with SIGKILL/ });
  t.is(daemon.pid, pid);
  await daemon.runtime.ListContainers({});
  await daemon.stop();
  t.false(cgroupExists(own.work));
});

/** CHOWN, DAC_OVERRIDE, FOWNER, FSETID, LINUX_IMMUTABLE, SYS_ADMIN, MKNOD and SETFCAP, by their numbers. */
const rights = [0, 1, 3, 4, 9, 21, 27, 31].reduce((bits, number) => bits | (1n << BigInt(number)), 0n);

test.serial(
  'limited work has the rights that it needs and no more, in each thread, and does all with them',
  async (t) => {
    const daemon = await daemonOf(t, ['work_memory=512MiB'], { env: { OF_THE_DAEMON: 'secret' } });
    // owners, devices, whiteouts, attributes and capabilities of each kind
    const image = ref('test/layers');
    await pull(daemon, image);
    const [pid = 0] = pidsIn(own.work);
    const threads = readdirSync(`/proc/${pid}/task`);
    t.true(threads.length > 1);
    for (const thread of threads) {
      const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
      const told = [...status.matchAll(/^(Cap(?:Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs):\s+(\w+)$/gm)];
      t.deepEqual(Object.fromEntries(told.map(([, name = '', value = '']) => [name, BigInt(`0x${value}`)])), {
        CapInh: 0n,
        CapPrm: rights,
        CapEff: rights,
        CapBnd: rights,
        CapAmb: 0n,
        NoNewPrivs: 1n,
      });
    }
    t.false(readFileSync(`/proc/${pid}/environ`, 'latin1').includes('OF_THE_DAEMON'));
    const saved = join(daemon.dir, 'saved.tar');
    await daemon.podwright('save', '-o', saved, image);
    t.true(statSync(saved).size > mebi);
    const check = { image: { image }, command: ['/bin/sh', '/check.sh'] };
    const id = await start(daemon, await runPod(daemon, hostNetwork), containerConfig(check));
    const { exit_code, message } = await until('it has looked at each file', async () => {
      const status = await statusOf(daemon, id);
      return status.state === 'CONTAINER_EXITED' && status;
    });
    t.is(exit_code, 0, message);
    await daemon.removeAllPods();
    await daemon.image.RemoveImage({ image: { image } });
    await until('all of it is freed', () => readdirSync(join(daemon.root, 'trash')).length === 0);
  },
);

test.serial('the daemon has limits that its containers do not have', async (t) => {
  const daemon = await daemonOf(t, ['daemon_memory=512MiB', 'daemon_cpus=1']);
  const service = serviceOf(readFileSync('/proc/self/cgroup', 'utf8'));
  if (service !== null) {
    // started by a service manager, as the tests are in a machine with systemd: its limits are that one's
    t.deepEqual(pidsIn(own.daemon), []);
    t.true(daemon.log().includes(`own.daemon_* count for nothing: ${service}`));
    return;
  }
  t.deepEqual(pidsIn(own.daemon), [daemon.pid]);
  t.is(cgroupFile(own.daemon, 'memory.limit_in_bytes', 'memory.max'), String(512 * mebi));
  await pull(daemon);
  const id = await start(daemon, await runPod(daemon, hostNetwork), limited({}));
  const pid = await pidOf(daemon, id);
  t.not(cgroupOf(pid, 'memory'), cgroupOf(daemon.pid, 'memory'));
  // as the kernel does it for lack of memory: all that is in the daemon's cgroup
  await daemon.kill9();
  await daemon.start();
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  t.deepEqual(pidsIn(own.daemon), [daemon.pid]);
  const { info: all } = await daemon.runtime.Status({ verbose: true });
  t.like(JSON.parse(all['ownProcesses'] ?? '{}'), { daemon: { where: own.daemon }, work: { limits: null } });
  await daemon.removeAllPods();
  t.deepEqual(await daemon.leftOfPods(), []);
  await daemon.stop();
  t.false(cgroupExists(own.daemon), 'its cgroup is gone with it');
});

const shared = process.env['TESTBED'] === undefined;
const alone = shared ? test.serial.skip : test.serial;

alone(
  `monitors stay within their limits, and limits that are no more are lifted${shared ? ' [other daemons of this machine share their cgroup: hack/test.sh vm]' : ''}`,
  async (t) => {
    const wanted = ['monitors_pids=400', 'monitors_cpus=0.1', 'monitors_memory=256MiB', 'monitors_cpu_weight=50'];
    const daemon = await daemonOf(t, wanted, onDisk);
    await pull(daemon);
    const pod = await runPod(daemon, hostNetwork);
    const id = await start(daemon, pod, limited({}, 'while :; do seq 100000; done'));
    const values = () =>
      ['cpu.max', 'pids.max', 'memory.max', 'cpu.weight'].map((name) => cgroupFile(own.monitors, name));
    t.deepEqual(values(), ['10000 100000', '400', String(256 * mebi), '50']);
    // what a monitor does for a container that talks is the monitor's, and that is throttled
    await until('monitors are throttled', () => throttledMs(own.monitors) > 100, 3 * patienceMs);
    await daemon.stop();
    const free = await daemonOf(t, [], { dir: daemon.dir });
    t.deepEqual(values(), ['max 100000', 'max', 'max', '100']);
    t.is((await statusOf(free, id)).state, 'CONTAINER_RUNNING');
    await free.removeAllPods();
    t.deepEqual(await free.leftOfPods(), []);
  },
);
