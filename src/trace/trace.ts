// Stage times of the last calls that build pods, kept in a ring for `podwright trace`.
// Must not decide what a stage is: the verbs name them.
import type { BeginningStage, EndStage } from './spans.ts';

/** One stage: when it began after the call's start, and how long it took. */
export interface TracedStage {
  readonly name: string;
  readonly startMs: number;
  /** Null while it runs. */
  durationMs: number | null;
  failed: boolean;
}

/** One call with its stages, in the order in which they began. */
export interface TracedCall {
  readonly rpc: string;
  /** What the call is about: a sandbox id for everything in a pod, a reference for a pull. */
  readonly subject: string;
  /** Unix milliseconds. */
  readonly startedAtMs: number;
  readonly stages: readonly TracedStage[];
}

/** What a verb marks its stages with. */
export interface Stages {
  /** Runs one stage; stages of a call may overlap. */
  readonly stage: <T>(name: string, work: () => Promise<T>) => Promise<T>;
}

/** The ring. */
export interface Trace {
  /** Begins the record of one call. */
  stages(subject: string, rpc: string): Stages;
  /** Calls of the subjects that begin with this text, oldest first. */
  of(subjectPrefix: string): readonly TracedCall[];
  /** The subject of the last RunPodSandbox in the ring; null without one. */
  lastPod(): string | null;
}

/** What the ring is made with. */
export interface TraceOptions {
  /** Calls that are kept; 0 keeps none. */
  readonly keep: number;
  /** Wall clock, unix milliseconds. */
  readonly nowMs: () => number;
  /** A clock that never goes back, in milliseconds. */
  readonly elapsedMs: () => number;
  /** Told of each stage that ended, failed ones too. */
  readonly onStage: (rpc: string, stage: string, seconds: number) => void;
  /** Begins the span of a stage; the function it gives ends it. */
  readonly beginStage: (stage: BeginningStage) => EndStage;
}

/** Makes an empty ring. */
export function createTrace(options: TraceOptions): Trace {
  const { keep, nowMs, elapsedMs, onStage, beginStage } = options;
  const calls: TracedCall[] = [];
  return {
    stages(subject, rpc) {
      const began = elapsedMs();
      const stages: TracedStage[] = [];
      if (keep > 0) {
        calls.push({ rpc, subject, startedAtMs: nowMs(), stages });
        if (calls.length > keep) calls.shift();
      }
      return {
        async stage(name, work) {
          const start = elapsedMs();
          const one: TracedStage = { name, startMs: start - began, durationMs: null, failed: true };
          stages.push(one);
          const end = beginStage({ rpc, name, subject });
          try {
            const result = await work();
            one.failed = false;
            end(null);
            return result;
          } catch (error) {
            end(error);
            throw error;
          } finally {
            one.durationMs = elapsedMs() - start;
            onStage(rpc, name, one.durationMs / 1000);
          }
        },
      };
    },
    of: (prefix) => calls.filter(({ subject }) => subject.startsWith(prefix)),
    lastPod: () => calls.findLast(({ rpc }) => rpc === 'RunPodSandbox')?.subject ?? null,
  };
}
