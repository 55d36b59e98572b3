// Limits of containers after systemd has read its units again: files that it was not told of (memory.oom.group), and
// values that it rounds (cpu.max), have its own content then.
import type { Cgroups } from '../cgroup/cgroup.ts';
import { type Container, containerState, mayAct } from '../container/container.ts';
import { cgroupResources } from '../container/ports.ts';
import { Failure } from '../lib/failure.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import type { Log } from '../log.ts';

export interface ReloadParts {
  readonly cgroups: Pick<Cgroups, 'reloaded' | 'rewrite'>;
  readonly containers: { readonly list: () => Container[]; readonly get: (id: string) => Container | undefined };
  readonly locks: Pick<KeyedLock, 'run'>;
  readonly log: Pick<Log, 'warn'>;
  /** Sleeps this many milliseconds without keeping the process alive. */
  readonly sleep: (ms: number) => Promise<void>;
}

/** How long it is left alone when it cannot be reached. */
const restMs = 10_000;

/**
 * Writes them again now, as systemd may have read its units while no daemon ran, and after each reload, for as long as the
 * daemon lives. With the cgroupfs driver it ends at once.
 */
export async function keepThroughReloads(parts: ReloadParts): Promise<void> {
  const { cgroups, log, sleep } = parts;
  const rewriteAll = rewriting(parts);
  let reloaded = watched(cgroups);
  if (reloaded !== null) rewriteAll();
  while (reloaded !== null) {
    const failed = await reloaded;
    if (failed !== null) {
      log.warn({ error: failed.error }, 'systemd cannot be watched for reloads');
      await sleep(restMs);
    }
    // from now on: a reload while limits are written again undoes what has been written
    reloaded = watched(cgroups);
    rewriteAll();
  }
}

/** Settles with the next reload, or with what keeps it from being seen: nobody may wait for it for a while. */
const watched = (cgroups: ReloadParts['cgroups']): Promise<{ readonly error: unknown } | null> | null =>
  cgroups.reloaded()?.then(
    () => null,
    (error: unknown) => ({ error }),
  ) ?? null;

const never = new AbortController().signal;

/**
 * What begins to write limits of all containers again, each by itself: one may be held for as long as a start of it hangs.
 * At most one waits for each, for what counts is on record when its turn comes.
 */
function rewriting({ cgroups, containers, locks, log }: ReloadParts): () => void {
  const waiting = new Set<string>();
  const rewrite = async (id: string, cgroupPath: string): Promise<void> => {
    waiting.add(id);
    try {
      // an update may be under way
      await locks.run(`container ${id}`, never, async () => {
        waiting.delete(id);
        const now = containers.get(id);
        if (now && isLimited(now) && now.status.resources !== null)
          await cgroups.rewrite(cgroupPath, cgroupResources(now.status.resources));
      });
    } catch (error) {
      // it has ended meanwhile
      if (error instanceof Failure && error.kind === 'not-found') return;
      log.warn({ error, containerId: id }, 'limits of a container were not written again');
    }
  };
  return () => {
    for (const { identity } of containers.list().filter(isLimited))
      if (!waiting.has(identity.id)) void rewrite(identity.id, identity.cgroupPath);
  };
}

const isLimited = (one: Container): boolean => mayAct('update', containerState(one)) && one.status.resources !== null;
