// Where our own core is meant to be like neither runc nor crun, and why.
import type { Difference } from './compare.ts';

/** A difference that is wanted. */
export interface Wanted {
  readonly reason: string;
  readonly holds: (difference: Difference) => boolean;
}

const mountAt = (about: string): string | null => /^mounts (\S+?)(?: \(\d+\))?$/.exec(about)?.[1] ?? null;

/** The one table of them; a difference that is in no row fails the test. */
export const wanted: readonly Wanted[] = [
  {
    reason:
      'on a hybrid host a container is in the unified tree too, by which it is killed and frozen (ruling 10), and sees it as it sees the others',
    holds: ({ about, own }) => mountAt(about) === '/sys/fs/cgroup/unified' && own.includes('cgroup2'),
  },
  {
    reason:
      'what holds the v1 hierarchies is read-only when the mount is asked for read-only: the others leave it open to be written by root',
    holds: ({ about, own }) =>
      (mountAt(about) === '/sys/fs/cgroup' && /^\S*,ro /.test(own)) ||
      (about === 'write /sys/fs/cgroup' && own === '1'),
  },
  {
    reason:
      "a masked file is covered with the host's /dev/null, looked at before: what stands at /dev/null in the container may be something else (CVE-2025-31133)",
    holds: ({ about, own }) => mountAt(about) !== null && own.includes('devtmpfs') && own.includes(' /null '),
  },
  {
    reason: 'a masked directory is covered with a read-only tmpfs that has room for nothing but its root',
    holds: ({ about, own }) => mountAt(about) !== null && /^relatime,ro  tmpfs tmpfs \/ \S*nr_inodes=2\b/.test(own),
  },
  {
    reason: 'a read-only path is so with what is mounted below it',
    holds: ({ about, own, runc, crun }) =>
      mountAt(about) !== null && /^\S*ro /.test(own) && runc === crun && runc === own.replace(/(^|,)ro /, '$1rw '),
  },
  {
    reason:
      "HOME is set by who knows the image's /etc/passwd, the daemon: the core takes the environment as it is written",
    holds: ({ about, own, runc, crun }) => about === 'environ' && runc === crun && runc === `${own}\nHOME=/`,
  },
  {
    reason:
      'rootfsPropagation is for runtimes that bind volumes inside the container: here their sources are taken on the host, and nothing else becomes shared',
    holds: ({ spec, about, own, crun }) =>
      spec === 'propagation shared' &&
      mountAt(about)?.startsWith('/sys') === true &&
      crun.includes(' shared ') &&
      !own.includes('shared'),
  },
];

/** The row that a difference is in, null for one that nobody wants. */
export const whyWanted = (difference: Difference): Wanted | null =>
  wanted.find(({ holds }) => holds(difference)) ?? null;
