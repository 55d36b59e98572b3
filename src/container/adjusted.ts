// A container between its plan and its making: what plugins of the node may change of it.
import type { OciSpec } from '../oci/types.ts';
import type { LinuxResources, Sandbox } from '../sandbox/sandbox.ts';
import type { ContainerIdentity, ContainerStatus } from './container.ts';
import { type CgroupResources, cgroupResources } from './ports.ts';

/** What is shown to plugins. */
export interface Planned {
  readonly identity: ContainerIdentity;
  readonly sandbox: Sandbox;
  readonly spec: OciSpec;
  /** The limits asked for. */
  readonly resources: LinuxResources | null;
}

/** What is made. */
export interface Adjusted {
  readonly spec: OciSpec;
  readonly resources: LinuxResources | null;
  /** Tasks that the container may have: null for what its pod may, -1 for any number. */
  readonly pidsLimit: number | null;
  /** JSON of runtime-spec `linux.seccomp` in place of the profile asked for; null: that one. */
  readonly seccomp: string | null;
}

/** A plan that nobody changes. */
export const unadjusted = ({ spec, resources }: Pick<Planned, 'spec' | 'resources'>): Adjusted => ({
  spec,
  resources,
  pidsLimit: null,
  seccomp: null,
});

const noResources: LinuxResources = {
  cpuPeriod: null,
  cpuQuota: null,
  cpuShares: null,
  memoryLimitBytes: null,
  oomScoreAdj: 0,
  cpusetCpus: '',
  cpusetMems: '',
  hugepageLimits: [],
  unified: {},
  memorySwapLimitBytes: null,
};

/** The limits as the cgroup room takes them; null for none. */
export function adjustedCgroup({ resources, pidsLimit }: Adjusted): CgroupResources | null {
  if (resources === null && pidsLimit === null) return null;
  return { ...cgroupResources(resources ?? noResources), pidsLimit };
}

/** What of it is put on record: what its status tells, and what a command in it is run with. */
export const adjustedStatus = ({ resources, seccomp }: Adjusted): Partial<ContainerStatus> => ({
  resources,
  ...(seccomp === null ? {} : { seccomp }),
});

/** A policy as a value; numbers that a Number would round stay as they are when it is written again. */
export function parsePolicy(policy: string): object {
  const json = JSON as unknown as { rawJSON(text: string): unknown };
  const exact = (_: string, value: unknown, { source }: { readonly source?: string } = {}): unknown =>
    typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined ? json.rawJSON(source) : value;
  return JSON.parse(policy, exact) as object;
}
