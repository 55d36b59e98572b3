// The escapes that were found in container runtimes, tried one by one: system calls, descriptors, keys, mounts, networks,
// and the daemon's own files and sockets. docs/security.md has the list; images made for it are in isolation-images.test.ts.
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import type { LinuxContainerSecurityContext } from '../../src/proto/generated/cri/runtime/v1/LinuxContainerSecurityContext.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { programs } from '../helpers/host-programs.ts';
import { listening } from '../helpers/listening.ts';
import {
  containerConfig,
  exec,
  output,
  pidOf,
  type Pod,
  pull,
  runPod,
  scripted,
  shell,
  start,
  statusOf,
} from '../helpers/pods.ts';
import { controlled, keyctl, refusals } from '../helpers/system-calls.ts';

const daemon = useDaemon(test);
const runtimeDefault = { seccomp: { profile_type: 'RuntimeDefault' } } as const;
let pod: Pod;

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
});

/** What a perl script printed in a container with this security. */
async function perl(
  script: string,
  security_context: LinuxContainerSecurityContext = {},
  where = pod,
): Promise<string> {
  const command = ['/usr/bin/perl', '-MSocket', '-e', script];
  const config = containerConfig({ command, mounts: programs(), linux: { security_context } });
  const { stdout, stderr } = await output(daemon, where, config);
  return `${stdout}${stderr}`.trim();
}

type SystemCalls = ReturnType<typeof refusals>;

/** Says of each call with which errno it ended. */
const refusing = (calls: SystemCalls): string =>
  Object.entries(calls)
    .map(([name, words]) => `$!=0; syscall(${words.join(',')}); print "${name} ",$!+0,"\\n";`)
    .join('');

const pickFrom = (calls: SystemCalls, names: readonly string[]): SystemCalls =>
  Object.fromEntries(Object.entries(calls).filter(([name]) => names.includes(name)));

test.serial('system calls that reach the kernel or other processes are refused under RuntimeDefault', async (t) => {
  const calls = refusals(process.arch);
  const script = refusing(calls);
  const eperm = 1;
  const expected = Object.keys(calls).map((name) => `${name} ${eperm}`);
  t.deepEqual((await perl(script, runtimeDefault)).split('\n'), expected);
  // without the filter the kernel looks at the arguments: the refusals above are not its own
  // (of io_uring_setup it may refuse itself what kernel.io_uring_disabled forbids)
  const unfiltered = await perl(script);
  t.regex(unfiltered, /^io_uring_enter (9|38)$/m);
  t.regex(unfiltered, /^setns 9$/m);
  const all = { capabilities: { add_capabilities: ['ALL'] } };
  const allowed = (await perl(refusing(pickFrom(calls, controlled)), all)).split('\n');
  t.deepEqual(
    allowed.filter((line) => line.endsWith(` ${eperm}`)),
    [],
  );
  t.is(allowed.length, controlled.length);
});

test.serial('no descriptor of the monitor comes into a container or a command', async (t) => {
  const open = 'opendir $d, "/proc/self/fd"; print join(" ", sort { $a <=> $b } grep { /\\d/ } readdir $d);';
  t.is(await perl(open), '0 1 2 3', 'its own three, and the directory that it reads');
  const id = await start(daemon, pod, containerConfig({ mounts: programs() }));
  t.is((await exec(daemon, id, '/usr/bin/perl', '-e', open)).stdout, '0 1 2 3');
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('each container and each command has a session keyring of its own, whatever its filter', async (t) => {
  const describe = `$b = " " x 200; $n = syscall(${keyctl}, 6, -3, $b, 200); print syscall(${keyctl}, 0, -3, 0), " ", substr($b, 0, $n - 1);`;
  const id = await start(daemon, pod, containerConfig({ mounts: programs() }));
  const command = async (): Promise<string> => (await exec(daemon, id, '/usr/bin/perl', '-e', describe)).stdout;
  const seen = [await perl(describe), await perl(describe), await command(), await command()];
  await daemon.runtime.RemoveContainer({ container_id: id });
  for (const each of seen) t.regex(each, /^\d+ keyring;/);
  const serials = new Set(seen.map((each) => each.split(' ')[0]));
  t.is(serials.size, 4, 'containers, and commands in them');
  // the daemon's: /proc/keys of its own view lists what its processes possess
  for (const each of seen) t.notRegex(each, /_uid/, 'not the one of all processes of that user');
});

/** Mount point to options (with those of the file system), from inside. */
async function mounts(security_context: LinuxContainerSecurityContext = {}): Promise<Map<string, string[]>> {
  const id = await start(daemon, pod, containerConfig({ linux: { security_context } }));
  const text = await shell(daemon, id, 'cat /proc/self/mountinfo');
  await daemon.runtime.RemoveContainer({ container_id: id });
  return new Map(
    text.split('\n').map((line) => {
      const fields = line.split(' ');
      return [fields[4] as string, (fields[5] as string).split(',')] as const;
    }),
  );
}

test.serial(
  'what the kernel shows of itself is mounted so that it cannot be written, run or used as a device',
  async (t) => {
    const seen = await mounts();
    const strict = ['nosuid', 'nodev', 'noexec'];
    const wanted: Readonly<Record<string, readonly string[]>> = {
      '/proc': strict,
      '/sys': ['ro', ...strict],
      '/sys/fs/cgroup': ['ro', ...strict],
      '/dev': ['nosuid'],
      '/dev/pts': ['nosuid', 'noexec'],
      '/dev/shm': strict,
      '/dev/mqueue': strict,
    };
    for (const [path, options] of Object.entries(wanted)) {
      const has = seen.get(path) ?? [];
      t.deepEqual(
        options.filter((option) => !has.includes(option)),
        [],
        `${path} has ${has.join(',')}`,
      );
    }
    for (const [path, options] of seen)
      if (path.startsWith('/sys/')) t.true(options.includes('ro'), `${path} has ${options.join(',')}`);
  },
);

test.serial('files that run programs or change the host are out of reach', async (t) => {
  // what the kubelet asks for in every container that is not privileged
  const readonly_paths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
  const script = [
    'for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sysrq-trigger /proc/sys/fs/binfmt_misc/register',
    '/sys/kernel/uevent_helper /sys/kernel/mm/transparent_hugepage/enabled /sys/fs/cgroup/release_agent',
    '$(find /sys/fs/cgroup -name release_agent -o -name cgroup.procs -o -name notify_on_release -o -name devices.allow)',
    '; do [ -e $f ] && (exec 2>/dev/null; : >> $f) && echo open $f; done; echo looked',
  ].join(' ');
  const id = await start(daemon, pod, containerConfig({ linux: { security_context: { readonly_paths } } }));
  t.is(await shell(daemon, id, script), 'looked');
  const denied = /not permitted|denied|No such device/;
  for (const type of ['cgroup', 'cgroup2', 'proc', 'sysfs', 'devtmpfs', 'debugfs'])
    t.regex((await exec(daemon, id, 'mount', '-t', type, 'none', '/dev/shm')).stderr, denied, type);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('root of a user namespace with every capability gets at nothing of the host', async (t) => {
  const ids = [{ container_id: 0, host_id: 400_000, length: 65_536 }];
  const namespace_options = { pid: 'CONTAINER', userns_options: { mode: 'POD', uids: ids, gids: ids } } as const;
  const own = await runPod(daemon, { linux: { security_context: { namespace_options } } });
  // the default profile of AppArmor would refuse mounts before the kernel does
  const apparmor = { profile_type: 'Unconfined' } as const;
  const security_context = { namespace_options, apparmor, capabilities: { add_capabilities: ['ALL'] } };
  // binfmt_misc is not among them: from Linux 6.7 on a user namespace has one of its own
  const files = ['core_pattern', 'modprobe', 'sysrq-trigger', 'uevent_helper', 'release_agent', 'devices.allow'];
  const names = files.map((name) => `-name ${name}`).join(' -o ');
  const script = [
    'exec 2>/dev/null; mkdir /m; mount -t tmpfs t /m && echo mounts',
    // fresh ones of each file system in which a file runs a program of the host
    'for type in proc sysfs cgroup cgroup2 debugfs tracefs securityfs binfmt_misc; do mkdir /m/$type; mount -t $type $type /m/$type; done',
    'mkdir /m/named; mount -t cgroup -o none,name=podwright-isolation none /m/named',
    `for f in /proc/sysrq-trigger $(find /proc/sys/kernel /m /sys/kernel /sys/fs/cgroup -path /m/binfmt_misc -prune -o \\( ${names} \\) -print)`,
    'do echo $f >> /dev/shm/tried; (: >> $f) && echo open $f; done',
    'mknod /m/mem c 1 1 && head -c 1 /m/mem > /dev/null && echo read memory',
    'mknod /m/disk b 253 0 && head -c 1 /m/disk > /dev/null && echo read disk',
    'grep -c /core_pattern /dev/shm/tried',
  ].join('\n');
  const { stdout } = await output(daemon, own, { ...scripted(script), linux: { security_context } });
  // of its own /proc and, where the kernel lets it mount one, of a fresh one
  t.regex(stdout, /^mounts\n[12]\n$/);
  const calls = pickFrom(refusals(process.arch), [
    'init_module',
    'finit_module',
    'delete_module',
    'kexec_load',
    'swapon',
    'acct',
  ]);
  const refused = (await perl(refusing(calls), security_context, own)).split('\n');
  t.is(refused.length, Object.keys(calls).length);
  // what a kernel was built without is not there: ENOSYS
  for (const line of refused) t.regex(line, /^(\w+ 1|(init|finit|delete)_module 38|(kexec_load|swapon|acct) 38)$/);
  await daemon.removePod(own.id);
});

test.serial('processes of other containers and of the host have no number inside', async (t) => {
  const other = await start(daemon, pod, containerConfig());
  const pid = await pidOf(daemon, other);
  const esrch = 3;
  const script = `for $p (${pid}, ${daemon.pid}, ${process.pid}) { print kill(0, $p) ? "there" : $!+0, " ", -e "/proc/$p" ? "seen" : "unseen", "\\n" }`;
  t.deepEqual([...new Set((await perl(script)).split('\n'))], [`${esrch} unseen`]);
  await daemon.runtime.RemoveContainer({ container_id: other });
});

test.serial("abstract sockets of the host are not in a pod's network", async (t) => {
  const name = `podwright-isolation-${process.pid}`;
  const server = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(`\0${name}`, resolve));
  const script = `socket(S, PF_UNIX, SOCK_STREAM, 0); print connect(S, pack("S a*", PF_UNIX, "\\0${name}")) ? "in" : $!+0;`;
  const econnrefused = 111;
  try {
    t.is(await perl(script), String(econnrefused));
    const host = { linux: { security_context: { namespace_options: { network: 'NODE' as const } } } };
    const outside = await runPod(daemon, host);
    t.is(await perl(script, { namespace_options: { network: 'NODE' } }, outside), 'in', "the host's network has them");
    await daemon.removePod(outside.id);
  } finally {
    server.close();
  }
});

test.serial('raw packets need NET_RAW', async (t) => {
  const script = 'print socket(S, PF_INET, SOCK_RAW, 1) ? "open" : $!+0;';
  t.is(await perl(script), 'open');
  t.is(await perl(script, { capabilities: { drop_capabilities: ['NET_RAW'] } }), '1');
});

test.serial('who may ping without NET_RAW is the pod’s to say', async (t) => {
  const script = 'print socket(S, PF_INET, SOCK_DGRAM, 1) ? "open" : $!+0;';
  const nobody = { run_as_user: { value: '1000' }, capabilities: { drop_capabilities: ['ALL'] } };
  t.is(await perl(script, nobody), 'open', 'default_sysctls');
  const strict = await runPod(daemon, { linux: { sysctls: { 'net.ipv4.ping_group_range': '1 0' } } });
  const eacces = 13;
  t.is(await perl(script, nobody, strict), String(eacces));
  t.is(await perl(script, {}, strict), String(eacces), 'root is of no group of that range either');
  await daemon.removePod(strict.id);
});

/** What a look answers, and `otherwise` of what went away meanwhile: the file of a write that is over, a run directory. */
function orGone<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return otherwise;
  }
}

/** Every file below a directory. */
const below = (dir: string): string[] =>
  orGone(() => readdirSync(dir, { withFileTypes: true }), []).flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? [path, ...below(path)] : [path];
  });

/** What kind of file it is; what has gone is none. */
const is = (path: string, kind: 'isFile' | 'isSocket'): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.[kind]() === true;

test.serial('state and sockets are for root alone, and nothing listens beyond this machine', async (t) => {
  const id = await start(daemon, pod, containerConfig({ envs: [{ key: 'SECRET', value: Buffer.from('swordfish') }] }));
  const mode = (path: string): number => (lstatSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o7777;
  for (const dir of [daemon.root, daemon.state]) t.is(lstatSync(dir).mode & 0o077, 0, dir);
  // the pin of a network namespace is no file that can be read
  const secret = below(daemon.state).filter(
    (path) =>
      !path.includes('/netns/') && is(path, 'isFile') && orGone(() => readFileSync(path).includes('swordfish'), false),
  );
  t.true(secret.length > 0, 'the bundle has it');
  for (const path of secret) t.is(mode(path) & 0o077, 0, path);
  const sockets = below(daemon.state).filter((path) => is(path, 'isSocket'));
  t.true(sockets.length >= 2, 'its own and a monitor');
  for (const path of sockets) t.is(mode(path) & 0o007, 0, path);
  t.notRegex(daemon.log(1e6), /swordfish/);
  const loopback = /^(0100007F|0{24}01000000|0{16}FFFF00000100007F)$/;
  const addresses = listening(daemon.pid);
  t.true(addresses.length > 0, 'metrics, and streams');
  for (const address of addresses) t.regex(address, loopback);
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  t.true(existsSync(daemon.socket));
  await daemon.runtime.RemoveContainer({ container_id: id });
});

endsWithoutResidue(test, daemon);
