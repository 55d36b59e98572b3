// PURE
// What a container and its pod's user namespace ask of each other. Must not decide what a sandbox may have.
import { invalidArgument } from '../lib/failure.ts';
import { sameValue } from '../lib/same-value.ts';
import type { OciIdMaps } from '../oci/types.ts';
import type { ResolvedUser } from '../oci/user.ts';
import type { IdMapping, Sandbox, UserNamespace } from '../sandbox/sandbox.ts';
import type { ContainerConfig } from './container.ts';

const options = 'config.linux.security_context.namespace_options';

/** The user namespace of a pod, null for the host's. */
export const userNamespaceOf = (sandbox: Sandbox): UserNamespace | null =>
  sandbox.identity.config.security.namespaces.userns ?? null;

/** Refuses a config that says otherwise than its sandbox; throws invalid-argument naming the field. */
export function checkUserNamespace(config: ContainerConfig, sandbox: Sandbox): void {
  const pods = userNamespaceOf(sandbox);
  const { userns, pid } = config.security.namespaces;
  if (userns !== undefined && !sameValue(userns, pods)) {
    throw invalidArgument(`${options}.userns_options is not that of sandbox ${sandbox.identity.id}`);
  }
  if (pods !== null && pid === 'node') {
    throw invalidArgument(`${options}.pid: NODE is not possible in a pod with a user namespace`);
  }
  for (const [at, mount] of config.mounts.entries()) {
    const field = `config.mounts[${at}]`;
    if (mount.ids !== undefined && !sameValue(mount.ids, pods)) {
      throw invalidArgument(`${field}.uidMappings and gidMappings are not those of the pod's user namespace`);
    }
    if (pods !== null && mount.propagation === 'bidirectional') {
      throw invalidArgument(`${field}.propagation: BIDIRECTIONAL is not possible in a pod with a user namespace`);
    }
  }
}

/** Refuses a user that the pod does not have; throws invalid-argument naming the id. */
export function checkUser(user: ResolvedUser, pods: UserNamespace | null): void {
  if (pods === null) return;
  const refuse = (what: string, id: number, { length }: IdMapping): void => {
    if (id < length) return;
    throw invalidArgument(`${what} ${id} is not mapped in the pod's user namespace, which has ids 0 to ${length - 1}`);
  };
  refuse('user', user.uid, pods.uids);
  for (const gid of [user.gid, ...user.groups]) refuse('group', gid, pods.gids);
}

const line = ({ containerId, hostId, length }: IdMapping) => [
  { containerID: containerId, hostID: hostId, size: length },
];

/** The ids as the spec has them. */
export const ociIds = (userns: UserNamespace | null): OciIdMaps | null =>
  userns && { uidMappings: line(userns.uids), gidMappings: line(userns.gids) };
