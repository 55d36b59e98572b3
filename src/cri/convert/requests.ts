// PURE
// Requests that carry little more than an id.
import type { ExecSyncRequest__Output } from '../../proto/generated/cri/runtime/v1/ExecSyncRequest.ts';
import type { StopContainerRequest__Output } from '../../proto/generated/cri/runtime/v1/StopContainerRequest.ts';
import type { UpdateContainerResourcesRequest__Output } from '../../proto/generated/cri/runtime/v1/UpdateContainerResourcesRequest.ts';
import type { ById, StatusRequest, UpdateContainerResources } from '../verbs.ts';
import { commandLine, name, refuse, required, textMap } from './fields.ts';
import { decodeResources } from './resources.ts';

/** A request about a container. */
export const containerById = (from: { readonly container_id: string }): ById => ({
  id: name('container_id', from.container_id),
});

/** A request about a sandbox. */
export const sandboxById = (from: { readonly pod_sandbox_id: string }): ById => ({
  id: name('pod_sandbox_id', from.pod_sandbox_id),
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

/** Seconds of a request in milliseconds; what no timer holds counts as the longest it does. */
function milliseconds(field: string, text: string): number {
  const seconds = Number(text);
  return seconds < 0 ? refuse(field, `is negative: ${text}`) : Math.min(seconds * 1000, Number.MAX_SAFE_INTEGER);
}

/** StopContainerRequest. */
export const decodeStop = (from: StopContainerRequest__Output): ById & { readonly timeoutMs: number } => ({
  ...containerById(from),
  timeoutMs: milliseconds('timeout', from.timeout),
});

/** ExecSyncRequest. */
export function decodeExecSync(
  from: ExecSyncRequest__Output,
): ById & { command: readonly string[]; timeoutMs: number } {
  if (from.cmd.length === 0) refuse('cmd', 'is empty');
  return {
    ...containerById(from),
    command: commandLine('cmd', from.cmd),
    timeoutMs: milliseconds('timeout', from.timeout),
  };
}

/** UpdateContainerResourcesRequest. */
export const decodeUpdate = (from: UpdateContainerResourcesRequest__Output): UpdateContainerResources => ({
  ...containerById(from),
  resources: required('linux', decodeResources('linux', from.linux)),
  annotations: textMap('annotations', from.annotations),
});
