// The verbs behind the admin service, in domain terms; daemon.ts fills them in.
// Must not hold logic or know protobuf.
import type { ImageAdminVerbs, LoadStep } from './image-verbs.ts';
import type { RegistryVerbs } from './registry-verbs.ts';
import type { RunningPull } from './running-pull.ts';

export type { LoadStep } from './image-verbs.ts';
export type { RunningPull } from './running-pull.ts';

/** An image that a load brought. */
export interface LoadedImage {
  /** Digest of the image's config. */
  readonly id: string;
  readonly tags: readonly string[];
}

/** One call that built a pod. */
export interface TracedCall {
  readonly rpc: string;
  /** Id of the sandbox. */
  readonly subject: string;
  /** Unix milliseconds. */
  readonly startedAtMs: number;
  readonly stages: readonly {
    readonly name: string;
    /** After the call's start. */
    readonly startMs: number;
    /** Null while it runs. */
    readonly durationMs: number | null;
    readonly failed: boolean;
  }[];
}

/** What the daemon knows of one object. */
export interface Inspection {
  readonly kind: 'sandbox' | 'container' | 'image' | 'daemon';
  /** Anything that JSON can hold; bigints are written as decimal strings. Environment values are left out. */
  readonly value: object;
}

/** Something that is wrong or unfinished on this node. */
export interface Finding {
  readonly severity: 'error' | 'warning';
  /** What it is about: "sandbox 3f2a…", "network". */
  readonly subject: string;
  readonly problem: string;
  /** What to do about it; "" when the daemon sees to it by itself. */
  readonly advice: string;
}

/** Each rejects with a Failure; anything else is a bug and answered as INTERNAL. */
export interface AdminVerbs extends ImageAdminVerbs, RegistryVerbs {
  /** Takes an image from an archive or a layout at an absolute path. `reference` is "" to keep the names in it. */
  readonly load: (
    input: { readonly path: string; readonly reference: string },
    onStep: (step: LoadStep) => void,
    signal: AbortSignal,
  ) => Promise<readonly LoadedImage[]>;
  /** Pulls that run now, the oldest first. */
  readonly pulls: () => Promise<readonly RunningPull[]>;
  /** Calls of the sandbox whose id begins so, oldest first; "" is the one that was started last. */
  readonly trace: (sandboxId: string) => Promise<readonly TracedCall[]>;
  /** "" is the daemon itself. */
  readonly inspect: (id: string) => Promise<Inspection>;
  /** With `collect`, what the network has of pods that are gone is released first. */
  readonly doctor: (options: { readonly collect: boolean }) => Promise<readonly Finding[]>;
  /** Ends every pod and removes what the network keeps between pods. The daemon ends after the answer. */
  readonly shutdown: (onStep: (step: string) => void) => Promise<void>;
}
