// ListContainers and ContainerStatus: from memory, without locks.
import { notFound } from '../lib/failure.ts';
import { labelsMatch } from '../lib/labels.ts';
import { type Container, type ContainerFilter, containerState } from './container.ts';
import type { ContainerRecords } from './ports.ts';

/** The containers that a filter lets through; those still in the making stay out of sight. */
export function listContainers(records: Pick<ContainerRecords, 'list'>, filter: ContainerFilter): Container[] {
  return records.list().filter((container) => {
    const { identity, status } = container;
    if (status.phase === 'creating') return false;
    if (filter.id !== '' && !identity.id.startsWith(filter.id)) return false;
    if (filter.podSandboxId !== '' && !identity.sandboxId.startsWith(filter.podSandboxId)) return false;
    if (filter.state !== null && filter.state !== containerState(container)) return false;
    return labelsMatch(identity.config.labels, filter.labels);
  });
}

/** One container. Throws not-found. */
export function findContainer(records: Pick<ContainerRecords, 'find'>, idOrPrefix: string): Container {
  const container = records.find(idOrPrefix);
  if (!container) throw notFound(`container ${idOrPrefix} does not exist`);
  return container;
}
