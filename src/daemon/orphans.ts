// How a start ends and takes away what no record tells of. Wires, decides little.
import { namedCgroups } from '../cgroup/named.ts';
import { ResultList } from '../lib/result-list.ts';
import type { RecoverPorts } from '../recovery/recover.ts';
import { cgroupTables } from '../state/processes.ts';
import type { Images } from './images.ts';
import type { Pods } from './live.ts';

export interface OrphanParts {
  readonly pods: {
    readonly files: Pick<Pods['files'], 'removeBundle' | 'removeSandboxFiles'>;
    readonly requests: Pick<Pods['requests'], 'removeContainer' | 'isAlive' | 'shutdown' | 'endUnknown'>;
    readonly releasePorts: {
      readonly cgroups: Pick<Pods['releasePorts']['cgroups'], 'kill' | 'remove'>;
      readonly netnsPin: (id: string) => string;
      readonly unpinNetns: (path: string) => Promise<void>;
    };
    readonly createPorts: Pick<Pods['createPorts'], 'cgroupPathOf'>;
    readonly runPorts: Pick<Pods['runPorts'], 'cgroupPathOf'>;
    readonly sandboxes: { readonly get: (id: string) => ReturnType<Pods['sandboxes']['get']> };
  };
  readonly images: { readonly storage: { readonly snapshots: Pick<Images['storage']['snapshots'], 'remove'> } };
}

type Ends = Pick<RecoverPorts, 'forgetContainer' | 'endOrphan' | 'removeSnapshot' | 'removeBundle'>;

const orphanMs = 20_000;

const ofAllProcesses = () => namedCgroups({ tables: () => cgroupTables(), elapsedMs: () => performance.now() });

/** The ends of all that can be found without a record. Each is total and idempotent. */
export function orphanEnds({ pods, images }: OrphanParts, cgroupsNamed = ofAllProcesses()): Ends {
  const { files, requests, releasePorts } = pods;
  const { cgroups } = releasePorts;

  /** Ends what bears that name in whichever cgroup a kubelet wanted it. Its monitor may be dead, or not know it. */
  async function endNamed(id: string, known: readonly string[] = []): Promise<void> {
    const paths = [...new Set([...known, ...cgroupsNamed(id)])];
    for (const path of paths) await cgroups.kill(path);
    await cgroups.remove(paths);
  }

  /** One that hangs is ended by force: nobody can want anything of it any more. */
  async function endMonitor(id: string): Promise<void> {
    try {
      await requests.shutdown(id, AbortSignal.timeout(orphanMs));
    } catch (error) {
      if (!(await requests.endUnknown(id))) throw error;
    }
  }

  return {
    /** Ends a container whose record was set aside, and frees what bears its name. */
    async forgetContainer(sandboxId, id) {
      // a sandbox that was stopped meanwhile has no monitor that could know it
      if (requests.isAlive(sandboxId)) await requests.removeContainer(sandboxId, id, AbortSignal.timeout(orphanMs));
      else await endNamed(id);
      const parent = pods.sandboxes.get(sandboxId)?.identity.cgroupPath;
      if (parent !== undefined) await cgroups.remove([pods.createPorts.cgroupPathOf(parent, id)]);
      await files.removeBundle(id);
    },
    /** Ends what is left of a sandbox. Its network is collected with all others that nobody has. */
    async endOrphan(id) {
      const results = new ResultList();
      await results.attempt('end its monitor', () => endMonitor(id));
      await results.attempt('end its processes', () => endNamed(id, [pods.runPorts.cgroupPathOf('', id).path]));
      await results.attempt('unpin its network namespace', () => releasePorts.unpinNetns(releasePorts.netnsPin(id)));
      // by these it is found again
      if (results.ok) await results.attempt('remove its files', () => files.removeSandboxFiles(id));
      results.throwIfAny(`end sandbox ${id}, which has no record`);
    },
    async removeSnapshot(id) {
      await endNamed(id);
      await images.storage.snapshots.remove(id);
    },
    async removeBundle(id) {
      await endNamed(id);
      await files.removeBundle(id);
    },
  };
}
