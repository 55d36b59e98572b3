// Limits on writable layers: refused where nothing would hold a container to them, kept where the file system does.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TestDaemon } from '../helpers/daemon.ts';
import { containerConfig, exec, type Pod, pull, runPod, scripted, shell, start } from '../helpers/pods.ts';
import { quotaDisk } from '../helpers/quota-disk.ts';
import { until } from '../helpers/until.ts';

const trashOf = (of: TestDaemon): string[] => readdirSync(join(of.root, 'trash'));
const annotation = 'podwright.writable-layer-limit';
const mebibyte = 2 ** 20;

async function refused(t: ExecutionContext, work: Promise<unknown>, why: RegExp): Promise<void> {
  const error = await t.throwsAsync(work);
  t.regex(error.message, why);
}

test.serial('a limit that nothing would hold a container to is refused, and so is one that is no size', async (t) => {
  const daemon = new TestDaemon();
  t.teardown(() => daemon.destroy());
  await daemon.start();
  await pull(daemon);
  const make = async (value: string): Promise<unknown> => {
    const pod = await runPod(daemon, { annotations: { [`${annotation}/limited`]: value } });
    const config = containerConfig({ metadata: { name: 'limited', attempt: 0 } });
    return daemon.runtime.CreateContainer({ pod_sandbox_id: pod.id, config, sandbox_config: pod.config });
  };
  await refused(
    t,
    make('a lot'),
    /^\d+ INVALID_ARGUMENT: .*annotation podwright\.writable-layer-limit\/limited is "a lot"/,
  );
  await refused(t, make('4Mi'), /^\d+ FAILED_PRECONDITION: .*limit a writable layer to 4194304 bytes .*project quota/);
  const pod = await runPod(daemon, { annotations: { [`${annotation}/another`]: '4Mi' } });
  t.truthy(await start(daemon, pod, containerConfig()), 'what is said of another container does not matter');
  await daemon.removeAllPods();
  t.deepEqual(await daemon.leftOfPods(), []);
});

const disk = quotaDisk(256);
const missing = typeof disk === 'string' ? disk : null;
let daemon: TestDaemon;

function onQuota(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  if (missing === null) test.serial(title, run);
  else test.skip(`${title} (${missing})`, () => undefined);
}

if (typeof disk !== 'string') {
  test.before('a daemon on a file system with project quota', async () => {
    daemon = new TestDaemon({ dir: disk.dir, flags: ['--set=container.writable_layer_limit=16MiB'] });
    await daemon.start();
    await pull(daemon);
  });
  test.after.always('the file system goes', async () => {
    await daemon.destroy();
    await until('it can be unmounted', () => {
      try {
        disk.remove();
        return true;
      } catch {
        return false;
      }
    });
  });
}

const writable = async (id: string): Promise<{ bytes: number; inodes: number }> => {
  const { stats } = await daemon.runtime.ContainerStats({ container_id: id });
  const layer = stats?.writable_layer;
  return { bytes: Number(layer?.used_bytes?.value ?? 0), inodes: Number(layer?.inodes_used?.value ?? 0) };
};

const limited = (limit: string): Promise<Pod> => runPod(daemon, { annotations: { [annotation]: limit } });
/** Writes so many MiB; answers what was said and how many came to be. */
const fill = (file: string, megabytes: number): string =>
  `dd if=/dev/zero of=${file} bs=1M count=${megabytes} 2>&1 | grep -v records; stat -c %s ${file}`;

onQuota('a container that is over its limit is told so, and goes on when it has made room', async (t) => {
  const pod = await limited('4Mi');
  const id = await start(daemon, pod, containerConfig());
  const over = await shell(daemon, id, fill('/big', 8));
  t.regex(over, /quota exceeded|No space left/i);
  const size = Number(over.trim().split('\n').at(-1));
  t.true(size > 3 * mebibyte && size < 4 * mebibyte, `${size} bytes were written`);
  t.regex(
    await shell(daemon, id, 'echo more > /more 2>&1; dd if=/dev/zero of=/x bs=64k count=4 2>&1'),
    /quota exceeded|No space/i,
  );
  const total = Number((await shell(daemon, id, "df -k / | tail -1 | awk '{print $2}'")).trim());
  t.is(total, 4096, 'df tells the limit as the size of the root file system');
  await shell(daemon, id, 'rm /big /x');
  t.notRegex(await shell(daemon, id, fill('/fits', 2)), /quota|space/i);
  await shell(daemon, id, 'mkdir /d && mv /fits /d/moved && ln /d/moved /hard && chown 1000:1000 /d/moved');
  t.regex(await shell(daemon, id, fill('/dev/shm/other', 8)), /^8388608/m, 'other file systems do not count');
});

onQuota('the layer is counted by the file system: at once, whole, and without the log', async (t) => {
  const pod = await limited('8Mi');
  const id = await start(
    daemon,
    pod,
    scripted(
      'dd if=/dev/zero of=/f bs=1M count=3 2>/dev/null; for i in $(seq 40000); do echo "a line of output that goes to the log $i"; done; touch /done; sleep 3600',
    ),
  );
  await until('it has written', async () => (await exec(daemon, id, 'test', '-e', '/done')).code === 0);
  const { bytes, inodes } = await writable(id);
  t.true(bytes >= 3 * mebibyte && bytes < 3.5 * mebibyte, `${bytes} bytes`);
  t.true(inodes >= 4 && inodes < 40, `${inodes} inodes`);
});

onQuota('a limit outlives the daemon', async (t) => {
  const pod = await limited('2Mi');
  const id = await start(daemon, pod, containerConfig());
  await daemon.crash();
  t.regex(await shell(daemon, id, fill('/big', 4)), /quota exceeded|No space left/i);
  const { bytes } = await writable(id);
  t.true(bytes > mebibyte && bytes <= 2 * mebibyte, `${bytes} bytes`);
});

onQuota('an annotation can only lower what the node says, and containers do not share their limits', async (t) => {
  const pod = await limited('1Ti');
  const [one, other] = [await start(daemon, pod, containerConfig()), await start(daemon, pod, containerConfig())];
  t.regex(await shell(daemon, one, fill('/big', 20)), /quota exceeded|No space left/i);
  t.notRegex(await shell(daemon, other, fill('/big', 12)), /quota|space/i);
});

onQuota('a pod in a user namespace is held to its limit', async (t) => {
  const mapping = { host_id: 200_000, container_id: 0, length: 65_536 };
  const userns_options = { mode: 'POD' as const, uids: [mapping], gids: [mapping] };
  const namespace_options = { network: 'POD' as const, pid: 'CONTAINER' as const, ipc: 'POD' as const, userns_options };
  const linux = { security_context: { namespace_options } };
  const pod = await runPod(daemon, { annotations: { [annotation]: '4Mi' }, linux });
  const id = await start(daemon, pod, containerConfig({ linux }));
  t.regex(await shell(daemon, id, fill('/big', 8)), /quota exceeded|No space left/i);
});

onQuota('what is removed gives room and number back', async (t) => {
  await daemon.removeAllPods();
  t.deepEqual(await daemon.leftOfPods(), []);
  await until('nothing waits in the trash', () => trashOf(daemon).length === 0);
  const pod = await limited('4Mi');
  const id = await start(daemon, pod, containerConfig());
  const { bytes } = await writable(id);
  t.true(bytes < 256 * 1024, `a new layer begins with ${bytes} bytes`);
  await daemon.removeAllPods();
  t.deepEqual(await daemon.leftOfPods(), []);
});
