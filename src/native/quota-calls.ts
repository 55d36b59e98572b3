// Calls of the crate's quota.rs: project quota of writable layers.
import type { TreeUsage } from './rootfs-calls.ts';
import type { Outcome } from './outcome.ts';

/** Projects that may be given to writable layers. */
export interface ProjectRange {
  readonly firstProject: number;
  readonly projects: number;
}

/** What a file system has of project quota. */
export interface QuotaSupport {
  readonly counted: boolean;
  readonly enforced: boolean;
  /** For people; "" if nothing is missing. */
  readonly missing: string;
}

export interface QuotaExports {
  /** What the file system of a directory has. */
  quotaSupport(args: { readonly dir: string }): Promise<Outcome<QuotaSupport>>;
  /** Makes a directory in a project that is free, with a limit (null: none); the project. ENOSPC when none is free. */
  quotaAssign(args: ProjectRange & { readonly dir: string; readonly limitBytes: number | null }): Promise<Outcome<number>>;
  /** What a directory's project uses by the file system's count; null if it has none of the range. */
  quotaUsage(args: ProjectRange & { readonly dir: string }): Promise<Outcome<TreeUsage | null>>;
  /** Takes the limits of projects away that nothing counts for any more: how many. */
  quotaForget(args: ProjectRange & { readonly dir: string }): Promise<Outcome<number>>;
}
