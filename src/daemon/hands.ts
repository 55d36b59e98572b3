// What the composition of pods stands on.
import type { Cgroups } from '../cgroup/cgroup.ts';
import type { Config } from '../config/schema.ts';
import type { ContainerImageFacts } from '../container/ports.ts';
import type { ImageUse } from '../image/verify.ts';
import type { Step } from '../lib/steps.ts';
import type { Log } from '../log.ts';
import type { Native } from '../native/load.ts';
import type { Network } from '../network/network.ts';
import type { Nri } from '../nri/nri.ts';
import type { Paths } from '../paths.ts';
import type { RecordWriter } from '../state/record-writer.ts';
import type { OwnProcesses } from './own-processes.ts';
import type { Storage } from '../storage/storage.ts';

/** Stage times of one call on behalf of a sandbox. */
export interface StageClock {
  stage<T>(name: string, work: () => Promise<T>): Promise<T>;
}

/** The hands, each built once by daemon.ts. */
export interface Hands {
  readonly config: Config;
  /** The configuration as it is now: SIGHUP changes parts of it. */
  readonly current: () => Config;
  readonly paths: Paths;
  readonly native: Native;
  readonly step: Step;
  readonly log: Log;
  readonly now: () => bigint;
  readonly cgroups: Cgroups;
  readonly network: Network;
  readonly own: OwnProcesses;
  readonly writer: RecordWriter;
  readonly nri: Nri;
  readonly images: {
    readonly facts: (reference: string) => ContainerImageFacts | null;
    readonly hold: (chain: readonly string[]) => () => void;
    readonly admit: (use: ImageUse, signal: AbortSignal) => Promise<void>;
    /** Sweeps soon what no image and no container needs. */
    readonly collect: () => void;
    readonly storage: Storage;
  };
  readonly stages: (sandboxId: string, call: string) => StageClock;
}
