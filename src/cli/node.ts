// podwright node switch | revert | resume | status, podwright install and uninstall: each a transaction of node/.
import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { cancelled, failedPrecondition, invalidArgument } from '../lib/failure.ts';
import { armBoot } from '../node/boot-unit.ts';
import { startDetached } from '../node/detach.ts';
import { realEffects } from '../node/effects.ts';
import { bootId, hasSystemd, readLink, readText } from '../node/files.ts';
import {
  type Journal,
  type Kind,
  newJournal,
  presentSide,
  type Settings,
  type Side,
  sideName,
} from '../node/journal.ts';
import { journalStore, lockJournal } from '../node/journal-file.ts';
import { apiByKubeconfig, type ApiServer, KubernetesNode } from '../node/kubernetes.ts';
import { isLocked } from '../node/lock.ts';
import { place } from '../node/place.ts';
import { takenUp } from '../node/plan.ts';
import type { JournalStore } from '../node/ports.ts';
import { placesWith } from '../node/preflight.ts';
import { runProgram } from '../node/programs.ts';
import { placeRelease } from '../node/release-files.ts';
import { runTransaction } from '../node/transaction.ts';
import { namedAs, pointerIn, refuseBeside, refuseMoved } from '../node/upgrade.ts';
import { endpointOf, journalDir, type Options, releaseOf, settingsOf, text } from './node-options.ts';
import type { Run, Session } from './session.ts';
import { removeInstalled, rootToPurge } from '../node/uninstall.ts';
import { readRelease } from '../release/tree.ts';
import { facts } from './table.ts';

type Podwright = Extract<Side, { readonly type: 'podwright' }>;

/** The journal of this node when its last transaction is over; throws while one is not. */
function settled(store: JournalStore): Journal | null {
  const journal = store.read();
  if (journal !== null && journal.outcome === null)
    throw failedPrecondition('a change of this node was interrupted: podwright node resume brings it to its end');
  return journal;
}

/** The side that a release will be, staged below the prefix. */
async function podwrightSide(options: Options, directory: string, settings: Settings): Promise<Podwright> {
  const release = await placeRelease(releaseOf(options, directory), settings.prefix);
  const { version } = await readRelease(release);
  const configFile = text(options, 'config');
  const config = configFile === null ? null : readText(resolve(directory, configFile));
  if (configFile !== null && config === null) throw invalidArgument(`--config: ${configFile} is not there`);
  const side: Podwright = { type: 'podwright', release, version, endpoint: '', config };
  const { socket } = await placesWith(runProgram, { settings, to: side }, AbortSignal.timeout(60_000));
  const given = text(options, 'toEndpoint');
  if (given !== null && endpointOf(given, '--to-endpoint') !== `unix://${socket}`)
    throw invalidArgument(`--to-endpoint is ${given}, and podwright's configuration says unix://${socket}`);
  return { ...side, endpoint: `unix://${socket}` };
}

/** The journal and where it lies. */
interface Place {
  readonly store: JournalStore;
  readonly dir: string;
}

/** Carries a transaction out, tells its steps on standard error, prints its outcome; status 1 unless it is done. */
async function carryOut(session: Session, { store, dir }: Place, journal: Journal): Promise<Journal> {
  const stop = new AbortController();
  session.streams.interrupted.then(
    () => stop.abort(cancelled('it was interrupted')),
    () => undefined,
  );
  let api: ApiServer | null = null;
  const effects = realEffects({
    run: runProgram,
    connect: session.connect,
    nowMs: session.nowMs,
    kubernetes: async ({ kubernetes }) => {
      if (kubernetes === null) return null;
      api ??= await apiByKubeconfig(kubernetes.kubeconfig, session.nowMs);
      return new KubernetesNode(api, kubernetes.node);
    },
  });
  const begun = performance.now();
  const tell = (line: string): void =>
    void session.streams.stderr.write(`[${((performance.now() - begun) / 1000).toFixed(1)} s] ${line}\n`);
  const sleep = (ms: number): Promise<void> => new Promise((done) => void setTimeout(done, ms));
  await armBoot(runProgram, journal, dir);
  const ended = await runTransaction(
    { effects, store, tell, nowMs: session.nowMs, sleep, interrupted: stop.signal },
    journal,
  );
  (api as ApiServer | null)?.close();
  await armBoot(runProgram, ended, dir);
  if (ended.outcome !== 'done') session.failWith(1);
  return ended;
}

interface Wanted {
  readonly kind: Kind;
  readonly from: Side;
  readonly to: Side;
  readonly settings: Settings;
  readonly previous: Journal | null;
}

const begin = (session: Session, { kind, from, to, settings, previous }: Wanted): Journal =>
  newJournal({
    id: randomUUID(),
    kind,
    from,
    to,
    settings,
    bootId: bootId(),
    now: new Date(session.nowMs()).toISOString(),
    previous,
  });

/** Runs one change under the lock of this node, and prints what became of it; with --detach it goes on elsewhere. */
async function underLock(session: Session, options: Options, work: (place: Place) => Promise<Journal>): Promise<void> {
  const dir = journalDir(options, session.directory);
  if (await detached(session, options, dir)) return;
  const lock = await lockJournal(dir);
  try {
    const journal = await work({ store: journalStore(dir), dir });
    session.print(summary(journal, false), () => describe(journal, false));
  } finally {
    lock.release();
  }
}

/** Has the command go on outside of its caller, where that was asked for. */
async function detached(session: Session, options: Options, dir: string): Promise<boolean> {
  if (options['detach'] !== true) return false;
  const log = join(dir, 'log');
  await startDetached(session.argv, { log, directory: session.directory, run: runProgram, systemd: hasSystemd() });
  session.print({ state: 'detached', log }, () => `it goes on by itself: podwright node status, and ${log}\n`);
  return true;
}

/** The settings by which podwright runs on this node; null where it does not. */
const runsBy = (previous: Journal | null): Settings | null =>
  previous !== null && presentSide(previous)?.type === 'podwright' ? previous.settings : null;

/** Whether a node that is on this release with these settings has nothing to change. */
const isSame = (previous: Journal, to: Podwright, settings: Settings): boolean => {
  const present = presentSide(previous);
  return (
    present?.type === 'podwright' &&
    present.release === to.release &&
    isDeepStrictEqual(previous.settings, settings) &&
    (to.config === null || to.config === readText(settings.configFile))
  );
};

/** Moves the node's kubelet to a release, or, where it is on podwright already, podwright to another release. */
export const switchNode: Run = async (session, _args, options) => {
  await underLock(session, options, async (place) => {
    const { store } = place;
    const previous = settled(store);
    const present = previous && presentSide(previous);
    const before = runsBy(previous);
    if (before !== null) refuseBeside(before);
    const settings = {
      ...settingsOf(options, session.directory, (before && pointerIn(before)) ?? 'found'),
      ...namedAs(before, text(options, 'config') !== null),
    };
    if (before !== null) refuseMoved(before, settings);
    const to = await podwrightSide(options, session.directory, settings);
    if (previous !== null && isSame(previous, to, settings)) return previous;
    if (present?.type === 'podwright')
      return carryOut(session, place, begin(session, { kind: 'upgrade', from: present, to, settings, previous }));
    const endpoint = endpointOf(text(options, 'fromEndpoint') ?? '', '--from-endpoint');
    const from: Side = { type: 'runtime', endpoint, name: '', version: '', pointer: null };
    return carryOut(session, place, begin(session, { kind: 'switch', from, to, settings, previous }));
  });
};

/** Brings the node back to the runtime that it had before podwright. */
export const revertNode: Run = async (session, _args, options) => {
  await underLock(session, options, (place) => revert(session, place));
};

async function revert(session: Session, place: Place): Promise<Journal> {
  const previous = settled(place.store);
  if (previous === null) throw failedPrecondition('this node was never switched by podwright');
  const from = presentSide(previous) ?? previous.from;
  if (from.type !== 'podwright') return previous;
  if (previous.origin === null) throw failedPrecondition('this node had no other runtime: see podwright uninstall');
  const { settings, origin } = previous;
  return carryOut(session, place, begin(session, { kind: 'revert', from, to: origin, settings, previous }));
}

/** Brings an interrupted transaction to its end; one that is over stays as it is. */
export const resumeNode: Run = async (session, _args, options) => {
  await underLock(session, options, async (place) => {
    const { store } = place;
    const journal = store.read();
    if (journal === null) throw failedPrecondition('nothing was ever changed on this node by podwright');
    if (journal.outcome !== null) {
      await armBoot(runProgram, journal, place.dir); // a kill right behind the end has left the unit
      if (journal.outcome !== 'done') session.failWith(1);
      return journal;
    }
    return carryOut(session, place, takenUp(journal, bootId()));
  });
};

/** Prints what runs the pods by the journal, and how far a change is. */
export const nodeStatus: Run = async (session, _args, options) => {
  const dir = journalDir(options, session.directory);
  const journal = journalStore(dir).read();
  if (journal === null)
    return session.print({ state: 'none' }, () => 'nothing was ever changed on this node by podwright\n');
  const underWay = await isLocked(dir);
  session.print(summary(journal, underWay), () => describe(journal, underWay));
};

/** Makes this machine a node of its own, or brings another release to one that is. */
export const installHere: Run = async (session, _args, options) => {
  if (options['start'] === false) return placeOnly(session, options);
  await underLock(session, options, async (place) => {
    const { store } = place;
    const previous = settled(store);
    const present = previous && presentSide(previous);
    const before = runsBy(previous);
    const settings = {
      ...settingsOf(options, session.directory, null),
      ...namedAs(before, text(options, 'config') !== null),
      ...(before && kept(before)),
    };
    if (before !== null) refuseMoved(before, settings);
    const to = await podwrightSide(options, session.directory, settings);
    if (previous !== null && isSame(previous, to, settings)) return previous;
    const from: Side = present?.type === 'podwright' ? present : { type: 'none' };
    const kind = from.type === 'none' ? 'install' : 'upgrade';
    return carryOut(session, place, begin(session, { kind, from, to, settings, previous }));
  });
};

/** Puts a release in place where podwright does not run, and leaves it at that. */
async function placeOnly(session: Session, options: Options): Promise<void> {
  const dir = journalDir(options, session.directory);
  const lock = await lockJournal(dir);
  try {
    const previous = settled(journalStore(dir));
    if (previous !== null && presentSide(previous)?.type === 'podwright')
      throw failedPrecondition(
        'podwright runs on this node: another release is brought by podwright install without --no-start',
      );
    const settings = settingsOf(options, session.directory, null);
    const to = await podwrightSide(options, session.directory, settings);
    const journal = begin(session, { kind: 'install', from: { type: 'none' }, to, settings, previous });
    await place(runProgram, journal, { side: to, signal: AbortSignal.timeout(settings.timeoutMs) });
    session.print({ state: 'placed', on: to }, () => `${sideName(to)} is at ${to.release}; it was not started\n`);
  } finally {
    lock.release();
  }
}

/** What was put in place without being started; null when nothing was. */
async function placedSide(settings: Settings): Promise<Podwright | null> {
  const link = readLink(join(settings.prefix, 'current'));
  if (link === null) return null;
  const release = resolve(settings.prefix, link);
  const side: Podwright = {
    type: 'podwright',
    release,
    version: (await readRelease(release)).version,
    endpoint: '',
    config: null,
  };
  const { socket } = await placesWith(runProgram, { settings, to: side }, AbortSignal.timeout(60_000));
  return { ...side, endpoint: `unix://${socket}` };
}

/** A node that was switched keeps its kubelet through an upgrade by `install`. */
const kept = ({ kubelet, kubernetes, graceMs }: Settings): Partial<Settings> =>
  kubelet === null ? {} : { kubelet, kubernetes, graceMs };

/** Takes podwright away: back to the runtime before, or to nothing; then its files. */
export const uninstallHere: Run = async (session, _args, options) => {
  const dir = journalDir(options, session.directory);
  if (await detached(session, options, dir)) return;
  const lock = await lockJournal(dir);
  try {
    const place = { store: journalStore(dir), dir };
    const previous = settled(place.store);
    const settings = previous?.settings ?? settingsOf(options, session.directory, null);
    const from = previous === null ? await placedSide(settings) : presentSide(previous);
    let last = previous;
    // what cannot be purged is told before anything changes
    if (options['purge'] === true) await rootToPurge(runProgram, settings);
    if (from?.type === 'podwright') {
      const to = previous?.origin ?? { type: 'none' as const };
      last = await carryOut(session, place, begin(session, { kind: 'uninstall', from, to, settings, previous }));
      if (last.outcome !== 'done') return session.print(summary(last, false), () => describe(last as Journal, false));
    }
    const removed = await removeInstalled({
      run: runProgram,
      settings,
      journalDir: dir,
      purge: options['purge'] === true,
    });
    session.print({ state: 'uninstalled', removed }, () => removed.map((path) => `removed ${path}\n`).join(''));
  } finally {
    lock.release();
  }
};

/** What `podwright node status -o json` prints. */
function summary(journal: Journal, underWay: boolean): object {
  const { outcome, stuck } = journal;
  const state = outcome ?? (underWay ? 'under-way' : stuck ? 'stuck' : 'interrupted');
  const present = presentSide(journal);
  return { state, on: present, transaction: journal };
}

function describe(journal: Journal, underWay: boolean): string {
  const { kind, from, to, outcome, step, failure, stuck, warnings, direction } = journal;
  const present = presentSide(journal);
  const states = { done: 'done', 'walked-back': 'walked back', refused: 'refused, nothing was changed' };
  const how = underWay ? 'under way' : 'interrupted: podwright node resume';
  return facts([
    ['Runs on', present === null ? 'it is being changed' : sideName(present)],
    ['Last change', `${kind} from ${sideName(from)} to ${sideName(to)}`],
    ['State', outcome === null ? `${how}, ${direction}${step === null ? '' : ` at ${step}`}` : states[outcome]],
    ...(failure ? [['Failed', `${failure.step}: ${failure.message}`] as const] : []),
    ...(stuck ? [['Stuck', `${stuck.step}: ${stuck.message}`] as const] : []),
    ...warnings.map((warning) => ['Warning', warning] as const),
  ]);
}
