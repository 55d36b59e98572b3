// PURE
// CheckpointContainer, CheckpointPod and RestorePod: their requests, and what the answer of the last is.
import type { CheckpointContainerRequest__Output } from '../../proto/generated/cri/runtime/v1/CheckpointContainerRequest.ts';
import type { CheckpointPodRequest__Output } from '../../proto/generated/cri/runtime/v1/CheckpointPodRequest.ts';
import type { RestorePodRequest__Output } from '../../proto/generated/cri/runtime/v1/RestorePodRequest.ts';
import type { RestorePodResponse } from '../../proto/generated/cri/runtime/v1/RestorePodResponse.ts';
import type { CheckpointContainer, CheckpointPod, RestoredPod, RestorePod } from '../verbs.ts';
import { decodeContainerConfig } from './container.ts';
import { absolutePath, decodeHandler, items, nonEmpty, refuse } from './fields.ts';
import { containerById, sandboxById } from './requests.ts';
import { decodeSandboxConfig } from './sandbox.ts';

/** CheckpointContainerRequest. */
export function decodeCheckpointContainer(from: CheckpointContainerRequest__Output): CheckpointContainer {
  if (Number(from.timeout) < 0) refuse('timeout', `is negative: ${from.timeout}`);
  return {
    ...containerById(from),
    location: absolutePath('location', from.location),
    timeoutMs: Math.min(Number(from.timeout) * 1000, Number.MAX_SAFE_INTEGER),
  };
}

/** Options that are known, with their defaults (docs/checkpoint.md). */
function flags<K extends string>(
  given: Readonly<Record<string, string>>,
  known: Record<K, boolean>,
): Record<K, boolean> {
  const result = { ...known };
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(known, key))
      refuse('options', `has ${JSON.stringify(key)}, which is not one of ${Object.keys(known).join(', ')}`);
    if (value !== 'true' && value !== 'false')
      refuse(`options[${JSON.stringify(key)}]`, 'is neither "true" nor "false"');
    result[key as K] = value === 'true';
  }
  return result;
}

/** CheckpointPodRequest. */
export function decodeCheckpointPod(from: CheckpointPodRequest__Output): CheckpointPod {
  const outputPath = absolutePath('output_path', from.output_path);
  if (from.container_ids.length === 0) refuse('container_ids', 'is empty');
  const containerIds = items('container_ids', from.container_ids, nonEmpty);
  const twice = containerIds.findIndex((id, at) => containerIds.indexOf(id) !== at);
  if (twice >= 0) refuse(`container_ids[${twice}]`, 'is there twice');
  const options = flags(from.options, { 'tcp-established': true, 'external-unix-sockets': false, 'file-locks': true });
  return {
    sandboxId: sandboxById(from).id,
    outputPath,
    containerIds,
    choices: {
      tcpEstablished: options['tcp-established'],
      tcpClose: false,
      externalUnixSockets: options['external-unix-sockets'],
      fileLocks: options['file-locks'],
    },
  };
}

/** RestorePodRequest. */
export const decodeRestorePod = (from: RestorePodRequest__Output): RestorePod => ({
  checkpointPath: absolutePath('checkpoint_path', from.checkpoint_path),
  runtimeHandler: decodeHandler('runtime_handler', from.runtime_handler),
  tcpClose: flags(from.options, { 'tcp-close': false })['tcp-close'],
  config: decodeSandboxConfig(from.config),
  containerConfigs: items('container_configs', from.container_configs, (_, config) => decodeContainerConfig(config)),
});

/** RestorePodResponse. */
export const encodeRestoredPod = ({ sandboxId, containers }: RestoredPod): RestorePodResponse => ({
  pod_sandbox_id: sandboxId,
  restored_containers: containers.map(({ name, id }) => ({ name, container_id: id })),
});
