// PURE
// Containers: requests to domain values, domain values to answers.
import {
  type Container as ContainerValue,
  type ContainerConfig,
  type ContainerDevice,
  type ContainerImage,
  type ContainerMetadata,
  type ContainerMount,
  containerState,
} from '../../container/container.ts';
import { parseDeviceName } from '../../cdi/names.ts';
import type { CDIDevice__Output } from '../../proto/generated/cri/runtime/v1/CDIDevice.ts';
import type { Container } from '../../proto/generated/cri/runtime/v1/Container.ts';
import type { ContainerConfig__Output } from '../../proto/generated/cri/runtime/v1/ContainerConfig.ts';
import type { ContainerMetadata__Output } from '../../proto/generated/cri/runtime/v1/ContainerMetadata.ts';
import type { ContainerStatus } from '../../proto/generated/cri/runtime/v1/ContainerStatus.ts';
import type { Device__Output } from '../../proto/generated/cri/runtime/v1/Device.ts';
import type { ImageSpec, ImageSpec__Output } from '../../proto/generated/cri/runtime/v1/ImageSpec.ts';
import type { Mount, Mount__Output } from '../../proto/generated/cri/runtime/v1/Mount.ts';
import { wrongMountOption } from '../../oci/mount-options.ts';
import {
  absolutePath,
  argument,
  argumentList,
  commandLine,
  decodeHandler,
  items,
  known,
  name,
  oneLine,
  path,
  refuse,
  required,
  textMap,
  utf8Text,
} from './fields.ts';
import { decodeResources, encodeResources } from './resources.ts';
import { decodeContainerSecurity } from './security.ts';
import { decodeSignal, encodeSignal } from './signals.ts';
import { decodeMountIds, encodeMountIds } from './user-namespace.ts';

/** ContainerConfig of CreateContainer. Throws invalid-argument naming the field that is wrong. */
export function decodeContainerConfig(message: ContainerConfig__Output | null): ContainerConfig {
  const from = required('config', message);
  if (from.linux === null && from.windows !== null) refuse('config.windows', 'is set without config.linux');
  return {
    metadata: decodeMetadata('config.metadata', from.metadata),
    image: decodeImage('config.image', from.image),
    command: commandLine('config.command', from.command),
    args: argumentList('config.args', from.args),
    workingDir: path('config.working_dir', from.working_dir),
    env: items('config.envs', from.envs, decodeEnv),
    mounts: items('config.mounts', from.mounts, decodeMount),
    devices: items('config.devices', from.devices, decodeDevice),
    cdiDevices: items('config.CDI_devices', from.CDI_devices, decodeCdiDevice),
    labels: textMap('config.labels', from.labels),
    annotations: textMap('config.annotations', from.annotations),
    logPath: decodeLogPath('config.log_path', from.log_path),
    stdin: from.stdin,
    stdinOnce: from.stdin_once,
    tty: from.tty,
    resources: decodeResources('config.linux.resources', from.linux?.resources ?? null),
    security: decodeContainerSecurity('config.linux.security_context', from.linux?.security_context ?? null),
    stopSignal: decodeSignal('config.stop_signal', from.stop_signal),
  };
}

function decodeMetadata(field: string, message: ContainerMetadata__Output | null): ContainerMetadata {
  const from = required(field, message);
  return { name: name(`${field}.name`, from.name), attempt: from.attempt };
}

function decodeImage(field: string, message: ImageSpec__Output | null): ContainerImage {
  const { image, user_specified_image, runtime_handler, annotations } = required(field, message);
  return {
    image: name(`${field}.image`, image),
    userSpecifiedImage: oneLine(`${field}.user_specified_image`, user_specified_image),
    runtimeHandler: decodeHandler(`${field}.runtime_handler`, runtime_handler),
    annotations: textMap(`${field}.annotations`, annotations),
  };
}

/** Only the form: whether there is such a device is seen when the container is made. */
const decodeCdiDevice = (field: string, { name: text }: CDIDevice__Output): string =>
  parseDeviceName(`${field}.name`, name(`${field}.name`, text)).text;

function decodeEnv(field: string, from: ContainerConfig__Output['envs'][number]): ContainerConfig['env'][number] {
  const key = name(`${field}.key`, from.key);
  if (key.includes('=')) refuse(`${field}.key`, 'contains "="');
  // with its key and "=" it is one word of execve(2)
  const value = argument(`${field}.value`, utf8Text(`${field}.value`, from.value));
  argument(field, `${key}=${value}`);
  return { key, value };
}

const propagations = {
  PROPAGATION_PRIVATE: 'private',
  PROPAGATION_HOST_TO_CONTAINER: 'host-to-container',
  PROPAGATION_BIDIRECTIONAL: 'bidirectional',
} as const;
const propagationNames = {
  private: 'PROPAGATION_PRIVATE',
  'host-to-container': 'PROPAGATION_HOST_TO_CONTAINER',
  bidirectional: 'PROPAGATION_BIDIRECTIONAL',
} as const satisfies Record<ContainerMount['propagation'], string>;

function decodeMount(field: string, from: Mount__Output): ContainerMount {
  const propagation = known(`${field}.propagation`, propagations, from.propagation);
  const mountOptions = items(`${field}.mount_options`, from.mount_options, oneLine);
  const wrong = wrongMountOption(mountOptions);
  if (wrong !== null) refuse(`${field}.mount_options[${wrong.at}]`, wrong.why);
  if (from.recursive_read_only && !from.readonly) refuse(`${field}.recursive_read_only`, 'is set without readonly');
  if (from.recursive_read_only && propagation !== 'private') {
    refuse(`${field}.recursive_read_only`, `is set with ${from.propagation}`);
  }
  return {
    containerPath: absolutePath(`${field}.container_path`, from.container_path),
    ...decodeSource(field, from),
    readonly: from.readonly,
    selinuxRelabel: from.selinux_relabel,
    propagation,
    recursiveReadOnly: from.recursive_read_only,
    mountOptions,
    ...decodeMountIds(field, from),
  };
}

/** A host path or an image, which exclude each other. */
function decodeSource(field: string, from: Mount__Output): Pick<ContainerMount, 'hostPath' | 'image' | 'imageSubPath'> {
  if (from.image === null) {
    if (from.image_sub_path !== '') refuse(`${field}.image_sub_path`, 'is set without image');
    return { hostPath: absolutePath(`${field}.host_path`, from.host_path), image: null, imageSubPath: '' };
  }
  if (from.host_path !== '') refuse(`${field}.host_path`, 'is set beside image');
  if (from.propagation !== 'PROPAGATION_PRIVATE') refuse(`${field}.propagation`, 'of an image can only be private');
  const imageSubPath = path(`${field}.image_sub_path`, from.image_sub_path);
  return { hostPath: '', image: decodeImage(`${field}.image`, from.image), imageSubPath };
}

function decodeDevice(field: string, from: Device__Output): ContainerDevice {
  if (!/^[rwm]{1,3}$/.test(from.permissions) || new Set(from.permissions).size < from.permissions.length)
    refuse(`${field}.permissions`, 'is not made of r, w and m, each once at most');
  return {
    hostPath: absolutePath(`${field}.host_path`, from.host_path),
    containerPath:
      from.container_path === '' ? from.host_path : absolutePath(`${field}.container_path`, from.container_path),
    permissions: from.permissions,
  };
}

/** Relative to the sandbox's log_directory, and staying inside it. */
function decodeLogPath(field: string, value: string): string {
  path(field, value);
  if (value.startsWith('/')) refuse(field, `${JSON.stringify(value)} is not relative to the log_directory`);
  if (value.split('/').includes('..')) refuse(field, `${JSON.stringify(value)} leaves the log_directory`);
  return value;
}

const stateNames = {
  created: 'CONTAINER_CREATED',
  running: 'CONTAINER_RUNNING',
  exited: 'CONTAINER_EXITED',
  unknown: 'CONTAINER_UNKNOWN',
} as const;

const encodeImage = ({ image, userSpecifiedImage, runtimeHandler, annotations }: ContainerImage): ImageSpec => ({
  image,
  annotations,
  user_specified_image: userSpecifiedImage,
  runtime_handler: runtimeHandler,
});

const encodeMount = (from: ContainerMount, imageRef: string): Mount => ({
  container_path: from.containerPath,
  host_path: from.hostPath,
  image: from.image ? { ...encodeImage(from.image), image_ref: imageRef } : null,
  image_sub_path: from.imageSubPath,
  mount_options: [...(from.mountOptions ?? [])],
  readonly: from.readonly,
  selinux_relabel: from.selinuxRelabel,
  propagation: propagationNames[from.propagation],
  recursive_read_only: from.recursiveReadOnly,
  ...encodeMountIds(from.ids),
});

/** Container of ListContainers. */
export function encodeContainer(container: ContainerValue): Container {
  const { identity } = container;
  const { config } = identity;
  return {
    id: identity.id,
    pod_sandbox_id: identity.sandboxId,
    metadata: { name: config.metadata.name, attempt: config.metadata.attempt },
    image: encodeImage(config.image),
    image_ref: identity.imageRef,
    image_id: identity.imageId,
    state: stateNames[containerState(container)],
    created_at: String(identity.createdAt),
    labels: config.labels,
    annotations: config.annotations,
  };
}

/** ContainerStatus of ContainerStatus and PodSandboxStatus. */
export function encodeContainerStatus(container: ContainerValue): ContainerStatus {
  const { identity, status } = container;
  const { config } = identity;
  return {
    id: identity.id,
    metadata: { name: config.metadata.name, attempt: config.metadata.attempt },
    state: stateNames[containerState(container)],
    created_at: String(identity.createdAt),
    started_at: String(status.startedAt),
    finished_at: String(status.exit?.finishedAt ?? 0n),
    exit_code: status.exit?.exitCode ?? 0,
    reason: status.exit?.reason ?? '',
    message: status.exit?.message ?? '',
    image: encodeImage(config.image),
    image_ref: identity.imageRef,
    image_id: identity.imageId,
    labels: config.labels,
    annotations: config.annotations,
    // the kubelet finds the termination message file by these
    mounts: config.mounts.map((mount, at) =>
      encodeMount(mount, identity.imageVolumes?.find((volume) => volume.mount === at)?.imageRef ?? ''),
    ),
    log_path: identity.logPath,
    resources: status.resources === null ? null : { linux: encodeResources(status.resources) },
    user: {
      linux: {
        uid: status.user.uid,
        gid: status.user.gid,
        supplemental_groups: [...status.user.supplementalGroups],
      },
    },
    stop_signal: encodeSignal(identity.stopSignal),
  };
}
