// One container against the processes of another: tracing, memory, descriptors, and files of /proc. docs/security.md has the list.
import { existsSync, readFileSync } from 'node:fs';
import test from 'ava';
import type { ContainerConfig } from '../../src/proto/generated/cri/runtime/v1/ContainerConfig.ts';
import type { LinuxContainerSecurityContext } from '../../src/proto/generated/cri/runtime/v1/LinuxContainerSecurityContext.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { programs } from '../helpers/host-programs.ts';
import { containerConfig, output, pidOf, type Pod, pull, runPod, start } from '../helpers/pods.ts';
import { tracing } from '../helpers/system-calls.ts';

const daemon = useDaemon(test);
test.before('an image', () => pull(daemon));

const errno = { EPERM: 1, ESRCH: 3, EACCES: 13, EFAULT: 14 } as const;

/** Looks into a process in each way there is: what each came to, 0 for done. In perl. */
const looks = (pid: number | string): string => `
  $p = ${pid}; $b = " " x 8; $local = pack("QQ", unpack("Q", pack("p", $b)), 8); $remote = pack("QQ", 4096, 8);
  sub call { my ($name, $number, @rest) = @_; $! = 0; my $r = syscall($number, @rest); print "$name ", $r < 0 ? $!+0 : 0, "\\n"; $r }
  call("process_vm_readv", ${tracing.processVmRead}, $p, $local, 1, $remote, 1, 0);
  $fd = call("pidfd_open", ${tracing.pidfdOpen}, $p, 0);
  call("pidfd_getfd", ${tracing.pidfdGetfd}, $fd, 0, 0) if $fd >= 0;
  for $f (qw(mem environ maps)) { $! = 0; print "$f ", (open(F, "<", "/proc/$p/$f") && defined(sysread(F, $x, $f eq "mem" ? 0 : 1))) ? 0 : $!+0, "\\n" }
  for $f (qw(root cwd fd/0 ns/mnt)) { $! = 0; print "$f ", defined(readlink("/proc/$p/$f")) ? 0 : $!+0, "\\n" }
  call("ptrace", ${tracing.ptrace}, 16, $p, 0, 0);`;

/** What each look came to, by name. */
async function lookedAt(where: Pod, pid: number | string, security_context: LinuxContainerSecurityContext) {
  const command = ['/usr/bin/perl', '-e', looks(pid)];
  const { stdout, stderr } = await output(
    daemon,
    where,
    containerConfig({ command, mounts: programs(), linux: { security_context } }),
  );
  return new Map(
    `${stdout}${stderr}`
      .trim()
      .split('\n')
      .map((line) => line.split(' ') as [string, string]),
  );
}

/** Its number in the pod's pid namespace: NSpid of proc_pid_status(5). */
const insidePid = (pid: number): number =>
  Number(/^NSpid:.*\s(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

const shared = { namespace_options: { pid: 'POD' } } as const;

/** A container in the pod's shared pids that does nothing. */
const victim = (security_context: LinuxContainerSecurityContext): ContainerConfig =>
  containerConfig({ command: ['sleep', '3600'], linux: { security_context: { ...shared, ...security_context } } });

const kept: readonly [who: string, theirs: LinuxContainerSecurityContext, own: LinuxContainerSecurityContext][] = [
  ['who may do more', { capabilities: { add_capabilities: ['SYS_TIME'] } }, {}],
  ['another user', { run_as_user: { value: '1000' } }, { run_as_user: { value: '1001' } }],
  ['root, by a user', {}, { run_as_user: { value: '1000' } }],
];

for (const [who, theirs, own] of kept)
  test.serial(`with shared pids a container does not look into one of ${who}`, async (t) => {
    const pod = await runPod(daemon, { linux: { security_context: shared } });
    const pid = insidePid(await pidOf(daemon, await start(daemon, pod, victim(theirs))));
    const seen = await lookedAt(pod, pid, { ...shared, ...own });
    t.deepEqual(Object.fromEntries(seen), {
      process_vm_readv: String(errno.EPERM),
      pidfd_open: '0',
      pidfd_getfd: String(errno.EPERM),
      mem: String(errno.EACCES),
      environ: String(errno.EACCES),
      maps: String(errno.EACCES),
      root: String(errno.EACCES),
      cwd: String(errno.EACCES),
      'fd/0': String(errno.EACCES),
      'ns/mnt': String(errno.EACCES),
      ptrace: String(errno.EPERM),
    });
    await daemon.removePod(pod.id);
  });

test.serial(
  'with shared pids the same user with the same rights is looked into: it is the kernel that refuses above',
  async (t) => {
    const pod = await runPod(daemon, { linux: { security_context: shared } });
    const pid = insidePid(await pidOf(daemon, await start(daemon, pod, victim({}))));
    const seen = await lookedAt(pod, pid, shared);
    // Yama has its own say in what is like attaching, none in the rest: ptrace_scope of proc_sys_kernel(5)
    const yama = '/proc/sys/kernel/yama/ptrace_scope';
    const strict = existsSync(yama) && Number(readFileSync(yama, 'utf8')) > 0;
    t.is(seen.get('process_vm_readv'), String(strict ? errno.EPERM : errno.EFAULT), 'there is nothing at that address');
    t.is(seen.get('pidfd_getfd'), strict ? String(errno.EPERM) : '0');
    t.is(seen.get('environ'), '0');
    t.is(seen.get('root'), '0');
    await daemon.removePod(pod.id);
  },
);

test.serial('processes of other pods and of the host are nobody, whatever a container may do', async (t) => {
  const [pod, other] = [await runPod(daemon), await runPod(daemon)];
  const pid = await pidOf(daemon, await start(daemon, other, containerConfig({ command: ['sleep', '3600'] })));
  for (const target of [pid, daemon.pid, process.pid]) {
    const seen = await lookedAt(pod, target, { capabilities: { add_capabilities: ['SYS_PTRACE'] } });
    t.is(seen.get('process_vm_readv'), String(errno.ESRCH));
    t.is(seen.get('pidfd_open'), String(errno.ESRCH));
    t.is(seen.get('ptrace'), String(errno.ESRCH));
    for (const file of ['mem', 'environ', 'root', 'ns/mnt']) t.is(seen.get(file), '2', file);
  }
  await Promise.all([pod, other].map(({ id }) => daemon.removePod(id)));
});

endsWithoutResidue(test, daemon);
