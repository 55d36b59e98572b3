// PURE
// Requests that carry little more than an id.
import type { ExecSyncRequest__Output } from '../../proto/generated/cri/runtime/v1/ExecSyncRequest.ts';
import type { StopContainerRequest__Output } from '../../proto/generated/cri/runtime/v1/StopContainerRequest.ts';
import type { UpdateContainerResourcesRequest__Output } from '../../proto/generated/cri/runtime/v1/UpdateContainerResourcesRequest.ts';
import type { ById, StatusRequest, UpdateContainerResources } from '../verbs.ts';
import { noNul, nonEmpty, refuse, required } from './fields.ts';
import { decodeResources } from './resources.ts';

/** A request about a container. */
export const containerById = (from: { readonly container_id: string }): ById => ({
  id: nonEmpty('container_id', from.container_id),
});

/** A request about a sandbox. */
export const sandboxById = (from: { readonly pod_sandbox_id: string }): ById => ({
  id: nonEmpty('pod_sandbox_id', from.pod_sandbox_id),
});

/** ContainerStatusRequest. */
export const containerStatusRequest = (from: {
  readonly container_id: string;
  readonly verbose: boolean;
}): StatusRequest => ({
  ...containerById(from),
  verbose: from.verbose,
});

/** PodSandboxStatusRequest. */
export const sandboxStatusRequest = (from: {
  readonly pod_sandbox_id: string;
  readonly verbose: boolean;
}): StatusRequest => ({
  ...sandboxById(from),
  verbose: from.verbose,
});

/** Seconds of a request in milliseconds; negative counts as 0, and what no timer holds as the longest it does. */
function milliseconds(text: string): number {
  const seconds = Math.max(0, Number(text));
  return Math.min(seconds * 1000, Number.MAX_SAFE_INTEGER);
}

/** StopContainerRequest. */
export const decodeStop = (from: StopContainerRequest__Output): ById & { readonly timeoutMs: number } => ({
  ...containerById(from),
  timeoutMs: milliseconds(from.timeout),
});

/** ExecSyncRequest. */
export function decodeExecSync(
  from: ExecSyncRequest__Output,
): ById & { command: readonly string[]; timeoutMs: number } {
  if (from.cmd.length === 0) refuse('cmd', 'is empty');
  if (Number(from.timeout) < 0) refuse('timeout', `is negative: ${from.timeout}`);
  return {
    ...containerById(from),
    command: from.cmd.map((word, i) => noNul(`cmd[${i}]`, word)),
    timeoutMs: milliseconds(from.timeout),
  };
}

/** UpdateContainerResourcesRequest. */
export const decodeUpdate = (from: UpdateContainerResourcesRequest__Output): UpdateContainerResources => ({
  ...containerById(from),
  resources: required('linux', decodeResources('linux', from.linux)),
  annotations: from.annotations,
});
