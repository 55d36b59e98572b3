// What the rest of the house sees of the network of pods, and what the network needs of it. Types only.
import type { Step } from '../lib/steps.ts';
import type { Native } from '../native/load.ts';
import type { BridgeNative } from './bridge/bridge.ts';
import type { RulesBackend } from './rules-backend.ts';
import type { AttachRequest, Attachment, AttachmentView, NetworkLog } from './request.ts';
import type { InterfaceCounters, StatsNative } from './stats.ts';

/** Whether pods can be connected now (CRI NetworkReady), and by what. */
export interface NetworkStatus {
  readonly ready: boolean;
  /** Empty when ready, else `NetworkPluginNotReady`. */
  readonly reason: string;
  readonly message: string;
  /** The network in use, for verbose status; null when there is none. */
  readonly config: unknown;
}

/** Connects pods. Calls for one sandbox must not overlap: the caller holds its lock. */
export interface Network {
  /** Connects a pod; for one that is connected already, repairs and answers the same. */
  readonly attach: (request: AttachRequest, signal: AbortSignal) => Promise<Attachment>;
  /** Releases all that a sandbox has. Total and idempotent; `netns` is null once the namespace is gone. */
  readonly detach: (sandboxId: string, netns: string | null) => Promise<void>;
  /** Whether a pod's connection is as it was made (CNI CHECK, and the same for our own bridges); throws what is not. */
  readonly check: (sandboxId: string) => Promise<void>;
  readonly status: () => Promise<NetworkStatus>;
  /** UpdateRuntimeConfig: the node's pod CIDR, or two of them joined by a comma. */
  readonly setPodCidr: (cidr: string) => void;
  /** Learns what earlier pods have, and makes the bridge ready if there is one to make. */
  readonly start: () => Promise<void>;
  /**
   * Releases what belongs to sandboxes that no longer exist (CNI GC), and repairs the rules. Goes on after failures.
   * `live` is asked when no pod is being connected.
   */
  readonly collect: (live: () => ReadonlySet<string>, options?: CollectOptions) => Promise<void>;
  /** With `removeAll`, removes what the network keeps between pods: bridges that we made, chains. */
  readonly shutdown: (options: { readonly removeAll: boolean }) => Promise<void>;
  /** Every connected pod. */
  readonly attachments: () => readonly AttachmentView[];
  /** How many sandboxes could not be released so far. */
  readonly owedReleases: () => number;
  /** Which these are. */
  readonly owed: () => readonly string[];
  /** Tries the release of one of them again that is on no record; done if it was released meanwhile. */
  readonly releaseAgain: (sandboxId: string) => Promise<void>;
  /** Traffic of a pod's interfaces, its own first; empty when it is not connected. */
  readonly interfaceStats: (sandboxId: string) => Promise<readonly InterfaceCounters[]>;
}

/** How it is collected. */
export interface CollectOptions {
  /** By the daemon's start: rules that it has made just before are not made again. */
  readonly atStart?: boolean;
}

/** What the network is built from. */
export interface NetworkOptions {
  readonly native: BridgeNative & StatsNative & Pick<Native, 'networkLoopbackUp'>;
  readonly config: {
    readonly default: 'none' | 'bridge';
    readonly bridge: string;
    readonly subnet: string;
    readonly confDir: string;
    readonly binDirs: readonly string[];
    /** Where allocations of our own network are kept. */
    readonly hostLocalDir: string;
    readonly pluginTimeoutMs: number;
    /** Where results of plugins are kept as libcni does it. */
    readonly cacheDir: string;
    /** What rules of our own bridges are made with; `auto`: iptables, or nftables where that is not there. */
    readonly rules: 'auto' | RulesBackend;
  };
  /** The directory of a sandbox's records. */
  readonly recordDir: (sandboxId: string) => string;
  readonly step: Step;
  readonly log: NetworkLog;
}
