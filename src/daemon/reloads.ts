// Limits of containers after systemd has read its units again: files that it was not told of (memory.oom.group), and
// values that it rounds (cpu.max), have its own content then.
import type { Cgroups } from '../cgroup/cgroup.ts';
import { type Container, containerState } from '../container/container.ts';
import { cgroupResources } from '../container/ports.ts';
import { Failure } from '../lib/failure.ts';
import type { Log } from '../log.ts';

export interface ReloadParts {
  readonly cgroups: Pick<Cgroups, 'reloaded' | 'rewrite'>;
  readonly containers: { readonly list: () => Container[] };
  readonly log: Pick<Log, 'warn'>;
  /** Sleeps this many milliseconds without keeping the process alive. */
  readonly sleep: (ms: number) => Promise<void>;
}

/** How long it is left alone when it cannot be reached. */
const restMs = 10_000;

/** Writes them again after each reload, for as long as the daemon lives. With the cgroupfs driver it ends at once. */
export async function keepThroughReloads(parts: ReloadParts): Promise<void> {
  const { cgroups, log, sleep } = parts;
  for (;;) {
    const reloaded = cgroups.reloaded();
    if (reloaded === null) return;
    try {
      await reloaded;
    } catch (error) {
      log.warn({ error }, 'systemd cannot be watched for reloads');
      await sleep(restMs);
    }
    await rewriteAll(parts);
  }
}

async function rewriteAll({ cgroups, containers, log }: ReloadParts): Promise<void> {
  const running = containers.list().filter((one) => containerState(one) === 'running');
  for (const { identity, status } of running) {
    if (status.resources === null) continue;
    try {
      await cgroups.rewrite(identity.cgroupPath, cgroupResources(status.resources));
    } catch (error) {
      // it has ended meanwhile
      if (error instanceof Failure && error.kind === 'not-found') continue;
      log.warn({ error, containerId: identity.id }, 'limits of a container were not written again');
    }
  }
}
