// PURE
// Container events to answers.
import type { ContainerEventResponse } from '../../proto/generated/cri/runtime/v1/ContainerEventResponse.ts';
import type { ContainerEvent } from '../verbs.ts';
import { encodeContainerStatus } from './container.ts';
import { encodeSandboxState } from './sandbox.ts';

const types = {
  created: 'CONTAINER_CREATED_EVENT',
  started: 'CONTAINER_STARTED_EVENT',
  stopped: 'CONTAINER_STOPPED_EVENT',
  deleted: 'CONTAINER_DELETED_EVENT',
} as const satisfies Record<ContainerEvent['type'], string>;

/** ContainerEventResponse. */
export const encodeEvent = (from: ContainerEvent): ContainerEventResponse => ({
  container_id: from.containerId,
  container_event_type: types[from.type],
  created_at: String(from.createdAt),
  pod_sandbox_status: encodeSandboxState(from.sandbox),
  containers_statuses: from.containers.map(encodeContainerStatus),
});
