// Resources of which each leaves everything alone, for tests that name the few they are about.
import type { CgroupResources } from '../../src/native/boundary.ts';
import type { LinuxResources } from '../../src/sandbox/sandbox.ts';

const nothing = {
  cpuShares: null,
  cpuQuota: null,
  cpuPeriod: null,
  cpusetCpus: '',
  cpusetMems: '',
  memoryLimitBytes: null,
  memorySwapLimitBytes: null,
  hugepageLimits: [],
  unified: {},
};

/** As the kernel's part takes them. */
export const noCgroupLimits: CgroupResources = { ...nothing, pidsLimit: null };

/** As CRI gives them, and records keep them. */
export const noLinuxLimits: LinuxResources = { ...nothing, oomScoreAdj: 0 };
