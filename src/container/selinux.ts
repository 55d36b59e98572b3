// PURE
// A container's SELinux contexts: what of its config counts, and which mount sources are given its own.
import { cleanPath } from '../oci/mounts.ts';
import type { Sandbox, SelinuxLabels, SelinuxOptions } from '../sandbox/sandbox.ts';
import type { ContainerConfig, ContainerIdentity } from './container.ts';
import type { RelabelRequest } from './ports.ts';

/** What decides a container's contexts besides its pod's. */
export interface LabelWish {
  readonly options: SelinuxOptions | null;
  readonly podOptions: SelinuxOptions | null;
  readonly privileged: boolean;
  /** It is in the host's pid or ipc namespace. */
  readonly hostNamespaces: boolean;
}

/** What a config asks for. */
export function labelWish({ security }: ContainerConfig, { identity }: Sandbox): LabelWish {
  const pod = identity.config.security;
  return {
    options: security.selinux,
    podOptions: pod.selinux,
    privileged: security.privileged,
    hostNamespaces: security.namespaces.pid === 'node' || pod.namespaces.ipc === 'node',
  };
}

/** The contexts that containers of a pod start from; null for none. gVisor's runsc refuses specs with any. */
export const podLabels = ({ identity }: Sandbox): SelinuxLabels | null =>
  identity.runtime?.type === 'runsc' ? null : (identity.selinux ?? null);

/** Containers of this type may do everything: their volumes keep the contexts they have, as with CRI-O. */
const superPrivileged = 'spc_t';

/** What no source of a mount may be, and what none may lie in. */
export interface RelabelLimits {
  readonly directories: readonly string[];
  readonly trees: readonly string[];
}

export interface RelabelInput {
  readonly identity: Pick<ContainerIdentity, 'config' | 'selinux'>;
  /** The pod's own files that the container has mounted. */
  readonly files: { readonly hosts: string; readonly hostname: string; readonly resolvConf: string };
  readonly limits: RelabelLimits;
}

/** The sources that are given the container's context before they are mounted; null for none. */
export function relabelRequest({ identity, files, limits }: RelabelInput): RelabelRequest | null {
  const { config, selinux } = identity;
  if (!selinux || selinux.mount === '') return null;
  const { process: own, mount: label } = selinux;
  const spared = own.split(':')[2] === superPrivileged;
  const taken = new Set(config.mounts.map(({ containerPath }) => cleanPath(containerPath)));
  const podFiles = { '/etc/hosts': files.hosts, '/etc/hostname': files.hostname, '/etc/resolv.conf': files.resolvConf };
  return {
    label,
    sources: spared ? [] : config.mounts.flatMap((m) => (m.selinuxRelabel && m.image === null ? [m.hostPath] : [])),
    files: Object.entries(podFiles).flatMap(([path, file]) => (taken.has(path) ? [] : [file])),
    refused: limits.directories,
    refusedTrees: limits.trees,
  };
}

/** As a spec has them: what is not given stays out. */
export const specLabels = (labels: SelinuxLabels | null | undefined): SelinuxLabels =>
  labels ?? { process: '', mount: '' };
