// PURE
// Requests that carry little more than an id.
import type { AttachRequest__Output } from '../../proto/generated/cri/runtime/v1/AttachRequest.ts';
import type { ExecRequest__Output } from '../../proto/generated/cri/runtime/v1/ExecRequest.ts';
import type { ExecSyncRequest__Output } from '../../proto/generated/cri/runtime/v1/ExecSyncRequest.ts';
import type { PortForwardRequest__Output } from '../../proto/generated/cri/runtime/v1/PortForwardRequest.ts';
import type { StopContainerRequest__Output } from '../../proto/generated/cri/runtime/v1/StopContainerRequest.ts';
import type { UpdateContainerResourcesRequest__Output } from '../../proto/generated/cri/runtime/v1/UpdateContainerResourcesRequest.ts';
import type { UpdatePodSandboxResourcesRequest__Output } from '../../proto/generated/cri/runtime/v1/UpdatePodSandboxResourcesRequest.ts';
import type {
  ById,
  PortForward,
  StatusRequest,
  StreamedContainer,
  UpdateContainerResources,
  UpdateSandboxResources,
} from '../verbs.ts';
import { commandLine, integerIn, items, name, refuse, required, textMap } from './fields.ts';
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

/** AttachRequest. A terminal has one output only, and a session without any stream is a mistake. */
export function decodeAttach(from: AttachRequest__Output): StreamedContainer {
  const { tty, stdin, stdout, stderr } = from;
  if (tty && stderr) refuse('stderr', 'is set beside tty, and a terminal has one output only');
  if (!stdin && !stdout && !stderr) refuse('stdout', 'is not set, nor is stdin or stderr');
  return { ...containerById(from), tty, stdin, stdout, stderr };
}

/** ExecRequest. */
export function decodeExec(from: ExecRequest__Output): StreamedContainer & { readonly command: readonly string[] } {
  if (from.cmd.length === 0) refuse('cmd', 'is empty');
  return { ...decodeAttach(from), command: commandLine('cmd', from.cmd) };
}

/** PortForwardRequest. */
export const decodePortForward = (from: PortForwardRequest__Output): PortForward => ({
  ...sandboxById(from),
  ports: items('port', from.port, (field, port) => integerIn(field, port, [1, 65_535])),
});

/** UpdateContainerResourcesRequest. */
export const decodeUpdate = (from: UpdateContainerResourcesRequest__Output): UpdateContainerResources => ({
  ...containerById(from),
  resources: required('linux', decodeResources('linux', from.linux)),
  annotations: textMap('annotations', from.annotations),
});

/** UpdatePodSandboxResourcesRequest. */
export const decodeSandboxUpdate = (from: UpdatePodSandboxResourcesRequest__Output): UpdateSandboxResources => ({
  ...sandboxById(from),
  overhead: decodeResources('overhead', from.overhead),
  resources: decodeResources('resources', from.resources),
});
