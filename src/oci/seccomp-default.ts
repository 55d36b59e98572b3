// PURE
// The RuntimeDefault seccomp profile: what a container may ask of the kernel when nobody says
// otherwise. The calls are those Docker's and containerd's default profiles allow (github.com/moby/profiles).

/** runtime-spec `linux.seccomp.syscalls[].args[]`. */
export interface SeccompArg {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: `SCMP_CMP_${'EQ' | 'NE' | 'LT' | 'LE' | 'GT' | 'GE' | 'MASKED_EQ'}`;
}

/** runtime-spec `linux.seccomp.syscalls[]`. */
export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: `SCMP_ACT_${string}`;
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArg[];
}

/** runtime-spec `linux.seccomp`. */
export interface LinuxSeccomp {
  readonly defaultAction: `SCMP_ACT_${string}`;
  readonly defaultErrnoRet?: number;
  readonly architectures: readonly `SCMP_ARCH_${string}`[];
  readonly flags?: readonly string[];
  readonly syscalls: readonly SeccompRule[];
}

const EPERM = 1;
const ENOSYS = 38;

const words = (text: string): string[] => text.trim().split(/\s+/);

/** Allowed whatever the capabilities: none reaches further than the container itself. */
const always = words(`
  accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
  clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
  clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
  epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
  exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2
  fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
  fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait
  futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid
  getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
  getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area
  gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1
  inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set
  io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32
  lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat
  lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock
  mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64
  mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
  name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
  pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease
  process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readlink
  readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename
  renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
  rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr
  sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval
  sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
  select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid
  setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid
  setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid
  setsockopt set_thread_area set_tid_address setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown
  sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64
  statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
  timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
  timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink
  unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev`);

/** Allowed by what the machine is. */
const byArch = {
  x64: { archs: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'], calls: words('arch_prctl modify_ldt') },
  arm64: {
    archs: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
    calls: words('arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls'),
  },
} as const;

/** A machine this profile is known for, as `process.arch` names it. */
export type SeccompMachine = keyof typeof byArch;

/** Allowed with a capability, which the kernel asks for too: the filter must not take away what it gives. */
const byCapability: Readonly<Record<string, readonly string[]>> = {
  CAP_BPF: ['bpf'],
  CAP_DAC_READ_SEARCH: ['open_by_handle_at'],
  CAP_PERFMON: ['perf_event_open'],
  CAP_SYS_ADMIN: words(`
    bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
    lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
    sethostname setns syslog umount umount2 unshare`),
  CAP_SYS_BOOT: ['reboot'],
  CAP_SYS_CHROOT: ['chroot'],
  CAP_SYS_MODULE: words('delete_module init_module finit_module'),
  CAP_SYS_NICE: words('get_mempolicy mbind set_mempolicy set_mempolicy_home_node'),
  CAP_SYS_PACCT: ['acct'],
  CAP_SYS_PTRACE: words('kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace'),
  CAP_SYS_RAWIO: words('iopl ioperm'),
  CAP_SYS_TIME: words('settimeofday stime clock_settime clock_settime64'),
  CAP_SYS_TTY_CONFIG: ['vhangup'],
  CAP_SYSLOG: ['syslog'],
};

/**
 * Socket families a container may open: those below AF_ALG (38) and these. AF_ALG is the kernel's crypto for everybody,
 * AF_VSOCK (40) reaches the hypervisor and other machines past the pod's network namespace.
 */
const socketFamilies = [39, 41, 42, 43, 44, 45];
const firstFamilyOut = 38;

/** personality(2): PER_LINUX, PER_LINUX32, each with UNAME26, and "what is it". */
const personalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

/** clone(2): any of CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const namespaceFlags = 0x7e020000;

const allow = (names: readonly string[], args: readonly SeccompArg[] = []): SeccompRule =>
  args.length === 0 ? { names, action: 'SCMP_ACT_ALLOW' } : { names, action: 'SCMP_ACT_ALLOW', args };

const equals = (value: number): SeccompArg => ({ index: 0, value, op: 'SCMP_CMP_EQ' });

/** Rules about arguments. clone3(2) has its flags in memory, where a filter cannot look: ENOSYS makes a libc use clone(2). */
function conditional(isAdmin: boolean): SeccompRule[] {
  const rules = [
    allow(['socket'], [{ index: 0, value: firstFamilyOut, op: 'SCMP_CMP_LT' }]),
    ...socketFamilies.map((family) => allow(['socket'], [equals(family)])),
    ...personalities.map((personality) => allow(['personality'], [equals(personality)])),
  ];
  if (isAdmin) return rules;
  return [
    ...rules,
    allow(['clone'], [{ index: 0, value: namespaceFlags, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]),
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
  ];
}

/**
 * The profile CRI SecurityProfile RuntimeDefault stands for, in a container whose bounding set is `capabilities`
 * (names with `CAP_`). Equal sets give equal profiles whatever their order.
 */
export function defaultSeccompProfile(capabilities: readonly string[], arch: SeccompMachine): LinuxSeccomp {
  const granted = [...new Set(capabilities)].filter((name) => Object.hasOwn(byCapability, name)).sort();
  const privileged = new Set(granted.flatMap((name) => byCapability[name] ?? []));
  const names = new Set([...always, ...byArch[arch].calls, ...privileged]);
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: byArch[arch].archs,
    // The filter is no reason to switch speculative store bypass off (what runc does by default as well).
    flags: ['SECCOMP_FILTER_FLAG_SPEC_ALLOW'],
    syscalls: [allow([...names]), ...conditional(granted.includes('CAP_SYS_ADMIN'))],
  };
}
