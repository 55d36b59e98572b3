// Carries a transaction out, step by step, each one in the journal before it begins.
// Must not know what a step does.
import { deadlineExceeded, failureChain } from '../lib/failure.ts';
import { orAborted } from '../lib/waiting.ts';
import {
  ended,
  type Found,
  type Journal,
  type Settings,
  stepBegun,
  stepDone,
  type StepName,
  stuckAt,
  turned,
  warned,
  withOtherDaemon,
} from './journal.ts';
import { type Action, isSoft, lacksKubelet, nextAction } from './plan.ts';
import type { Effects, JournalStore, StepContext } from './ports.ts';

/** Tells whoever looks on. */
export type Tell = (line: string) => void;

export interface Run {
  readonly effects: Effects;
  readonly store: JournalStore;
  readonly tell: Tell;
  readonly nowMs: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  /** Fires when the user wants it to end: it walks back. */
  readonly interrupted: AbortSignal;
}

/** How often a step of the walk back is tried at once, and the pause between, in milliseconds. */
const backTries = 3;
const backPauseMs = 2000;
/** What one step of the walk back may take: it has no time of the whole to keep. */
const backStepMs = 180_000;

/** Where a node without its kubelet tries a stuck walk back again: the first pause and the longest, in milliseconds. */
const stuckPauseMs = 5000;
const longestStuckPauseMs = 60_000;

/**
 * Carries a journal's transaction to its end and answers the journal; one that is stuck has no outcome. A walk back that
 * is stuck while the kubelet is stopped is tried on until it goes, or the user interrupts it then.
 */
export async function runTransaction(run: Run, begun: Journal): Promise<Journal> {
  // by a clock that nobody sets
  const deadlineMs = performance.now() + begun.settings.timeoutMs;
  const iso = (): string => new Date(run.nowMs()).toISOString();
  let journal = begun;
  for (let pauseMs = stuckPauseMs; ;) {
    const next = nextAction(journal);
    if (next.type === 'end') return put(run, ended(journal, next.outcome, iso()));
    const before = stepBegun(journal, next.step, iso());
    try {
      put(run, before);
    } catch (error) {
      journal = turned(before, next.step, failureChain(error));
      continue;
    }
    run.tell(`${before.direction === 'back' ? 'back: ' : ''}${next.step}`);
    journal = await (before.direction === 'forward' ? stepForward : stepBack)(run, before, { next, deadlineMs });
    if (journal.stuck === null) continue;
    put(run, journal);
    if (!lacksKubelet(journal)) return journal;
    run.tell(`stuck at ${next.step} while the kubelet is stopped: tried again in ${pauseMs / 1000} s`);
    if (await interruptedWithin(run, pauseMs)) return journal;
    pauseMs = Math.min(longestStuckPauseMs, 2 * pauseMs);
  }
}

/** Has a journal on disk; on the way back it goes on without, for the node needs its runtime more. */
function put({ store, tell }: Run, journal: Journal): Journal {
  try {
    store.write(journal);
  } catch (error) {
    if (journal.direction === 'forward') throw error;
    tell(`the journal could not be written: ${failureChain(error)}`);
  }
  return journal;
}

/** Pauses; tells whether the user interrupts meanwhile. What was interrupted before walks back for that very reason. */
async function interruptedWithin({ sleep, interrupted }: Run, ms: number): Promise<boolean> {
  if (interrupted.aborted) {
    await sleep(ms);
    return false;
  }
  await orAborted(sleep(ms), interrupted).catch((error: unknown) => {
    if (!interrupted.aborted) throw error;
  });
  return interrupted.aborted;
}

interface Turn {
  readonly next: Action;
  readonly deadlineMs: number;
}

async function stepForward(run: Run, journal: Journal, { next, deadlineMs }: Turn): Promise<Journal> {
  const { step } = next;
  const left = Math.max(0, deadlineMs - performance.now());
  const tried = await attempt(run, journal, { next, ms: left, signals: [run.interrupted] });
  if (tried.error === null) return tried.journal;
  run.tell(`${step} failed: ${tried.error}`);
  if (isSoft(step, journal)) return warned(stepDone(tried.journal, step, null), `${step}: ${tried.error}`);
  return turned(tried.journal, step, tried.error);
}

async function stepBack(run: Run, journal: Journal, { next }: Turn): Promise<Journal> {
  const { step } = next;
  for (let tries = 1; ; tries += 1) {
    // the command before may be the broken one, and the one that mends it be part of what is walked back: what starts it stays
    const by = step === 'start-daemon' && tries % 2 === 0 ? withOtherDaemon(journal) : journal;
    const tried = await attempt(run, by, { next, ms: backStepMs, signals: [] });
    if (tried.error === null) return tried.journal;
    run.tell(`back: ${step} failed: ${tried.error}`);
    const last = tries >= (step === 'place' || !isSoft(step, journal) ? backTries : 1);
    if (last && isSoft(step, journal)) return warned(stepDone(tried.journal, step, null), `${step}: ${tried.error}`);
    if (last) return stuckAt(tried.journal, step, tried.error);
    await run.sleep(backPauseMs);
  }
}

interface Try {
  readonly next: Action;
  readonly ms: number;
  readonly signals: readonly AbortSignal[];
}

/** Carries one step out within its time; answers the journal after it and, when it failed, why. */
async function attempt(
  run: Run,
  before: Journal,
  { next, ms, signals }: Try,
): Promise<{ readonly journal: Journal; readonly error: string | null }> {
  const over = new AbortController();
  const timer = setTimeout(
    () => over.abort(deadlineExceeded(timeoutText(next.step, before.settings, before.direction))),
    Math.max(1, ms),
  ).unref(); // what the step waits for keeps the program alive
  let journal = before;
  const ctx: StepContext = {
    signal: AbortSignal.any([over.signal, ...signals]),
    warn: (warning) => {
      run.tell(warning);
      journal = warned(journal, warning);
    },
  };
  try {
    ctx.signal.throwIfAborted();
    const found = await carryOut(run.effects, before, { next, ctx });
    return { journal: stepDone(journal, next.step, found), error: null };
  } catch (error) {
    const why: unknown = ctx.signal.aborted ? ctx.signal.reason : error;
    return { journal, error: failureChain(why) };
  } finally {
    clearTimeout(timer);
  }
}

const timeoutText = (step: StepName, { timeoutMs }: Settings, direction: Journal['direction']): string =>
  direction === 'forward'
    ? `${step} was not over when the ${timeoutMs / 1000} s of the whole were`
    : `${step} was not over within ${backStepMs / 1000} s`;

type Carry = (
  effects: Effects,
  journal: Journal,
  how: { readonly next: Action; readonly ctx: StepContext },
) => Promise<Found | null>;

const carryOut: Carry = async (effects, journal, { next: { step, side }, ctx }) => {
  const steps: Readonly<Record<StepName, () => Promise<Found | void>>> = {
    preflight: () => effects.preflight(journal, ctx),
    cordon: () => effects.cordon(journal, ctx),
    uncordon: () => effects.uncordon(journal, ctx),
    'stop-kubelet': () => effects.stopKubelet(journal, ctx),
    'start-kubelet': () => effects.startKubelet(journal, ctx),
    'remove-pods': () => effects.removePods(journal, side, ctx),
    'stop-daemon': () => effects.stopDaemon(journal, side, ctx),
    place: () => effects.place(journal, side, ctx),
    'start-daemon': () => effects.startDaemon(journal, side, ctx),
    'self-test': () => effects.selfTest(journal, side, ctx),
    'repoint-kubelet': () => effects.repointKubelet(journal, side, ctx),
    ready: () => effects.ready(journal, side, ctx),
  };
  return (await steps[step]()) ?? null;
};
