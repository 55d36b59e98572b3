// PURE
// Security contexts of sandboxes and containers: namespaces, users, profiles, capabilities.
import type { CapabilityOptions, ContainerSecurity } from '../../container/container.ts';
import type {
  NamespaceMode,
  NamespaceOptions,
  SandboxSecurity,
  SecurityProfile,
  SelinuxOptions,
} from '../../sandbox/sandbox.ts';
import type { Int64Value__Output } from '../../proto/generated/cri/runtime/v1/Int64Value.ts';
import type { LinuxContainerSecurityContext__Output } from '../../proto/generated/cri/runtime/v1/LinuxContainerSecurityContext.ts';
import type { LinuxSandboxSecurityContext__Output } from '../../proto/generated/cri/runtime/v1/LinuxSandboxSecurityContext.ts';
import type { NamespaceOption, NamespaceOption__Output } from '../../proto/generated/cri/runtime/v1/NamespaceOption.ts';
import type { SecurityProfile__Output } from '../../proto/generated/cri/runtime/v1/SecurityProfile.ts';
import { decodeUserNamespace, encodeUserNamespace } from './user-namespace.ts';
import { absolutePath, items, known, name, oneLine, refuse, userNumber } from './fields.ts';

const modes = { POD: 'pod', CONTAINER: 'container', NODE: 'node', TARGET: 'target' } as const;
const modeNames = { pod: 'POD', container: 'CONTAINER', node: 'NODE', target: 'TARGET' } as const;

/** Namespaces of a request; an absent message means all POD, the proto's zero. */
export function decodeNamespaces(field: string, from: NamespaceOption__Output | null): NamespaceOptions {
  if (from === null) return { network: 'pod', pid: 'pod', ipc: 'pod', targetId: '' };
  const pid = known(`${field}.pid`, modes, from.pid);
  if (pid === 'target' && from.target_id === '') refuse(`${field}.target_id`, 'is empty, but pid is TARGET');
  if (pid !== 'target' && from.target_id !== '') refuse(`${field}.target_id`, 'is set, but pid is not TARGET');
  return {
    network: podOrNode(`${field}.network`, known(`${field}.network`, modes, from.network)),
    pid,
    ipc: podOrNode(`${field}.ipc`, known(`${field}.ipc`, modes, from.ipc)),
    targetId: from.target_id,
    ...decodeUserNamespace(`${field}.userns_options`, from.userns_options),
  };
}

function podOrNode(field: string, mode: NamespaceMode): NamespaceMode {
  return mode === 'pod' || mode === 'node'
    ? mode
    : refuse(field, `${modeNames[mode]} is not possible: only POD and NODE`);
}

/** Namespaces of an answer. */
export const encodeNamespaces = (from: NamespaceOptions): NamespaceOption => ({
  network: modeNames[from.network],
  pid: modeNames[from.pid],
  ipc: modeNames[from.ipc],
  target_id: from.targetId,
  userns_options: encodeUserNamespace(from.userns ?? null),
});

const profileTypes = { RuntimeDefault: 'runtime-default', Unconfined: 'unconfined', Localhost: 'localhost' } as const;

type Profiled = { readonly field: string; readonly profile: SecurityProfile__Output | null };

function decodeProfile({ field, profile }: Profiled): SecurityProfile | null {
  if (profile === null) return null;
  const type = known(`${field}.profile_type`, profileTypes, profile.profile_type);
  if (type === 'localhost') name(`${field}.localhost_ref`, profile.localhost_ref);
  else if (profile.localhost_ref !== '')
    refuse(`${field}.localhost_ref`, `is set, but profile_type is ${profile.profile_type}`);
  return { type, localhostRef: profile.localhost_ref };
}

/** The profile as a deprecated text says it: "", runtime/default, docker/default, unconfined, localhost/<ref>. */
export function decodeProfileText(field: string, text: string): SecurityProfile | null {
  if (text === '') return null;
  if (text === 'runtime/default' || text === 'docker/default') return { type: 'runtime-default', localhostRef: '' };
  if (text === 'unconfined') return { type: 'unconfined', localhostRef: '' };
  if (!text.startsWith('localhost/')) return refuse(field, `${JSON.stringify(text)} is not a profile`);
  return { type: 'localhost', localhostRef: name(field, text.slice('localhost/'.length)) };
}

/** Seccomp profile; the deprecated path counts when the new field is absent. */
function decodeSeccomp(field: string, profile: SecurityProfile__Output | null, text: string): SecurityProfile | null {
  const decoded =
    decodeProfile({ field: `${field}.seccomp`, profile }) ?? decodeProfileText(`${field}.seccomp_profile_path`, text);
  if (decoded?.type === 'localhost') absolutePath(`${field}.seccomp.localhost_ref`, decoded.localhostRef);
  return decoded;
}

const decodeId = (field: string, from: Int64Value__Output | null): number | null =>
  from === null ? null : userNumber(field, from.value);

const decodeGroups = (field: string, from: readonly string[]): number[] => items(field, from, userNumber);

const policies = { Merge: 'merge', Strict: 'strict' } as const;

const labelPart = /^[\w.-]{0,255}$/;
const categories = 'c\\d{1,4}(?:[.,]c\\d{1,4})*';
const labelLevel = new RegExp(`^(?:s\\d{1,3}(?::${categories})?(?:-s\\d{1,3}(?::${categories})?)?)?$`);

/** A part with a colon, a quote or a line break would be more than a part. */
function decodeSelinux(field: string, from: SelinuxOptions | null): SelinuxOptions | null {
  if (from === null) return null;
  const { user, role, type, level } = from;
  for (const [part, value] of Object.entries({ user, role, type })) {
    if (!labelPart.test(value)) refuse(`${field}.${part}`, `${JSON.stringify(value)} is no part of a SELinux context`);
  }
  if (!labelLevel.test(level)) refuse(`${field}.level`, `${JSON.stringify(level)} is no level such as "s0:c1,c2"`);
  return { user, role, type, level };
}

const nothing: SandboxSecurity = {
  namespaces: decodeNamespaces('', null),
  selinux: null,
  runAsUser: null,
  runAsGroup: null,
  readonlyRootfs: false,
  supplementalGroups: [],
  supplementalGroupsPolicy: 'merge',
  privileged: false,
  seccomp: null,
  apparmor: null,
};

/** LinuxSandboxSecurityContext; `field` is its path in the request. */
export function decodeSandboxSecurity(
  field: string,
  from: LinuxSandboxSecurityContext__Output | null,
): SandboxSecurity {
  if (from === null) return nothing;
  const runAsUser = decodeId(`${field}.run_as_user`, from.run_as_user);
  const runAsGroup = decodeId(`${field}.run_as_group`, from.run_as_group);
  if (runAsGroup !== null && runAsUser === null) refuse(`${field}.run_as_group`, 'is set without run_as_user');
  return {
    namespaces: decodeNamespaces(`${field}.namespace_options`, from.namespace_options),
    selinux: decodeSelinux(`${field}.selinux_options`, from.selinux_options),
    runAsUser,
    runAsGroup,
    readonlyRootfs: from.readonly_rootfs,
    supplementalGroups: decodeGroups(`${field}.supplemental_groups`, from.supplemental_groups),
    supplementalGroupsPolicy: known(`${field}.supplemental_groups_policy`, policies, from.supplemental_groups_policy),
    privileged: from.privileged,
    seccomp: decodeSeccomp(field, from.seccomp, from.seccomp_profile_path),
    apparmor: decodeProfile({ field: `${field}.apparmor`, profile: from.apparmor }),
  };
}

/** LinuxContainerSecurityContext; `field` is its path in the request. */
export function decodeContainerSecurity(
  field: string,
  from: LinuxContainerSecurityContext__Output | null,
): ContainerSecurity {
  if (from === null) {
    return {
      ...nothing,
      capabilities: null,
      runAsUsername: '',
      noNewPrivileges: false,
      maskedPaths: [],
      readonlyPaths: [],
    };
  }
  return {
    ...decodeUser(field, from),
    capabilities: decodeCapabilities(`${field}.capabilities`, from.capabilities),
    privileged: from.privileged,
    namespaces: decodeNamespaces(`${field}.namespace_options`, from.namespace_options),
    selinux: decodeSelinux(`${field}.selinux_options`, from.selinux_options),
    readonlyRootfs: from.readonly_rootfs,
    noNewPrivileges: from.no_new_privs,
    maskedPaths: items(`${field}.masked_paths`, from.masked_paths, absolutePath),
    readonlyPaths: items(`${field}.readonly_paths`, from.readonly_paths, absolutePath),
    seccomp: decodeSeccomp(field, from.seccomp, from.seccomp_profile_path),
    apparmor:
      decodeProfile({ field: `${field}.apparmor`, profile: from.apparmor }) ??
      decodeProfileText(`${field}.apparmor_profile`, from.apparmor_profile),
  };
}

type UserPart = Pick<
  ContainerSecurity,
  'runAsUser' | 'runAsUsername' | 'runAsGroup' | 'supplementalGroups' | 'supplementalGroupsPolicy'
>;

function decodeUser(field: string, from: LinuxContainerSecurityContext__Output): UserPart {
  const runAsUser = decodeId(`${field}.run_as_user`, from.run_as_user);
  const runAsUsername = oneLine(`${field}.run_as_username`, from.run_as_username);
  const runAsGroup = decodeId(`${field}.run_as_group`, from.run_as_group);
  if (runAsUser !== null && runAsUsername !== '') refuse(`${field}.run_as_username`, 'is set beside run_as_user');
  if (runAsGroup !== null && runAsUser === null && runAsUsername === '') {
    refuse(`${field}.run_as_group`, 'is set without run_as_user or run_as_username');
  }
  return {
    runAsUser,
    runAsUsername,
    runAsGroup,
    supplementalGroups: decodeGroups(`${field}.supplemental_groups`, from.supplemental_groups),
    supplementalGroupsPolicy: known(`${field}.supplemental_groups_policy`, policies, from.supplemental_groups_policy),
  };
}

function decodeCapabilities(
  field: string,
  from: LinuxContainerSecurityContext__Output['capabilities'],
): CapabilityOptions | null {
  if (from === null) return null;
  const names = (member: string, list: readonly string[]): readonly string[] => items(`${field}.${member}`, list, name);
  return {
    add: names('add_capabilities', from.add_capabilities),
    drop: names('drop_capabilities', from.drop_capabilities),
    addAmbient: names('add_ambient_capabilities', from.add_ambient_capabilities),
  };
}
