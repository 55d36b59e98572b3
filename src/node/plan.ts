// PURE
// What is done next: the steps of a transaction in their order, forward and back.
// Must not know how a step is carried out.
import { type Journal, type Outcome, type Side, type StepName, turned } from './journal.ts';

/** One step, and the side that it is about. */
export interface Action {
  readonly step: StepName;
  readonly side: Side;
}

export type Next = ({ readonly type: 'step' } & Action) | { readonly type: 'end'; readonly outcome: Outcome };

/** How often an interrupted transaction is taken up before it walks back. */
export const longestResumed = 3;

/** What a boot undoes or may undo: the service manager starts what it knows, with whatever it finds. */
const lostByBoot: ReadonlySet<StepName> = new Set([
  'stop-kubelet',
  'remove-pods',
  'stop-daemon',
  'start-daemon',
  'self-test',
  'start-kubelet',
  'ready',
]);

/** Steps whose failure is told and gone past: forward there is nothing left to gain, back the node needs the rest more. */
const softForward: ReadonlySet<StepName> = new Set(['uncordon']);
const softBack: ReadonlySet<StepName> = new Set(['remove-pods', 'stop-daemon', 'ready', 'uncordon']);

export function isSoft(step: StepName, { direction, from }: Pick<Journal, 'direction' | 'from'>): boolean {
  if (direction === 'forward') return softForward.has(step);
  // what is left of podwright hinders no other runtime
  return softBack.has(step) || (step === 'place' && from.type !== 'podwright');
}

/** Whether no kubelet runs that had been running: until the walk back has started it again, the node is lost. */
export const lacksKubelet = ({ direction, begun, done }: Journal): boolean =>
  direction === 'back' && begun.includes('stop-kubelet') && !done.includes('start-kubelet');

/** The next step of a transaction, or its end. */
export function nextAction(journal: Journal): Next {
  const forward = journal.direction === 'forward';
  const steps = forward ? forwardSteps(journal) : backSteps(journal);
  const next = steps.find(({ step }) => !journal.done.includes(step));
  if (next !== undefined) return { type: 'step', ...next };
  if (forward) return { type: 'end', outcome: 'done' };
  return { type: 'end', outcome: journal.begun.every((step) => step === 'preflight') ? 'refused' : 'walked-back' };
}

/** Whether the kubelet is part of it: not in an upgrade, nor on a node of its own. */
const movesKubelet = ({ from, to, settings }: Journal): boolean =>
  settings.kubelet !== null && (from.type === 'runtime' || to.type === 'runtime');

const when = (condition: boolean, ...actions: readonly Action[]): readonly Action[] => (condition ? actions : []);

/** All steps that bring the node to `to`. */
export function forwardSteps(journal: Journal): readonly Action[] {
  const { from, to } = journal;
  const kubelet = movesKubelet(journal);
  const leaves = from.type === 'podwright' && to.type !== 'podwright';
  return [
    { step: 'preflight', side: to },
    ...when(kubelet, { step: 'cordon', side: from }, { step: 'stop-kubelet', side: from }),
    ...when(kubelet || leaves, { step: 'remove-pods', side: from }),
    ...when(leaves, { step: 'stop-daemon', side: from }),
    { step: 'place', side: to },
    ...when(to.type === 'podwright', { step: 'start-daemon', side: to }),
    ...when(to.type !== 'none', { step: 'self-test', side: to }),
    ...when(kubelet, { step: 'repoint-kubelet', side: to }, { step: 'start-kubelet', side: to }),
    ...when(journal.settings.kubelet !== null && to.type !== 'none', { step: 'ready', side: to }),
    ...when(kubelet, { step: 'uncordon', side: to }),
  ];
}

/** The steps that bring the node from wherever it is to `from`; only what was begun is undone. */
export function backSteps(journal: Journal): readonly Action[] {
  const { from, to } = journal;
  const began = (step: StepName): boolean => journal.begun.includes(step);
  const arrives = to.type === 'podwright' && from.type !== 'podwright' && began('place');
  const restores = began('place') || began('stop-daemon');
  const kubelet = began('stop-kubelet');
  return [
    ...when(kubelet, { step: 'stop-kubelet', side: to }),
    ...when(arrives ? began('start-daemon') : began('start-kubelet'), { step: 'remove-pods', side: to }),
    ...when(arrives, { step: 'stop-daemon', side: to }),
    ...when(restores, { step: 'place', side: from }),
    ...when(restores && from.type === 'podwright', { step: 'start-daemon', side: from }),
    ...when(began('repoint-kubelet'), { step: 'repoint-kubelet', side: from }),
    ...when(kubelet, { step: 'start-kubelet', side: from }),
    ...when(kubelet || (began('ready') && from.type !== 'none'), { step: 'ready', side: from }),
    ...when(began('cordon'), { step: 'uncordon', side: from }),
  ];
}

/** A transaction that was interrupted goes on, in this boot; too often is a failure. */
export function takenUp(journal: Journal, bootId: string): Journal {
  const done = journal.bootId === bootId ? journal.done : journal.done.filter((step) => !lostByBoot.has(step));
  const again: Journal = { ...journal, bootId, done, step: null, resumed: journal.resumed + 1 };
  if (again.direction === 'back' || again.resumed <= longestResumed) return again;
  return turned(again, journal.step ?? 'preflight', `it was interrupted ${again.resumed} times`);
}
