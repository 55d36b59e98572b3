// Writable layers that have reached their limit, as news: the kernel only fails the write. Must not hold anything up.
import { type Container, containerState } from '../container/container.ts';
import { diskLimit } from '../container/disk-limit.ts';
import type { News } from '../kube/news.ts';
import type { Images } from './images.ts';
import type { Pods } from './live.ts';

/** How often layers with a limit are looked at, in milliseconds. */
export const lookMs = 30_000;
/** A layer is full at this part of its limit: the rest may be less than one write. Below the other it is not any more. */
const full = 0.99;
const roomy = 0.9;

export interface DiskParts {
  readonly pods: {
    readonly sandboxes: Pick<Pods['sandboxes'], 'get'>;
    readonly containers: Pick<Pods['containers'], 'get' | 'list'>;
    readonly createPorts: Pick<Pods['createPorts'], 'diskLimits'>;
  };
  readonly images: { readonly storage: { readonly snapshots: Pick<Images['storage']['snapshots'], 'usage'> } };
  readonly tell: (news: News) => void;
  /** Told once of each container whose layer cannot be looked at, until it can. */
  readonly onError: (error: unknown, containerId: string) => void;
}

/** Looks at the layers that have limits, and tells of each once until it has room again; answers what ends that. */
export function watchDisks({ pods, images, tell, onError }: DiskParts, everyMs = lookMs): () => void {
  const told = new Set<string>();
  const unread = new Set<string>();
  const limitOf = ({ identity }: Container): number | null => {
    const sandbox = pods.sandboxes.get(identity.sandboxId);
    return sandbox
      ? diskLimit(identity.config, sandbox, pods.createPorts.diskLimits(sandbox.identity.runtimeHandler))
      : null;
  };
  const look = async (container: Container): Promise<void> => {
    const { id, sandboxId, config } = container.identity;
    const limitBytes = limitOf(container);
    if (limitBytes === null) return;
    const { bytes: usedBytes } = await images.storage.snapshots.usage(id);
    if (usedBytes < limitBytes * roomy) told.delete(id);
    const pod = pods.sandboxes.get(sandboxId)?.identity.config.metadata;
    if (usedBytes < limitBytes * full || told.has(id) || !pod) return;
    told.add(id);
    const { namespace, name, uid } = pod;
    tell({ type: 'disk-full', pod: { namespace, name, uid }, container: config.metadata.name, usedBytes, limitBytes });
  };
  const tryLook = async (container: Container): Promise<void> => {
    const { id } = container.identity;
    try {
      await look(container);
      unread.delete(id);
    } catch (error) {
      // it may have gone with its layer meanwhile; the others are looked at all the same
      const now = pods.containers.get(id);
      if (!now || containerState(now) !== 'running' || unread.has(id)) return;
      unread.add(id);
      onError(error, id);
    }
  };
  let busy = false;
  const round = async (): Promise<void> => {
    if (busy) return; // a disk that answers late is not asked more often
    busy = true;
    try {
      for (const known of [told, unread]) for (const id of known) if (!pods.containers.get(id)) known.delete(id);
      for (const container of pods.containers.list())
        if (containerState(container) === 'running') await tryLook(container);
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void round(), everyMs).unref();
  return () => clearInterval(timer);
}
