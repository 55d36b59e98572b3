// PURE
// What is to be done next on a node, from what is wished and what its journal says.
// Must not know how anything is done.

/** What the chart's values ask of a node. */
export interface Wish {
  /** Give the node back, and take everything away. */
  readonly retire: boolean;
  /** The kubelet is to use podwright. */
  readonly switch: boolean;
  /** Directory of the release on the host. */
  readonly release: string;
  /** Text of the settings that belong to it. */
  readonly config: string;
  /** All of the above and how it is to be done, in short: two wishes differ in it. */
  readonly digest: string;
}

/** A side of `podwright node status`. */
export interface SideSeen {
  readonly type: 'podwright' | 'runtime' | 'none';
  readonly release: string | null;
  readonly config: string | null;
}

/** What `podwright node status -o json` says, as far as it counts here. */
export interface NodeSeen {
  readonly state: 'none' | 'under-way' | 'interrupted' | 'stuck' | 'done' | 'walked-back' | 'refused';
  /** What runs the pods; null while that is being changed, or when nothing was ever changed. */
  readonly on: SideSeen | null;
  /** The last transaction; null when there was none. */
  readonly transaction: {
    readonly id: string;
    readonly kind: string;
    readonly step: string | null;
    readonly direction: string;
    /** Whether it is about a kubelet that has another runtime to go back to. */
    readonly movesKubelet: boolean;
    /** The digest of the wish that its settings are of; null when nobody told. */
    readonly wish: string | null;
    /** "step: message", or null. */
    readonly failure: string | null;
  } | null;
  /** Whether the host has any release of ours. */
  readonly staged: boolean;
  /** Whether a command that changes the node runs there, also while its journal does not say so yet. */
  readonly changing: boolean;
}

/** The attempt that was begun last, as the node's object keeps it. */
export interface Attempt {
  readonly wish: string;
  /** The transaction before it, "" for none: while that is the last one, the attempt has not begun. */
  readonly after: string;
}

/** A command to begin on the host. */
export type Change = 'install' | 'switch' | 'revert' | 'uninstall';

export type Next =
  /** All is as wished. */
  | { readonly type: 'done'; readonly status: string }
  /** Something is under way. */
  | { readonly type: 'wait'; readonly status: string }
  /** It did not work, and is not tried again by itself. */
  | { readonly type: 'failed'; readonly status: string }
  /** An interrupted change must be brought to its end. */
  | { readonly type: 'resume'; readonly status: string }
  /**
   * A change is to be begun; with `turn` only by one node of the cluster at a time, for its pods end. `again` says what
   * became of the same attempt before, which is a reason to wait a while; null the first time.
   */
  | {
      readonly type: 'begin';
      readonly change: Change;
      readonly turn: boolean;
      readonly status: string;
      readonly again: string | null;
    };

/** What an attempt is known by: to give a node back is another attempt than what its values ask. */
export const attemptName = ({ retire, digest }: Wish): string => (retire ? `retire-${digest}` : digest);

/** How the status of a node ends that could not begin. */
export const triedAgain = 'it is tried again after a pause';

/**
 * Whether a status of a node says that nothing goes on there. Of words that are not known, such as why a host cannot be
 * asked, something may.
 */
export const isSettled = (status: string | null): boolean =>
  status === null ||
  /^(runs (the|without) pods$|waits for |\w+ failed and was walked back: )/.test(status) ||
  status.endsWith(`; ${triedAgain}`);

/** The next thing to do. */
export function nextFor(wish: Wish, seen: NodeSeen, attempt: Attempt | null): Next {
  const { state, transaction } = seen;
  const step = transaction?.step ?? null;
  const way = transaction?.direction === 'back' ? 'walking back' : (transaction?.kind ?? '');
  if (state === 'under-way') return { type: 'wait', status: `${way}${step === null ? '' : ` at ${step}`}` };
  if (seen.changing) return { type: 'wait', status: 'a change begins' };
  if (state === 'interrupted' || state === 'stuck')
    return { type: 'resume', status: `${way} was ${state}${step === null ? '' : ` at ${step}`}` };
  const fulfilled = wish.retire ? isGone(seen) : isFulfilled(wish, seen);
  if (fulfilled !== null) return { type: 'done', status: fulfilled };
  const same = attempt?.wish === attemptName(wish);
  const ended = same && (transaction?.id ?? '') !== attempt.after;
  if (state === 'walked-back' && ended)
    return { type: 'failed', status: `${transaction?.kind} failed and was walked back: ${transaction?.failure}` };
  const { change, turn } = changeFor(wish, seen);
  const again = same ? resultOf(wish, seen, ended) : null;
  return {
    type: 'begin',
    change,
    turn,
    status: `${change} is to begin${again === null ? '' : `; ${again}`}`,
    again,
  };
}

/** What became of the same attempt before, when that is no reason to go straight on. */
function resultOf({ retire }: Wish, { state, transaction }: NodeSeen, ended: boolean): string | null {
  if (!ended) return 'ended before it had a journal';
  if (state === 'refused') return `was refused: ${transaction?.failure}`;
  return retire ? 'something was left' : null; // the first of two changes, such as what ran beside before a switch
}

const isGone = ({ on, staged }: NodeSeen): string | null => (on?.type !== 'podwright' && !staged ? 'gone' : null);

/** Whether the kubelet of the node was moved to podwright. */
const isMoved = ({ on, transaction }: NodeSeen): boolean =>
  on?.type === 'podwright' && transaction?.movesKubelet === true;

const isFulfilled = (wish: Wish, seen: NodeSeen): string | null =>
  seen.on?.type === 'podwright' &&
  isMoved(seen) === wish.switch &&
  seen.on.release === wish.release &&
  seen.on.config === wish.config &&
  seen.transaction?.wish === wish.digest
    ? `runs ${wish.switch ? 'the' : 'without'} pods`
    : null;

function changeFor(wish: Wish, seen: NodeSeen): { readonly change: Change; readonly turn: boolean } {
  const moved = isMoved(seen);
  if (wish.retire) return { change: 'uninstall', turn: moved };
  if (wish.switch) {
    // of podwright to another release or other settings: pods live on
    if (moved) return { change: 'switch', turn: false };
    // a switch begins at the runtime that the kubelet uses, and ours beside it would be taken for that
    return seen.on?.type === 'podwright' ? { change: 'uninstall', turn: false } : { change: 'switch', turn: true };
  }
  return moved ? { change: 'revert', turn: true } : { change: 'install', turn: false };
}
