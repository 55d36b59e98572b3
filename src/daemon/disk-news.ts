// Writable layers that have reached their limit, as news: the kernel only fails the write. Must not hold anything up.
import { type Container, containerState } from '../container/container.ts';
import { diskLimit } from '../container/disk-limit.ts';
import type { News } from '../kube/news.ts';
import type { Images } from './images.ts';
import type { Pods } from './live.ts';

/** How often layers with a limit are looked at, in milliseconds. */
const lookMs = 30_000;
/** A layer is full at this part of its limit: the rest may be less than one write. Below the other it is not any more. */
const full = 0.99;
const roomy = 0.9;

/** Looks at the layers that have limits, and tells of each once until it has room again; answers what ends that. */
export function watchDisks(
  { pods, images }: { readonly pods: Pods; readonly images: Images },
  tell: (news: News) => void,
  onError: (error: unknown) => void,
): () => void {
  const told = new Set<string>();
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
  let busy = false;
  const round = async (): Promise<void> => {
    if (busy) return; // a disk that answers late is not asked more often
    busy = true;
    try {
      for (const id of told) if (!pods.containers.get(id)) told.delete(id);
      for (const container of pods.containers.list())
        if (containerState(container) === 'running') await look(container);
    } catch (error) {
      onError(error);
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void round(), lookMs).unref();
  return () => clearInterval(timer);
}
