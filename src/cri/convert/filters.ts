// PURE
// Filters of list and stats requests. An absent filter, "" and {} match everything.
import type { ContainerFilter, ContainerState } from '../../container/container.ts';
import type { SandboxFilter } from '../../sandbox/sandbox.ts';
import type { ContainerFilter__Output } from '../../proto/generated/cri/runtime/v1/ContainerFilter.ts';
import type { ContainerStatsFilter__Output } from '../../proto/generated/cri/runtime/v1/ContainerStatsFilter.ts';
import type { PodSandboxFilter__Output } from '../../proto/generated/cri/runtime/v1/PodSandboxFilter.ts';
import type { PodSandboxStatsFilter__Output } from '../../proto/generated/cri/runtime/v1/PodSandboxStatsFilter.ts';
import type { UsageFilter } from '../usage.ts';
import { known } from './fields.ts';

const sandboxStates = { SANDBOX_READY: 'ready', SANDBOX_NOTREADY: 'not-ready' } as const;

/** PodSandboxFilter. */
export const decodeSandboxFilter = (from: PodSandboxFilter__Output | null): SandboxFilter => ({
  id: from?.id ?? '',
  // a wrapper message: READY is the proto's zero, so only its presence says that a state is asked for
  state: from?.state ? known('filter.state.state', sandboxStates, from.state.state) : null,
  labels: from?.label_selector ?? {},
});

const containerStates = {
  CONTAINER_CREATED: 'created',
  CONTAINER_RUNNING: 'running',
  CONTAINER_EXITED: 'exited',
  CONTAINER_UNKNOWN: 'unknown',
} as const satisfies Record<string, ContainerState>;

/** ContainerFilter. */
export const decodeContainerFilter = (from: ContainerFilter__Output | null): ContainerFilter => ({
  id: from?.id ?? '',
  podSandboxId: from?.pod_sandbox_id ?? '',
  state: from?.state ? known('filter.state.state', containerStates, from.state.state) : null,
  labels: from?.label_selector ?? {},
});

/** ContainerStatsFilter and PodSandboxStatsFilter. */
export const decodeUsageFilter = (
  from: ContainerStatsFilter__Output | PodSandboxStatsFilter__Output | null,
): UsageFilter => ({
  id: from?.id ?? '',
  podSandboxId: from !== null && 'pod_sandbox_id' in from ? from.pod_sandbox_id : '',
  labels: from?.label_selector ?? {},
});
