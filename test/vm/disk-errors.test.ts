// The disk of a node fails while it works (dm-flakey, dm-error): calls say what failed, on what, and why; none hangs, the
// daemon lives on, containers run on, and with the disk back the node goes on. hack/test.sh vm-power runs it.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TestDaemon } from '../helpers/daemon.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { type Disposition, FlakeyDisk, noFlakeyDisk } from '../helpers/flakey-disk.ts';
import { makeImage } from '../helpers/image-parts.ts';
import {
  containerConfig,
  create,
  exec,
  exited,
  podConfig,
  pull,
  runPod,
  scripted,
  start,
  statusOf,
  tools,
} from '../helpers/pods.ts';
import { processesOf } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';
import { compare, type Fact, goesOn, inAnotherBoot, now, quarantined } from './first-minute.ts';
import { bugsIn, Failing, reason } from './failing.ts';

const why = noFlakeyDisk();
const real = why === null ? test.serial : test.serial.skip;
const title = (what: string): string => (why === null ? what : `${what} [${why}]`);

let registry: FakeRegistry;
const disks: FlakeyDisk[] = [];
/** On another disk: the daemon's log, and the logs of pods that are made while the disk fails. */
const elsewhere = mkdtempSync('/tmp/pwt-');
test.before('a registry with two images', async () => {
  registry = await startFakeRegistry();
  for (const n of [0, 1]) registry.push('errors', `v${n}`, makeImage([{ [`file-${n}`]: 'x'.repeat(300_000) }]));
});
test.after.always('the disks go', async () => {
  for (const disk of disks) {
    spawnSync('umount', ['-l', join(disk.dir, 'n/state')]);
    disk.remove();
  }
  rmSync(elsewhere, { recursive: true, force: true });
  await registry.close();
});

const refOf = (n: number): string => `${registry.host}/errors:v${n}`;

/** The state directory is in memory, as /run of a node is. */
const mountState = (dir: string): void => {
  mkdirSync(join(dir, 'state'), { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'pwt-state', join(dir, 'state')]);
};

/** A node on a disk that works yet. `options` are those of the mount. */
interface Node {
  readonly disk: FlakeyDisk;
  readonly daemon: TestDaemon;
  readonly facts: Fact[];
  readonly pod: Awaited<ReturnType<typeof runPod>>;
  /** Containers that count, that end with 7 when told so, that are to be stopped, and that were not started. */
  readonly counts: string;
  /** The process that counts. */
  readonly pid: number;
  readonly ends: string;
  readonly stops: string;
  readonly created: string;
}

// by what the shell has in itself: a program would be read from the disk. /dev/shm is the pod's, and in memory
const counting =
  'mkfifo /dev/shm/never; exec 3<>/dev/shm/never; while :; do read -t 1 x <&3; echo $((n += 1)) > /dev/shm/n; echo $n; done';
const ending = 'mkfifo /dev/shm/end; read x < /dev/shm/end; exit 7';

/** A file of the pod's memory, seen from here. */
const inMemory = ({ pid }: { readonly pid: number }, name: string): string => `/proc/${pid}/root/dev/shm/${name}`;
const countOf = (node: { readonly pid: number }): number =>
  existsSync(inMemory(node, 'n')) ? Number(readFileSync(inMemory(node, 'n'), 'utf8')) : 0;

async function settledNode(options: string, name: string): Promise<Node> {
  const disk = new FlakeyDisk(192, options);
  disks.push(disk);
  const dir = join(disk.dir, 'n');
  mountState(dir);
  const daemon = new TestDaemon({ dir, logFile: join(elsewhere, `${name}.log`) });
  await daemon.start();
  const facts: Fact[] = [];
  const told = (what: Fact['what'], id: string): string => {
    facts.push({ what, id, told: now(), until: Infinity });
    return id;
  };
  told('image', await pull(daemon));
  told('image', await pull(daemon, refOf(0)));
  const pod = await runPod(daemon);
  told('sandbox', pod.id);
  const counts = told('container', await start(daemon, pod, scripted(counting)));
  const ends = told('container', await start(daemon, pod, scripted(ending)));
  const stops = told('container', await start(daemon, pod, containerConfig()));
  const created = told('container', await create(daemon, pod, containerConfig()));
  const pid = processesOf({ state: '/nowhere', ids: new Set([counts]) })[0]?.pid ?? 0;
  await until('it counts', () => countOf({ pid }) > 0 && existsSync(inMemory({ pid }, 'end')));
  execFileSync('sync');
  return { disk, daemon, facts, pod, counts, pid, ends, stops, created };
}

/** That a container has not been ended: it goes on counting. */
async function countsOn(t: ExecutionContext, node: Node): Promise<void> {
  t.is((await statusOf(node.daemon, node.counts)).state, 'CONTAINER_RUNNING');
  const before = countOf(node);
  await until('it counts on', () => countOf(node) > before);
}

/** Writes to the disk until its file system has given up: then no file can be made, which needs no write at once. */
async function untilGivenUp({ dir }: FlakeyDisk): Promise<string> {
  let made = 0;
  return until('the file system gives up', () => {
    let fd: number;
    try {
      fd = openSync(join(dir, `probe-${(made += 1)}`), 'wx');
    } catch (error) {
      return (error as NodeJS.ErrnoException).code;
    }
    try {
      writeSync(fd, 'x');
      fsyncSync(fd);
    } catch {
      // that makes it give up
    } finally {
      closeSync(fd);
    }
    return false;
  });
}

/** What a kubelet may ask of a node whose disk takes nothing. */
async function askEverything(node: Node, failing: Failing): Promise<void> {
  const { daemon, pod, counts, stops, created } = node;
  const { runtime, image } = daemon;
  const config = podConfig({ dir: elsewhere });
  const one = { container_id: stops };
  await failing.fails('RunPodSandbox', (o) => runtime.RunPodSandbox({ config }, o));
  await failing.fails('PullImage', (o) => image.PullImage({ image: { image: refOf(1) } }, o));
  await failing.fails('CreateContainer', (o) =>
    runtime.CreateContainer(
      { pod_sandbox_id: pod.id, config: containerConfig({ log_path: '' }), sandbox_config: pod.config },
      o,
    ),
  );
  await failing.may('StartContainer', (o) => runtime.StartContainer({ container_id: created }, o));
  await failing.may('ExecSync', (o) => runtime.ExecSync({ container_id: counts, cmd: ['true'] }, o));
  await failing.may('UpdateContainerResources', (o) =>
    runtime.UpdateContainerResources({ ...one, linux: { cpu_shares: '500' } }, o),
  );
  await failing.may('ReopenContainerLog', (o) => runtime.ReopenContainerLog(one, o));
  await failing.may('StopContainer', (o) => runtime.StopContainer({ ...one, timeout: '0' }, o));
  await failing.fails('RemoveContainer', (o) => runtime.RemoveContainer(one, o));
  await failing.fails('RemoveImage', (o) => image.RemoveImage({ image: { image: refOf(0) } }, o));
  for (const [name, call] of Object.entries({
    ListPodSandbox: runtime.ListPodSandbox,
    ListContainers: runtime.ListContainers,
    ListImages: image.ListImages,
    ListContainerStats: runtime.ListContainerStats,
    Status: runtime.Status,
  }))
    await failing.answers(name, (o) => call({}, o));
  await failing.may('ImageFsInfo', (o) => image.ImageFsInfo({}, o));
  await failing.within(
    'images verify',
    daemon.podwright('images', 'verify').catch(() => ''),
  );
}

/** The host starts anew, on the disk as it is now. */
async function reboot({ disk, daemon }: Node): Promise<void> {
  await daemon.destroy();
  const state = join(disk.dir, 'n/state');
  await until('nobody uses the state directory', () => spawnSync('umount', [state]).status === 0);
  await disk.unmount();
  disk.becomes('works');
  disk.mount();
  mountState(join(disk.dir, 'n'));
}

for (const how of ['fails writes', 'fails'] satisfies Disposition[]) {
  real(title(`the disk of a node ${how}, and its file system gives up`), async (t) => {
    t.timeout(20 * 60_000);
    const place = mkdtempSync('/tmp/pwt-errors-boot-');
    t.teardown(() => rmSync(place, { recursive: true, force: true }));
    let node: Node | null = null;
    let cutAt = 0;
    await inAnotherBoot(place, async () => {
      // as Debian and others mount the root of a node
      node = await settledNode('errors=remount-ro', how.replace(' ', '-'));
      const { daemon, disk, ends, stops } = node;
      const { pid } = daemon;
      const failing = new Failing(t);
      try {
        cutAt = now();
        disk.becomes(how);
        await failing.may('RunPodSandbox, the first', (o) =>
          daemon.runtime.RunPodSandbox({ config: podConfig({ dir: elsewhere }) }, o),
        );
        t.log(`files cannot be made: ${await untilGivenUp(disk)}`);
        await askEverything(node, failing);
        writeFileSync(inMemory(node, 'end'), '\n');
        t.is((await exited(daemon, ends)).exit_code, 7, 'what ends meanwhile is known');
        t.is((await statusOf(daemon, stops)).state, 'CONTAINER_EXITED', 'what is to be stopped can be');
        await countsOn(t, node);
        t.is(daemon.pid, pid, 'it was not started anew');
        t.deepEqual(bugsIn(daemon), []);
        t.log(failing.told);
        disk.becomes('works');
        // a journal that was given up needs a new mount, whatever this says
        disk.remount();
        await failing.fails('RunPodSandbox', (o) =>
          daemon.runtime.RunPodSandbox({ config: podConfig({ dir: elsewhere }) }, o),
        );
        await reboot(node);
      } catch (error) {
        t.log(failing.told, daemon.lastWords());
        throw error;
      } finally {
        await daemon.destroy();
      }
    });
    const { disk, daemon: before, facts } = node as unknown as Node;
    const { dir, logFile } = before;
    const after = new TestDaemon({ dir, logFile: `${logFile}.after`, after: before });
    try {
      await after.start();
      t.is(quarantined(after), 0);
      t.is(await compare(t, after, { facts, cutAt }), 0, 'all that was durable is there');
      const ids = facts.filter(({ what }) => what === 'image').map(({ id }) => id);
      const { images } = await after.image.ListImages({});
      t.deepEqual(images.map(({ id }) => id).sort(), ids.sort(), 'and no image that is not whole');
      await goesOn(t, after);
    } catch (error) {
      t.log(after.lastWords());
      throw error;
    } finally {
      await after.destroy();
      spawnSync('umount', [join(disk.dir, 'n/state')]);
      await disk.unmount();
    }
  });
}

/** What was read is forgotten, as far as nobody holds it (proc_sys_vm(5)). */
const forget = (): void => {
  execFileSync('sync');
  writeFileSync('/proc/sys/vm/drop_caches', '3');
};

real(title('the disk of a node cannot be read for a time'), async (t) => {
  t.timeout(20 * 60_000);
  // what mkfs.ext4 sets: of a disk that is mounted for the node's state
  const node = await settledNode('errors=continue', 'reads');
  const { daemon, disk, facts, pod, created } = node;
  const { pid } = daemon;
  const { image, runtime } = daemon;
  const failing = new Failing(t);
  try {
    forget();
    disk.becomes('fails reads');
    const config = podConfig({ dir: elsewhere });
    await failing.may('RunPodSandbox', (o) => runtime.RunPodSandbox({ config }, o));
    await failing.may('CreateContainer', (o) =>
      runtime.CreateContainer({ pod_sandbox_id: pod.id, config: containerConfig(), sandbox_config: pod.config }, o),
    );
    await failing.may('StartContainer', (o) => runtime.StartContainer({ container_id: created }, o));
    await failing.may('PullImage', (o) => image.PullImage({ image: { image: refOf(1) } }, o));
    await failing.may('PullImage of one that is there', (o) => image.PullImage({ image: { image: refOf(0) } }, o));
    await failing.within(
      'images verify',
      daemon.podwright('images', 'verify').catch(() => ''),
    );
    await failing.answers('ListImages', (o) => image.ListImages({}, o));
    t.true(failing.failures > 0, 'something was not read');
    t.deepEqual(bugsIn(daemon), []);
    t.is(daemon.pid, pid, 'it was not started anew');
    t.log(failing.told);
    disk.becomes('works');
    // by the same daemon, on the same mount
    await countsOn(t, node);
    t.notRegex(await daemon.podwright('images', 'verify'), /damaged|missing/i);
    const again = await runPod(daemon);
    t.is((await exec(daemon, await start(daemon, again, containerConfig()), 'true')).code, 0);
    await pull(daemon, refOf(1));

    await daemon.kill9();
    forget();
    disk.becomes('fails reads');
    const said = readFileSync(daemon.logFile).length;
    daemon.spawn();
    await until('it ends, or serves', async () => !daemon.running || (await serves(daemon)));
    t.log(daemon.running ? 'it served' : 'it ended');
    if (daemon.running) await daemon.kill9();
    else t.regex(String(readFileSync(daemon.logFile).subarray(said)), reason, 'a start that cannot read says so');
    disk.becomes('works');
    await daemon.start();
    t.is(quarantined(daemon), 0);
    await countsOn(t, node);
    const { images } = await daemon.image.ListImages({});
    for (const { what, id } of facts)
      if (what === 'image')
        t.true(
          images.some((one) => one.id === id),
          `image ${id}`,
        );
    await daemon.removeAllPods();
    t.deepEqual(await daemon.leftOfPods(), []);
    await pull(daemon, tools);
    t.notRegex(await daemon.podwright('images', 'verify'), /damaged|missing/i);
    await daemon.shutdown();
    t.deepEqual(await daemon.leftOfNetwork(), []);
  } catch (error) {
    t.log(failing.told, daemon.lastWords());
    throw error;
  } finally {
    await daemon.destroy();
    spawnSync('umount', [join(disk.dir, 'n/state')]);
    await disk.unmount();
  }
});

/** Whether it answers and says that it is ready. */
async function serves(daemon: TestDaemon): Promise<boolean> {
  const answer = await daemon.runtime.Status({}, { deadlineMs: 5000 }).catch(() => null);
  return answer?.status?.conditions.some(({ type, status }) => type === 'RuntimeReady' && status) ?? false;
}
