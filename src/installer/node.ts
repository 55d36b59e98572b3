// One look at a node, and what follows from it: the body of the installer's loop.
// Must not remember anything that the host or the API does not: it may be killed between any two lines.
import type { Attempt, Next, NodeSeen, Wish } from './decide.ts';
import { nextFor } from './decide.ts';
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
  /** Takes away what only staging put there; the releases are the host's to remove. */
  readonly unstage: () => Promise<void>;
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
}

/** What a look came to. */
export interface Looked {
  readonly next: Next['type'];
  readonly status: string;
}

const attemptText = ({ wish, after }: Attempt): string => `${wish}/${after}`;

/** The attempt of an annotation; null for none. */
export function parseAttempt(text: string | null): Attempt | null {
  const [wish, after] = (text ?? '').split(/\/(.*)/s);
  return wish === undefined || wish === '' || after === undefined ? null : { wish, after };
}

/** Looks, does the next thing, and tells. Rejects when the host or the API cannot be asked; then nothing was begun. */
export async function lookOnce(ports: NodePorts, task: Task, signal: AbortSignal): Promise<Looked> {
  const { wish } = task;
  if (!wish.retire) await ports.stage(wish.config);
  const seen = await ports.look(wish.release, signal);
  const before = await ports.said(signal);
  const next = nextFor(wish, seen, parseAttempt(before.attempt));
  const now = nowSaid(task, { seen, before, next });
  if (next.type === 'done' || next.type === 'failed') {
    // tells first: whoever has the next turn may count on it
    await ports.say(before, now, signal);
    await ports.setReady(next.type === 'done');
    await ports.giveTurnBack(signal);
    return { next: next.type, status: next.status };
  }
  await ports.setReady(false);
  if (needsTurn(next, seen)) {
    const other = await ports.takeTurn(signal);
    if (other !== null && next.type === 'begin') return waits(ports, { before, other }, signal);
  }
  await ports.say(before, now, signal);
  if (next.type === 'begin' && wish.retire) await ports.unstage();
  const what = next.type === 'resume' ? 'resume' : next.type === 'begin' ? next.change : null;
  const words = what && wordsFor(what, task.settings, wish);
  if (words !== null) await beginOnHost(ports, { preferred: wish.release, words }, signal);
  return { next: next.type, status: next.status };
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

/** Begins a command of whatever release the host has. */
async function beginOnHost(
  ports: NodePorts,
  { preferred, words }: { readonly preferred: string; readonly words: readonly string[] },
  signal: AbortSignal,
): Promise<void> {
  const release = await ports.anyRelease(preferred);
  if (release !== null) await ports.begin(release, words, signal);
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
  const begins = next.type === 'begin' && !wish.retire;
  return {
    release: wish.retire ? before.release : labelValue(version),
    // taken away before pods go, given once they can come
    runtime: moved && !leaves ? 'podwright' : null,
    status: next.status.slice(0, 1000),
    attempt: begins ? attemptText({ wish: wish.digest, after: seen.transaction?.id ?? '' }) : before.attempt,
  };
}
