// What a reboot or a bad disk does to records: a false fact is not believed, a torn one harms nobody else.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { decodeRecord, encodeRecord } from '../../src/state/record.ts';
import { hostInterfaceOf } from '../../src/network/bridge/plan.ts';
import { cgroupExists, podPath, removeCgroupTree } from '../helpers/cgroups.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  exec,
  exited,
  podIp,
  pull,
  runPod,
  scripted,
  start,
  statusOf,
  type Pod,
} from '../helpers/pods.ts';
import { mountsOf, processesOf } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
test.before('an image', () => pull(daemon));

const recordFiles = (): string[] =>
  ['sandboxes', 'containers'].flatMap((noun) =>
    readdirSync(join(daemon.root, noun)).map((id) => join(daemon.root, noun, id, 'status.json')),
  );

/** Waits for the group sync: until then the last durable content lies beside a record, and would be used instead. */
const durable = (noun: string, id: string): Promise<unknown> =>
  until('the record is durable', () => !existsSync(join(daemon.root, noun, id, '.status.json.old')));

/** Whether a status says that its creation was answered. */
function delivered(file: string): boolean {
  try {
    return (decodeRecord(readFileSync(file, 'utf8'), file) as { deliveredAt: string }).deliveredAt !== '0';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // it is being replaced
    return false;
  }
}

/** Replaces text in the data of a record, keeping its envelope right. */
function rewrite(file: string, change: (json: string) => string): void {
  const data = JSON.stringify(decodeRecord(readFileSync(file, 'utf8'), file));
  writeFileSync(file, encodeRecord(JSON.parse(change(data))));
}

/** The status of a record as its only file: no next and no last content beside it (docs/state.md). */
function onlyStatus(noun: 'sandboxes' | 'containers', id: string): string {
  const dir = join(daemon.root, noun, id);
  for (const leftover of ['.status.json.new', '.status.json.old']) rmSync(join(dir, leftover), { force: true });
  return join(dir, 'status.json');
}

/** Does to the host what a reboot does: no process, mount, interface or cgroup of ours, another boot id. */
async function reboot(): Promise<void> {
  await daemon.kill9();
  await until('every process is gone', () => {
    const left = processesOf(daemon);
    for (const { pid } of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it went with its parent
      }
    }
    return left.length === 0;
  });
  for (const point of mountsOf(daemon)) execFileSync('umount', ['-l', point]);
  for (const id of daemon.ids) {
    const link = `/sys/class/net/${hostInterfaceOf(id)}`;
    // its namespace may take it along at any moment
    spawnSync('ip', ['link', 'delete', hostInterfaceOf(id)]);
    await until('the interface is gone', () => !existsSync(link));
    // what was killed may not have left it
    await until('the cgroup is gone', () => {
      try {
        if (cgroupExists(podPath(id))) removeCgroupTree(podPath(id));
        return true;
      } catch {
        return false;
      }
    });
  }
  execFileSync('ip', ['link', 'delete', daemon.bridge]);
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  for (const file of recordFiles())
    rewrite(file, (json) => json.replaceAll(boot, '00000000-0000-4000-8000-000000000000'));
}

const state = async (pod: Pod): Promise<string | undefined> =>
  (await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id })).status?.state;

test.serial(
  'after a reboot pods are NOTREADY, containers EXITED 255, earlier exits as they were, and all can be removed',
  async (t) => {
    const pod = await runPod(daemon, { port_mappings: [{ container_port: 80, host_port: 38200 }] });
    const sharing = await runPod(daemon, { linux: { security_context: { namespace_options: { pid: 'POD' } } } });
    const ran = await start(daemon, pod, containerConfig());
    const done = await start(daemon, pod, scripted('exit 3'));
    const before = await exited(daemon, done);
    const ip = await podIp(daemon, pod);
    await reboot();
    await daemon.start();
    t.is(await state(pod), 'SANDBOX_NOTREADY');
    t.is(await state(sharing), 'SANDBOX_NOTREADY');
    t.like(await statusOf(daemon, ran), { state: 'CONTAINER_EXITED', exit_code: 255, reason: 'Unknown' });
    t.like(await statusOf(daemon, done), { exit_code: 3, finished_at: before.finished_at });
    const fresh = await runPod(daemon);
    t.not(await podIp(daemon, fresh), '');
    t.is(
      (await exec(daemon, await start(daemon, fresh, containerConfig()), 'true')).code,
      0,
      'the bridge was made again',
    );
    await daemon.removeAllPods();
    t.deepEqual(await daemon.leftOfPods(), []);
    t.truthy(ip);
  },
);

for (const { name, tear } of [
  { name: 'cut short', tear: (file: string) => truncateSync(file, 40) },
  { name: 'empty', tear: (file: string) => truncateSync(file, 0) },
  {
    name: 'with a flipped byte',
    tear: (file: string) =>
      writeFileSync(file, readFileSync(file, 'utf8').replace('"ready"', '"reddy"').replace('"created"', '"creared"')),
  },
]) {
  test.serial(`a record ${name} is set aside, its pod is ended, and all others live`, async (t) => {
    const [good, bad] = [await runPod(daemon), await runPod(daemon)];
    const lives = await start(daemon, good, containerConfig());
    await start(daemon, bad, containerConfig());
    await durable('sandboxes', bad.id);
    await daemon.kill9();
    tear(onlyStatus('sandboxes', bad.id));
    await daemon.start();
    const { items } = await daemon.runtime.ListPodSandbox({});
    t.deepEqual(
      items.map(({ id }) => id),
      [good.id],
    );
    t.is((await exec(daemon, lives, 'true')).code, 0);
    t.true(readdirSync(join(daemon.root, 'quarantine')).some((each) => each.includes(bad.id)));
    t.regex(await (await fetch(daemon.metricsUrl)).text(), /podwright_quarantined_records_total\{noun="sandbox"\} 1/);
    await until('what it ran is ended', () => processesOf(daemon).every(({ what }) => !what.includes(bad.id)));
    await daemon.removePod(good.id);
    t.deepEqual(await daemon.leftOfPods(), []);
  });
}

test.serial('a status torn by a power cut right after it was written is the last durable one', async (t) => {
  const pod = await runPod(daemon);
  const file = join(daemon.root, 'sandboxes', pod.id, 'status.json');
  // what is written last, when the answer has been handed out: else it may be killed between two renames
  await until('the answer is on record', () => delivered(file));
  await daemon.kill9();
  const kept = join(daemon.root, 'sandboxes', pod.id, '.status.json.old');
  if (!existsSync(kept)) writeFileSync(kept, readFileSync(file));
  truncateSync(file, 30);
  await daemon.start();
  const { items } = await daemon.runtime.ListPodSandbox({});
  t.true(items.length <= 1, 'the last durable one may be of before the pod was ready: then it is torn down');
  for (const { id } of items) t.is(id, pod.id);
  await daemon.removeAllPods();
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('a torn record of a container costs that container alone', async (t) => {
  const pod = await runPod(daemon);
  const [good, bad] = [await start(daemon, pod, containerConfig()), await start(daemon, pod, containerConfig())];
  await durable('containers', bad);
  await daemon.kill9();
  truncateSync(onlyStatus('containers', bad), 10);
  await daemon.start();
  const { containers } = await daemon.runtime.ListContainers({});
  t.deepEqual(
    containers.map(({ id, state: how }) => [id, how]),
    [[good, 'CONTAINER_RUNNING']],
  );
  await until(
    'the container without a record is ended',
    () => processesOf({ state: '/nowhere', ids: new Set([bad]) }).length === 0,
  );
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial(
  'a record of a newer release is left alone, with what it describes, until that release is back',
  async (t) => {
    const pod = await runPod(daemon);
    const id = await start(daemon, pod, containerConfig());
    const file = join(daemon.root, 'sandboxes', pod.id, 'status.json');
    const before = readFileSync(file, 'utf8');
    await daemon.kill9();
    const newer = before.replace('{"version":1', '{"version":99');
    writeFileSync(file, newer);
    await daemon.start();
    t.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);
    t.is(readFileSync(file, 'utf8'), newer);
    t.true(processesOf({ state: '/nowhere', ids: new Set([id]) }).length > 0, 'its container runs on');
    await daemon.kill9();
    writeFileSync(file, before);
    await daemon.start();
    t.is(await state(pod), 'SANDBOX_READY');
    t.is((await exec(daemon, id, 'true')).code, 0);
    await daemon.removePod(pod.id);
  },
);

test.serial('files that a crash leaves half-written are swept and believed by nobody', async (t) => {
  const pod = await runPod(daemon);
  await daemon.kill9();
  const stray = 'e'.repeat(64);
  execFileSync('mkdir', [
    '-p',
    join(daemon.root, 'sandboxes', `.new-${stray}`),
    join(daemon.root, 'snapshots', stray, 'upper'),
    join(daemon.root, 'layers/.staging-x'),
    join(daemon.root, 'ingest/half'),
  ]);
  writeFileSync(join(daemon.root, 'sandboxes', pod.id, '.status.json.1.1'), '{"version"');
  await daemon.start();
  t.is(await state(pod), 'SANDBOX_READY');
  await until('the stray snapshot is swept', () => !existsSync(join(daemon.root, 'snapshots', stray)));
  t.false(existsSync(join(daemon.root, 'sandboxes', `.new-${stray}`)));
  t.false(existsSync(join(daemon.root, 'layers/.staging-x')));
  await daemon.removePod(pod.id);
});

endsWithoutResidue(test, daemon);
