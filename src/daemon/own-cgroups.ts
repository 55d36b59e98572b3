// Our own part of the cgroup tree, taken away at the very end.
import type { Cgroups } from '../cgroup/cgroup.ts';
import { Failure } from '../lib/failure.ts';

const leaveMs = 3000;

/** Takes it away once nobody is in it: monitors leave shortly after their answer. */
export async function removeOwnCgroups(cgroups: Cgroups): Promise<void> {
  const until = Date.now() + leaveMs;
  while ((await processesIn(cgroups, cgroups.own.root)) > 0) {
    if (Date.now() > until) return; // another daemon's pods live there: the last one removes it
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await cgroups.remove([cgroups.own.root]);
}

async function processesIn(cgroups: Cgroups, path: string): Promise<number> {
  try {
    return (await cgroups.procs(path)).length;
  } catch (error) {
    if (error instanceof Failure && error.kind === 'not-found') return 0;
    throw error;
  }
}
