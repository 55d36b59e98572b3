// The host below this pod: programs of the release there, run in the host's own namespaces.
// Must not decide what is run.
import { execFile } from 'node:child_process';
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { failureChain, internal, unavailable } from '../lib/failure.ts';
import { listing } from '../release/release.ts';
import { changeRuns, lastLine, processNamed } from './processes.ts';
import type { NodeSeen, SideSeen } from './decide.ts';
import type { HostPlaces } from './words.ts';

/** Runs a program to its end and answers its standard output; a status other than 0 is a Failure with what it said. */
export type RunProgram = (argv: readonly string[], signal: AbortSignal) => Promise<string>;

/** Longest that a command on the host may take; changes go on by themselves after theirs has ended. */
const commandMs = 120_000;

/** Runs programs of the image. */
export const runProgram: RunProgram = ([file = '', ...args], signal) => {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { signal: AbortSignal.any([signal, AbortSignal.timeout(commandMs)]), maxBuffer: 16 << 20 };
  execFile(file, args, options, (error, stdout, stderr) => {
    if (error === null) return resolve(stdout);
    const said = stderr.trim().split('\n').at(-1) ?? '';
    reject(unavailable(`run ${args.join(' ')}`, said === '' ? error : new Error(said)));
  });
  return promise;
};

/** Into the mount, uts, ipc, network and pid namespaces of a process. */
const intoNamespacesOf = (pid: number): readonly string[] => [
  'nsenter',
  '-t',
  `${pid}`,
  '-m',
  '-u',
  '-i',
  '-n',
  '-p',
  '--',
];

/** Where releases and the journal lie on the host. */
export interface Places extends Pick<HostPlaces, 'prefix' | 'journalDir' | 'process'> {
  /** The prefix as this pod sees it. */
  readonly seen: string;
}

/** Names in a directory; null where none is. */
const namesIn = (directory: string): Promise<readonly string[] | null> =>
  readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw error;
  });

/** Names of the releases of the host, and of what a removal that was cut short has left of one; no other's. */
async function releaseNames({ seen }: Places): Promise<readonly string[]> {
  const names = (await namesIn(join(seen, 'releases'))) ?? [];
  const ours: string[] = [];
  for (const name of names.filter((one) => !one.startsWith('.'))) {
    const within = await namesIn(join(seen, 'releases', name));
    if (within !== null && (within.length === 0 || within.includes(listing))) ours.push(name);
  }
  return ours.sort();
}

/** Whether a release has its program: one whose removal was cut short has lost it first. */
const answers = (release: string): Promise<boolean> =>
  access(join(release, 'bin/podwright')).then(
    () => true,
    () => false,
  );

/** Those of some directories below a root that are there and have nothing in them. */
export async function emptyOnes(root: string, directories: readonly string[]): Promise<readonly string[]> {
  const empty: string[] = [];
  for (const directory of directories) {
    const names = await namesIn(join(root, directory));
    if (names?.length === 0) empty.push(directory);
  }
  return empty;
}

/** The host of this pod. */
export class Host {
  readonly #run: RunProgram;
  readonly #places: Places;

  readonly #proc: string;

  constructor(run: RunProgram, places: Places, proc = '/proc') {
    this.#run = run;
    this.#places = places;
    this.#proc = proc;
  }

  /** Any release that can answer questions: `preferred`, or else the last by name; null when there is none. */
  async release(preferred: string): Promise<string | null> {
    const { prefix, seen } = this.#places;
    const names: string[] = [];
    for (const one of await releaseNames(this.#places)) if (await answers(join(seen, 'releases', one))) names.push(one);
    const name = names.find((one) => join(prefix, 'releases', one) === preferred) ?? names.at(-1);
    return name === undefined ? null : join(prefix, 'releases', name);
  }

  /** Whether all that is left of releases cannot answer, and nothing is at it: their removal was cut short. */
  async isTorn(): Promise<boolean> {
    // first: what runs may be at the removal, and what has ended is at its end
    if (await changeRuns(this.#places.journalDir, this.#proc)) return false;
    return (await this.release('')) === null && (await releaseNames(this.#places)).length > 0;
  }

  /** What the journal of the host says. */
  async look(preferred: string, signal: AbortSignal): Promise<NodeSeen> {
    const release = await this.release(preferred);
    // before the journal: what has ended since then has written it
    const changing = await changeRuns(this.#places.journalDir, this.#proc);
    const staged = (await releaseNames(this.#places)).length > 0;
    if (release === null && staged && !changing)
      throw unavailable(`ask the host: no release below ${this.#places.prefix} has its program`);
    if (release === null) return { state: 'none', on: null, transaction: null, staged, changing };
    const text = await this.#podwright(
      release,
      ['node', 'status', '-o', 'json', `--journal-dir=${this.#places.journalDir}`],
      signal,
    );
    return { ...parseStatus(text), staged: true, changing };
  }

  /** Begins a command that goes on by itself on the host, outside of this pod's cgroup. */
  async begin(release: string, words: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#podwright(release, [...words, '--detach'], signal);
  }

  /** The last line of the log of commands that were begun; "" without one. */
  async lastWords(): Promise<string> {
    const pid = await processNamed(this.#places.process, this.#proc);
    return lastLine(join(this.#proc, `${pid}`, 'root', this.#places.journalDir, 'log'));
  }

  /**
   * Removes directories of the host that have nothing in them; others are left. One that cannot be removed is only logged.
   * The host's own rmdir does it: from here the kernel would take away what is mounted on a directory on the host, where
   * the host's process is told that it is busy (mount_namespaces(7)).
   */
  async removeEmpty(
    directories: readonly string[],
    log: (message: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const pid = await processNamed(this.#places.process, this.#proc);
      for (const directory of await emptyOnes(join(this.#proc, `${pid}`, 'root'), directories))
        await this.#run([...intoNamespacesOf(pid), 'rmdir', directory], signal).catch((error: unknown) =>
          log(`could not remove ${directory} of the host: ${failureChain(error)}`),
        );
    } catch (error) {
      log(`could not look for empty directories of the host: ${failureChain(error)}`);
    }
  }

  async #podwright(release: string, words: readonly string[], signal: AbortSignal): Promise<string> {
    const into = intoNamespacesOf(await processNamed(this.#places.process, this.#proc));
    return this.#run([...into, join(release, 'bin/podwright'), ...words], signal);
  }
}

type Loose = Readonly<Record<string, unknown>>;

const states = ['none', 'under-way', 'interrupted', 'stuck', 'done', 'walked-back', 'refused'] as const;
const sides = ['podwright', 'runtime', 'none'] as const;

const table = (value: unknown): Loose | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Loose) : null;
const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** What `podwright node status -o json` printed, which another release may have written: keys not known are let be. */
export function parseStatus(printed: string): Omit<NodeSeen, 'staged' | 'changing'> {
  let document: Loose | null;
  try {
    document = table(JSON.parse(printed));
  } catch (error) {
    throw internal('read podwright node status', error);
  }
  const state = states.find((one) => one === document?.['state']);
  if (state === undefined) throw internal(`podwright node status says ${JSON.stringify(document?.['state'])}`);
  return { state, on: sideOf(document?.['on']), transaction: transactionOf(table(document?.['transaction'])) };
}

function sideOf(value: unknown): SideSeen | null {
  const side = table(value);
  const type = sides.find((one) => one === side?.['type']);
  return side === null || type === undefined
    ? null
    : { type, release: text(side['release']), config: text(side['config']) };
}

function transactionOf(journal: Loose | null): NodeSeen['transaction'] {
  if (journal === null) return null;
  const failed = table(journal['stuck']) ?? table(journal['failure']);
  return {
    id: text(journal['id']) ?? '',
    kind: text(journal['kind']) ?? '',
    step: text(journal['step']),
    direction: text(journal['direction']) ?? '',
    movesKubelet:
      table(journal['origin'])?.['type'] === 'runtime' && table(table(journal['settings'])?.['kubelet']) !== null,
    wish: text(table(journal['settings'])?.['wish']),
    failure: failed === null ? null : `${text(failed['step'])}: ${text(failed['message'])}`,
  };
}
