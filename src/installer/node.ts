// One look at a node, and what follows from it: the body of the installer's loop.
// Must not remember anything that the host or the API does not: it may be killed between any two lines.
import { failureChain } from '../lib/failure.ts';
import type { Trial } from './backoff.ts';
import { type Attempt, attemptName, type Next, nextFor, type NodeSeen, triedAgain, type Wish } from './decide.ts';
import { labelValue, type Said } from './labels.ts';
import { type InstallerSettings, wordsFor } from './words.ts';

/** What the loop works with. */
export interface NodePorts {
  readonly look: (release: string, signal: AbortSignal) => Promise<NodeSeen>;
  /** The release that can answer, or null. */
  readonly anyRelease: (preferred: string) => Promise<string | null>;
  readonly begin: (release: string, words: readonly string[], signal: AbortSignal) => Promise<void>;
  /** Puts the release and the settings on the host's disk. */
  readonly stage: (config: string) => Promise<void>;
  /** Puts the release back where a removal was cut short and left none that can go on; else nothing. */
  readonly restage: () => Promise<void>;
  /** Takes away the settings that wait for a change; the releases are the host's to remove. */
  readonly unstage: () => Promise<void>;
  /** Takes away the network that was put there for podwright's pods. */
  readonly removeNetwork: () => Promise<void>;
  /**
   * Takes away the directories that are on the host only because pods of the chart mount them, where nothing is in them.
   * Never rejects: what stays harms nobody.
   */
  readonly removeMountPoints: (signal: AbortSignal) => Promise<void>;
  /** The last words of the last command that changed the host; "" for none. */
  readonly lastWords: () => Promise<string>;
  readonly said: (signal: AbortSignal) => Promise<Said>;
  readonly say: (before: Said, now: Said, signal: AbortSignal) => Promise<void>;
  /** null: it is this node's turn; else whose it is. */
  readonly takeTurn: (signal: AbortSignal) => Promise<string | null>;
  readonly giveTurnBack: (signal: AbortSignal) => Promise<void>;
  readonly setReady: (ready: boolean) => Promise<void>;
}

/** What a look is about. */
export interface Task {
  readonly wish: Wish;
  readonly settings: InstallerSettings;
  readonly version: string;
  readonly trial: Trial;
}

/** What a look came to; `refused`: nothing could be begun, and the turn is another node's until it is tried again. */
export interface Looked {
  readonly next: Next['type'] | 'refused';
  readonly status: string;
}

const attemptText = ({ wish, after }: Attempt): string => `${wish}/${after}`;

/** The attempt of an annotation; null for none. */
export function parseAttempt(text: string | null): Attempt | null {
  const [wish, after] = (text ?? '').split(/\/(.*)/s);
  return wish === undefined || wish === '' || after === undefined ? null : { wish, after };
}

/**
 * Looks, does the next thing, and tells. What cannot be staged or begun is told and `refused`; rejects when the host or the
 * API cannot be asked: then nothing was begun, and the turn is kept, for something may be under way.
 */
export async function lookOnce(ports: NodePorts, task: Task, signal: AbortSignal): Promise<Looked> {
  const { wish } = task;
  const problem =
    task.trial === 'held' ? null : await problemOf(wish.retire ? ports.restage() : ports.stage(wish.config));
  const seen = await lookOrTell(ports, { wish, problem }, signal);
  const before = await ports.said(signal);
  const next = nextFor(wish, seen, parseAttempt(before.attempt));
  const now = nowSaid(task, { seen, before, next });
  const settled = next.type === 'begin' || next.type === 'done';
  if (settled && problem !== null) return refused(ports, { before, now, why: problem }, signal);
  if (task.trial === 'held' && (next.type === 'begin' || (next.type === 'done' && !wish.retire)))
    return { next: 'refused', status: before.status ?? '' };
  // while podwright is what runs the pods they need it, and so does the node if it is walked back to
  if (settled && wish.retire && seen.on?.type !== 'podwright') await ports.removeNetwork();
  if (next.type === 'done' || next.type === 'failed') {
    // tells first: whoever has the next turn may count on it
    await ports.say(before, now, signal);
    if (next.type === 'done' && wish.retire) await ports.removeMountPoints(signal);
    await ports.setReady(next.type === 'done');
    await ports.giveTurnBack(signal);
    return { next: next.type, status: next.status };
  }
  if (next.type === 'begin' && next.again !== null && task.trial === 'first')
    return refused(ports, { before, now, why: await whyAgain(ports, next) }, signal);
  await ports.setReady(false);
  if (needsTurn(next, seen)) {
    const other = await ports.takeTurn(signal);
    if (other !== null && next.type === 'begin') return waits(ports, { before, other }, signal);
  }
  await ports.say(before, now, signal);
  const fault = await problemOf(beginNext(ports, { task, next }, signal));
  if (fault === null) return { next: next.type, status: next.status };
  return unbegun(ports, { task, now, why: fault }, signal);
}

/** What was wrong with some work; null for nothing. */
const problemOf = (work: Promise<void>): Promise<string | null> =>
  work.then(
    () => null,
    (error: unknown) => failureChain(error),
  );

/** Looks at the host; when that cannot be done the node's object says why, and what was a problem before. */
async function lookOrTell(
  ports: NodePorts,
  { wish, problem }: { readonly wish: Wish; readonly problem: string | null },
  signal: AbortSignal,
): Promise<NodeSeen> {
  try {
    return await ports.look(wish.release, signal);
  } catch (error) {
    if (!signal.aborted) {
      const before = await ports.said(signal);
      const why = [...(problem === null ? [] : [problem]), failureChain(error)].join('; ');
      await ports.say(before, { ...before, status: shortened(why) }, signal);
      await ports.setReady(false);
    }
    throw error;
  }
}

/** Tells why nothing goes on, and lets other nodes have their turn until it is tried again. */
async function refused(
  ports: NodePorts,
  { before, now, why }: { readonly before: Said; readonly now: Said; readonly why: string },
  signal: AbortSignal,
): Promise<Looked> {
  const status = `${shortened(why)}; ${triedAgain}`;
  await ports.say(before, { ...now, status, attempt: before.attempt }, signal);
  await ports.setReady(false);
  await ports.giveTurnBack(signal);
  return { next: 'refused', status };
}

/** After a command that could not be begun: unless it goes on nevertheless. */
async function unbegun(
  ports: NodePorts,
  { task, now, why }: { readonly task: Task; readonly now: Said; readonly why: string },
  signal: AbortSignal,
): Promise<Looked> {
  const { state, changing } = await ports.look(task.wish.release, signal);
  if (changing || state === 'under-way') return { next: 'wait', status: why };
  return refused(ports, { before: now, now, why }, signal);
}

/** What became of the attempt before; without a journal only the log of the command says it. */
async function whyAgain(ports: NodePorts, { change, again }: Extract<Next, { type: 'begin' }>): Promise<string> {
  const words = again?.startsWith('was refused') ? '' : await ports.lastWords();
  return `${change} ${again}${words === '' ? '' : `: ${words}`}`;
}

/** Annotations are small. */
const shortened = (status: string): string => status.slice(0, 1000);

/** Begins on the host what is next, if anything is. */
async function beginNext(
  ports: NodePorts,
  { task, next }: { readonly task: Task; readonly next: Next },
  signal: AbortSignal,
): Promise<void> {
  const { wish, settings } = task;
  if (next.type === 'begin' && wish.retire) await ports.unstage();
  const what = next.type === 'resume' ? 'resume' : next.type === 'begin' ? next.change : null;
  if (what === null) return;
  const release = await ports.anyRelease(wish.release);
  if (release !== null) await ports.begin(release, wordsFor(what, settings, wish), signal);
}

async function waits(
  ports: NodePorts,
  { before, other }: { readonly before: Said; readonly other: string },
  signal: AbortSignal,
): Promise<Looked> {
  const status = `waits for ${other}`;
  await ports.say(before, { ...before, status }, signal);
  return { next: 'wait', status };
}

/** Whether all pods of the node end in what is to begin, or is under way. */
function needsTurn(next: Next, { transaction }: NodeSeen): boolean {
  if (next.type === 'begin') return next.turn;
  return (
    transaction !== null && transaction.movesKubelet && ['switch', 'revert', 'uninstall'].includes(transaction.kind)
  );
}

/** What the node's object is to say. */
function nowSaid(
  { wish, version }: Task,
  { seen, before, next }: { readonly seen: NodeSeen; readonly before: Said; readonly next: Next },
): Said {
  if (wish.retire && next.type === 'done') return { release: null, runtime: null, status: null, attempt: null };
  const moved = seen.on?.type === 'podwright' && seen.transaction?.movesKubelet === true;
  const leaves = wish.retire || !wish.switch;
  return {
    release: wish.retire ? before.release : labelValue(version),
    // taken away before pods go, given once they can come
    runtime: moved && !leaves ? 'podwright' : null,
    status: shortened(next.status),
    attempt:
      next.type === 'begin'
        ? attemptText({ wish: attemptName(wish), after: seen.transaction?.id ?? '' })
        : before.attempt,
  };
}
