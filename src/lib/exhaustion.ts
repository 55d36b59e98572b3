// Whether a failure says that the host, or what this process may have of it, is used up, and what of it.
// PURE. Must not look at texts that people read: an errno and a system call decide.

/** What has run out. */
export interface Exhaustion {
  /** The errno by its name. */
  readonly errno: string;
  /** What there is no more of, and what limits it; "" where the errno's own text says it. */
  readonly what: string;
}

type Words = (syscall: string) => string | null;

const starts = /^(clone3?|v?fork|posix_spawn|spawn( |$)|uv_thread_create|pthread_create|uv_spawn)/;
const watches = /^(watch|inotify_)/;
const namespaces = /^(clone3?|unshare|setns)$/;
const mounts = /^(mount|move_mount)$/;
/** What they make is in a mount namespace of its own until it is attached. */
const detached = /^(fsmount|open_tree)$/;

const files: Words = (syscall) =>
  watches.test(syscall)
    ? 'inotify instances (fs.inotify.max_user_instances) or open files (RLIMIT_NOFILE)'
    : 'open files (RLIMIT_NOFILE)';

const space: Words = (syscall) => {
  if (watches.test(syscall)) return 'inotify watches (fs.inotify.max_user_watches)';
  if (namespaces.test(syscall)) return 'namespaces (user.max_*_namespaces)';
  if (detached.test(syscall)) return 'mount namespaces (user.max_mnt_namespaces)';
  if (mounts.test(syscall)) return 'mounts (fs.mount-max)';
  return '';
};

/** By number: what native calls and Node's errors have in common (errno(3)). */
const errnos: Readonly<Record<number, { readonly name: string; readonly words: Words }>> = {
  // of much else it says "not now"
  11: {
    name: 'EAGAIN',
    words: (syscall) =>
      starts.test(syscall)
        ? 'processes and threads (pids cgroup, RLIMIT_NPROC, kernel.threads-max, kernel.pid_max)'
        : null,
  },
  12: { name: 'ENOMEM', words: () => '' },
  23: { name: 'ENFILE', words: () => 'open files of the host (fs.file-max)' },
  24: { name: 'EMFILE', words: files },
  28: { name: 'ENOSPC', words: space },
  87: { name: 'EUSERS', words: () => 'users or nested namespaces (user.max_*_namespaces)' },
  105: { name: 'ENOBUFS', words: () => '' },
  122: {
    name: 'EDQUOT',
    words: (syscall) => (syscall === 'keyctl' ? 'keys (kernel.keys.maxkeys, kernel.keys.root_maxkeys)' : ''),
  },
};

/** What a failed system call says has run out; null when it failed for another reason. `errno` has either sign. */
export function exhaustionOf(errno: number, syscall: string): Exhaustion | null {
  if (syscall === 'http') return null; // a status, not an errno
  const known = errnos[Math.abs(errno)];
  const what = known?.words(syscall);
  return known === undefined || what === undefined || what === null ? null : { errno: known.name, what };
}

/** Causes that are looked at. */
const deepest = 16;

/** What an error or one of its causes says has run out; null when none does. */
export function exhaustionIn(error: unknown): Exhaustion | null {
  let at: unknown = error;
  for (let depth = 0; at instanceof Error && depth < deepest; depth += 1) {
    const found = ofOne(at) ?? (at instanceof AggregateError ? ofAny(at.errors) : null);
    if (found !== null) return found;
    at = at.cause;
  }
  return null;
}

function ofAny(errors: readonly unknown[]): Exhaustion | null {
  for (const error of errors) {
    const found = exhaustionIn(error);
    if (found !== null) return found;
  }
  return null;
}

const numbers = new Map(Object.entries(errnos).map(([number, { name }]) => [name, Number(number)]));

/** Node's errors, native ones and what monitors tell have `errno` and `syscall`, themselves or in their details. */
function ofOne(error: Error): Exhaustion | null {
  for (const facts of [error, (error as { readonly details?: unknown }).details]) {
    if (typeof facts !== 'object' || facts === null) continue;
    const { errno, code, syscall } = facts as Readonly<Record<string, unknown>>;
    const number = typeof errno === 'number' ? errno : typeof code === 'string' ? numbers.get(code) : undefined;
    if (number !== undefined) return exhaustionOf(number, typeof syscall === 'string' ? syscall : '');
  }
  return null;
}
