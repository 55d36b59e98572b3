// What the verbs of stats ask of the rest of the house.
import type { Container } from '../container/container.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { CgroupSample } from './derive.ts';

/** Bytes and inodes of a directory tree. */
export interface LayerUsage {
  readonly bytes: number;
  readonly inodes: number;
}

/** Traffic of one interface of a pod, as the pod sees it. */
export interface InterfaceCounters {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxErrors: number;
  readonly txBytes: number;
  readonly txErrors: number;
}

export interface StatsPorts {
  readonly containers: { readonly list: () => Container[]; readonly find: (id: string) => Container | undefined };
  readonly sandboxes: { readonly list: () => Sandbox[]; readonly find: (id: string) => Sandbox | undefined };
  readonly cgroupStats: (paths: readonly string[]) => Promise<readonly (CgroupSample | null)[]>;
  readonly layerUsage: (containerId: string) => Promise<LayerUsage>;
  readonly interfaces: (sandbox: Sandbox) => Promise<readonly InterfaceCounters[]>;
  readonly snapshotsDir: string;
  readonly now: () => bigint;
}
