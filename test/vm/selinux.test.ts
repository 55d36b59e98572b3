// SELinux where the kernel has it, enforcing a policy of our own: hack/test.sh vm-selinux runs it in a machine of
// hack/testbed.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { PodSandboxConfig } from '../../src/proto/generated/cri/runtime/v1/PodSandboxConfig.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  create,
  exec,
  fails,
  pidOf,
  type Pod,
  pull,
  runPod,
  scripted,
  shell,
  start,
  statusOf,
} from '../helpers/pods.ts';
import { handlersConfig } from '../helpers/runtimes.ts';
import { loadPolicy } from '../helpers/selinux-policy.ts';
import { until } from '../helpers/until.ts';

// file systems without labels of their own, as the guest's /tmp, keep none: volumes lie on a disk
const place = mkdtempSync('/var/lib/testbed/podwright-vm-selinux-');

test.serial.before('a policy is loaded, and enforced', () => loadPolicy(place));
const handlers = handlersConfig();
// a tmpfs of this kernel has no idmapped mounts, which a pod with a user namespace needs
const dir = mkdtempSync('/var/lib/testbed/pwt-');
const daemon = useDaemon(test, { dir, flags: [`--config=${handlers.file}`] });
test.after.always('its files go', () => {
  for (const each of [place, handlers.dir]) rmSync(each, { recursive: true, force: true });
});

const system = (type: string, level: string): string => `system_u:system_r:${type}:${level}`;
const files = (level: string): string => `system_u:object_r:container_file_t:${level}`;
const own = '/proc/self/attr/current';

/** The context of a file, as the kernel has it. */
const contextOf = (path: string): string =>
  execFileSync('getfattr', ['-h', '--absolute-names', '--only-values', '-n', 'security.selinux', path], {
    encoding: 'utf8',
  }).replaceAll('\0', '');

const sleeper = { metadata: { name: 'sleeper', attempt: 0 } };
const waits = 'exec sleep 3600';

async function levelOf(pod: Pod): Promise<string> {
  const { info } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
  const { selinux } = JSON.parse(info['info'] ?? '{}') as { selinux: { process: string } };
  return selinux.process.split(':').slice(3).join(':');
}

/** What a command in a container prints, without the byte that ends a context. */
const said = async (id: string, script: string): Promise<string> =>
  (await shell(daemon, id, script)).replaceAll('\0', '').trim();

const options = (selinux_options: object): PodSandboxConfig => ({ linux: { security_context: { selinux_options } } });

let pod: Pod;
let level: string;
let volume: string;

test.serial.before('a pod with a volume', async (t) => {
  t.timeout(300_000);
  await pull(daemon);
  volume = join(place, 'volume');
  mkdirSync(join(volume, 'sub'), { recursive: true });
  writeFileSync(join(volume, 'sub/file'), 'secret');
  writeFileSync(join(place, 'outside'), '');
  symlinkSync('../outside', join(volume, 'link'));
  pod = await runPod(daemon);
  level = await levelOf(pod);
});

test.serial('Status tells what the kernel has', async (t) => {
  const { info } = await daemon.runtime.Status({ verbose: true });
  t.like(JSON.parse(info['selinux'] ?? '{}'), {
    mode: 'enforcing',
    enabled: true,
    defaults: { process: system('container_t', 's0'), mount: files('s0') },
    trouble: null,
  });
  t.notRegex(await daemon.podwright('doctor'), /SELinux/);
});

test.serial('processes, commands and what is mounted for them have the contexts of the pod’s level', async (t) => {
  t.timeout(300_000);
  t.regex(level, /^s0:c\d+,c\d+$/);
  const script = `cat ${own} > /dev/shm/init; ${waits}`;
  const mounts = [{ container_path: '/volume', host_path: volume, selinux_relabel: true }];
  const id = await start(daemon, pod, scripted(script, { ...sleeper, mounts }));
  t.is(await said(id, `cat ${own}`), system('container_t', level));
  t.is(await until('init has said', () => said(id, 'cat /dev/shm/init')), system('container_t', level));
  const label = `context="${files(level)}"`;
  const mountinfo = await said(id, 'cat /proc/self/mountinfo');
  for (const point of ['/', '/dev', '/dev/pts', '/dev/shm']) {
    const line = mountinfo.split('\n').find((each) => each.split(' ')[4] === point) ?? point;
    t.true(line.replaceAll(/context=([^",]+(?:,c\d+)*)/g, 'context="$1"').includes(label), line);
  }
  for (const path of ['', '/sub', '/sub/file', '/link']) t.is(contextOf(volume + path), files(level), path);
  t.not(contextOf(join(place, 'outside')), files(level), 'a link is not followed');
  t.is((await exec(daemon, id, 'cat', '/volume/sub/file')).stdout, 'secret');
  t.regex(await said(id, 'cat /etc/hosts'), /localhost/);
  const inspected = JSON.parse(await daemon.podwright('inspect', id, '--output', 'json')) as object;
  t.true(JSON.stringify(inspected).includes(system('container_t', level)));
});

test.serial(
  'another pod has another level, also after a restart, and the kernel keeps it off the first one’s files',
  async (t) => {
    t.timeout(300_000);
    const other = await runPod(daemon);
    const its = await levelOf(other);
    t.not(its, level);
    const mounts = [{ container_path: '/volume', host_path: volume }];
    const id = await start(daemon, other, scripted(waits, { ...sleeper, mounts }));
    t.is(await said(id, `cat ${own}`), system('container_t', its));
    const read = await exec(daemon, id, 'cat', '/volume/sub/file');
    t.not(read.code, 0);
    t.regex(read.stderr, /[Pp]ermission denied/);
    await daemon.restart();
    t.deepEqual([await levelOf(pod), await levelOf(other)], [level, its], 'pods keep their levels');
    t.is(await said(id, `cat ${own}`), system('container_t', its));
    const third = await runPod(daemon);
    t.is(new Set([level, its, await levelOf(third)]).size, 3, 'a new daemon knows the levels of pods');
    await Promise.all([other, third].map(({ id: each }) => daemon.removePod(each)));
  },
);

test.serial('what is asked for counts; a context that the policy does not know is refused', async (t) => {
  t.timeout(300_000);
  const wished = await runPod(daemon, options({ type: 'other_t', level: 's0:c5,c9' }));
  const plain = await start(daemon, wished, scripted(waits, sleeper));
  t.is(await said(plain, `cat ${own}`), system('other_t', 's0:c5,c9'));
  const typed = scripted(waits, { ...options({ type: 'container_t' }), metadata: { name: 'typed', attempt: 0 } });
  t.is(await said(await start(daemon, wished, typed), `cat ${own}`), system('container_t', 's0:c5,c9'));
  const strange = options({ type: 'no_such_t' });
  await fails(t, runPod(daemon, strange), { code: 'INVALID_ARGUMENT', message: /selinux_options.*no_such_t/ });
  const refused = create(daemon, wished, scripted(waits, { ...strange, metadata: { name: 'strange', attempt: 0 } }));
  await fails(t, refused, { code: 'INVALID_ARGUMENT', message: /no_such_t/ });
  await daemon.removePod(wished.id);
});

test.serial('privileged containers and those in the host’s pid namespace are not confined', async (t) => {
  t.timeout(300_000);
  const daemons = readFileSync(own, 'utf8').replaceAll('\0', '').trim();
  const privileged = { linux: { security_context: { privileged: true } } };
  const mighty = await runPod(daemon, privileged);
  const id = await start(daemon, mighty, scripted(waits, { ...sleeper, ...privileged }));
  t.is(await said(id, `cat ${own}`), daemons);
  const hostPids = { linux: { security_context: { namespace_options: { pid: 'NODE' as const } } } };
  const open = await runPod(daemon, hostPids);
  t.is(await said(await start(daemon, open, scripted(waits, { ...sleeper, ...hostPids })), `cat ${own}`), daemons);
  await Promise.all([mighty, open].map(({ id: each }) => daemon.removePod(each)));
});

test.serial('a pod with a user namespace has its contexts too, its message queues among them', async (t) => {
  t.timeout(300_000);
  const ids = [{ container_id: 0, host_id: 300_000, length: 65_536 }];
  const userns_options = { mode: 'POD' as const, uids: ids, gids: ids };
  const users = { linux: { security_context: { namespace_options: { userns_options } } } };
  const mapped = await runPod(daemon, users);
  const its = await levelOf(mapped);
  const id = await start(daemon, mapped, scripted(waits, { ...sleeper, ...users }));
  t.is(await said(id, `cat ${own}`), system('container_t', its));
  const pid = await pidOf(daemon, id);
  t.is(contextOf(`/proc/${pid}/root/dev/mqueue`), files(its));
  await daemon.removePod(mapped.id);
});

test.serial('directories of the host’s own are never labelled', async (t) => {
  t.timeout(300_000);
  symlinkSync('/etc', join(place, 'etc'));
  for (const [at, host_path] of ['/', join(place, 'etc'), '/usr/share'].entries()) {
    const before = contextOf(host_path === '/usr/share' ? host_path : '/etc');
    const mounts = [{ container_path: '/volume', host_path, selinux_relabel: true }];
    const refused = create(daemon, pod, scripted(waits, { metadata: { name: `own-${at}`, attempt: 0 }, mounts }));
    await fails(t, refused, { code: 'INVALID_ARGUMENT', message: /the host's own/ });
    t.is(contextOf(host_path === '/usr/share' ? host_path : '/etc'), before);
  }
});

test.serial('another runtime gets the contexts by its spec', async (t) => {
  t.timeout(300_000);
  const config = { ...pod.config, metadata: { ...pod.config.metadata, name: 'by-runc', uid: 'by-runc' } };
  const { pod_sandbox_id: id } = await daemon.runtime.RunPodSandbox({ config, runtime_handler: 'runc' });
  const foreign = { id, config };
  const its = await levelOf(foreign);
  const shared = join(place, 'shared');
  mkdirSync(shared);
  writeFileSync(join(shared, 'file'), 'shared');
  const mounts = [{ container_path: '/volume', host_path: shared, selinux_relabel: true }];
  const container = await start(daemon, foreign, scripted(waits, { ...sleeper, mounts }));
  t.is(await said(container, `cat ${own}`), system('container_t', its));
  t.is(contextOf(join(shared, 'file')), files(its));
  t.is((await statusOf(daemon, container)).state, 'CONTAINER_RUNNING');
  t.is((await exec(daemon, container, 'cat', '/volume/file')).stdout, 'shared');
  await daemon.removePod(id);
});

endsWithoutResidue(test, daemon);
