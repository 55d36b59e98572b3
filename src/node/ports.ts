// PURE
// What a transaction needs of the host, by the step that needs it. Types only.
import type { Found, Journal, Side } from './journal.ts';

/** What a step may take: its signal fires when its time or that of the whole is over, or when the user interrupts. */
export interface StepContext {
  readonly signal: AbortSignal;
  /** Tells something that is no failure; it stays in the journal. */
  readonly warn: (warning: string) => void;
}

/** The effects of steps. Each can be repeated at any time, whatever an interrupted one before has left. */
export interface Effects {
  /** Looks whether all that is needed is there, and changes nothing. Throws with everything that is not. */
  preflight(journal: Journal, ctx: StepContext): Promise<Found>;
  /** No new pods come to the node. */
  cordon(journal: Journal, ctx: StepContext): Promise<void>;
  /** As it was before; settles when the API has it. */
  uncordon(journal: Journal, ctx: StepContext): Promise<void>;
  stopKubelet(journal: Journal, ctx: StepContext): Promise<void>;
  startKubelet(journal: Journal, ctx: StepContext): Promise<void>;
  /** Stops and removes every pod of a runtime, with the grace that each asked for. */
  removePods(journal: Journal, side: Side, ctx: StepContext): Promise<void>;
  /** Ends podwrightd with what it keeps between pods; of a side that is not podwright nothing. */
  stopDaemon(journal: Journal, side: Side, ctx: StepContext): Promise<void>;
  /** Programs, unit and configuration of podwright as the side has them; of another side they are taken away. */
  place(journal: Journal, side: Side, ctx: StepContext): Promise<void>;
  /** (Re)starts podwrightd and waits until it answers with the side's version. */
  startDaemon(journal: Journal, side: Side, ctx: StepContext): Promise<void>;
  /** A runtime that answers; of podwright a pod that runs, too. */
  selfTest(journal: Journal, side: Side, ctx: StepContext): Promise<void>;
  repointKubelet(journal: Journal, side: Side, ctx: StepContext): Promise<void>;
  /** Waits until the node is Ready on the side. */
  ready(journal: Journal, side: Side, ctx: StepContext): Promise<void>;
}

/** Where journals are. */
export interface JournalStore {
  /** null when nothing was ever changed on this node. */
  read(): Journal | null;
  /** Replaces it by one rename, durable when this returns. */
  write(journal: Journal): void;
}
