// PURE
// Version, Status and RuntimeConfig to answers.
import type { RuntimeConfigResponse } from '../../proto/generated/cri/runtime/v1/RuntimeConfigResponse.ts';
import type { StatusResponse } from '../../proto/generated/cri/runtime/v1/StatusResponse.ts';
import type { VersionResponse } from '../../proto/generated/cri/runtime/v1/VersionResponse.ts';
import type { RuntimeStatus, VersionInfo } from '../verbs.ts';

/** VersionResponse; "0.1.0" is the version of the kubelet's own runtime API, the same for every runtime. */
export const encodeVersion = (from: VersionInfo): VersionResponse => ({
  version: '0.1.0',
  runtime_name: from.runtimeName,
  runtime_version: from.runtimeVersion,
  runtime_api_version: 'v1',
});

/** StatusResponse; `info` only for a verbose request. */
export const encodeStatus = (from: RuntimeStatus, verbose: boolean): StatusResponse => ({
  status: { conditions: from.conditions.map((condition) => ({ ...condition })) },
  info: verbose ? from.info : {},
  runtime_handlers: from.handlers.map(({ name, recursiveReadOnlyMounts, userNamespaces }) => ({
    name,
    features: { recursive_read_only_mounts: recursiveReadOnlyMounts, user_namespaces: userNamespaces },
  })),
  features: {
    supplemental_groups_policy: from.supplementalGroupsPolicy,
    user_namespaces_host_network: from.userNamespacesHostNetwork,
    mount_options: from.mountOptions,
  },
});

const drivers = { systemd: 'SYSTEMD', cgroupfs: 'CGROUPFS' } as const;

/** RuntimeConfigResponse. */
export const encodeRuntimeConfig = (from: { readonly cgroupDriver: keyof typeof drivers }): RuntimeConfigResponse => ({
  linux: { cgroup_driver: drivers[from.cgroupDriver] },
});
