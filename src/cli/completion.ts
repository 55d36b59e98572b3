// PURE
// What may stand where the cursor is: verbs, options, their values, or names of things that the daemon knows.
import type { ArgumentWords, CommandWords, OptionWords } from './words.ts';

/** Things with names that only the daemon knows. */
export type Noun = 'containers' | 'pods' | 'images';

/** What completes the last word. */
export interface Completion {
  /** Words and what they are about, all of which begin with the last word. */
  readonly words: readonly { readonly word: string; readonly about: string }[];
  /** Nouns whose names count too. */
  readonly nouns: readonly Noun[];
  /** Whether names of files count too. */
  readonly files: boolean;
  /** The socket that the line names, null for none. */
  readonly socket: string | null;
}

const nouns: Readonly<Record<string, readonly Noun[]>> = {
  container: ['containers'],
  pod: ['pods'],
  image: ['images'],
  id: ['containers', 'pods', 'images'],
};
const files = new Set(['file', 'path', 'command', 'target']);

/** Where the words before the last have led. */
interface Place {
  command: CommandWords;
  /** Options of the commands on the way too. */
  options: readonly OptionWords[];
  /** Positional arguments so far. */
  given: number;
  /** The option whose value comes next. */
  pending: OptionWords | null;
  /** Whether "--" was there. */
  ended: boolean;
  socket: string | null;
}

/** Completes the last of `line`, the words after the program's name; it may be "". */
export function complete(program: CommandWords, line: readonly string[]): Completion {
  const place: Place = {
    command: program,
    options: program.options,
    given: 0,
    pending: null,
    ended: false,
    socket: null,
  };
  for (const word of line.slice(0, -1)) step(place, word);
  return { ...candidates(place, line.at(-1) ?? ''), socket: place.socket };
}

function step(place: Place, word: string): void {
  if (place.pending !== null) {
    if (place.pending.names.includes('--socket')) place.socket = word;
    place.pending = null;
    return;
  }
  if (!place.ended && word.startsWith('-') && word !== '-') return stepOption(place, word);
  const next = place.given === 0 ? place.command.commands.find(({ name }) => name === word) : undefined;
  if (next === undefined) {
    place.given += 1;
    // what follows the container of an exec is the command's
    if (isCommandLine(place.command.args[place.given])) place.ended = true;
    return;
  }
  place.command = next;
  place.options = [...place.options, ...next.options];
}

function stepOption(place: Place, word: string): void {
  if (word === '--') {
    place.ended = true;
    return;
  }
  const [, name = word, value] = /^(--[^=]+)=(.*)$/.exec(word) ?? [];
  const option = place.options.find(({ names }) => names.includes(name));
  if (option?.names.includes('--socket') && value !== undefined) place.socket = value;
  if (option?.takesValue && value === undefined) place.pending = option;
}

const isCommandLine = (argument: ArgumentWords | undefined): boolean => argument?.name === 'command';

type Found = Omit<Completion, 'socket'>;

const none: Found = { words: [], nouns: [], files: false };

function candidates({ command, options, given, pending, ended }: Place, last: string): Found {
  const matching = (words: Found['words']): Found['words'] => words.filter(({ word }) => word.startsWith(last));
  if (pending !== null) return valuesOf(pending, last, '');
  const [, name, value] = /^(--[^=]+)=(.*)$/.exec(last) ?? [];
  const option = options.find(({ names }) => name !== undefined && names.includes(name));
  if (option !== undefined && !ended) return valuesOf(option, value ?? '', `${name}=`);
  if (last.startsWith('-') && !ended) {
    const long = options.flatMap(({ names, about }) => names.slice(-1).map((word) => ({ word, about })));
    // a verb has options of the program and of itself by one name
    const each = new Map([{ word: '--help', about: 'print help' }, ...long].map((one) => [one.word, one]));
    return { ...none, words: matching([...each.values()]) };
  }
  const verbs = given === 0 ? command.commands.map((one) => ({ word: one.name, about: one.about })) : [];
  const argument = command.args[given] ?? command.args.findLast(({ variadic }) => variadic);
  if (argument === undefined || (given >= command.args.length && !argument.variadic))
    return { ...none, words: matching(verbs) };
  const choices = argument.choices.map((word) => ({ word, about: '' }));
  return {
    words: matching([...verbs, ...choices]),
    nouns: nouns[argument.name] ?? [],
    files: files.has(argument.name),
  };
}

function valuesOf(option: OptionWords, begun: string, before: string): Found {
  const words = option.choices
    .filter((word) => word.startsWith(begun))
    .map((word) => ({ word: `${before}${word}`, about: '' }));
  return { words, nouns: [], files: option.choices.length === 0 && /<(path|file)>/.test(option.flags) };
}

/** The line that asks a shell to complete names of files. */
export const filesMark = ':files';

/** The names for a shell: one line each, the word, a tab, what it is about. */
export function completionText(words: Found['words'], withFiles: boolean): string {
  const lines = words.map(({ word, about }) => `${word}\t${about.replaceAll(/\s+/g, ' ')}\n`);
  return `${lines.join('')}${withFiles ? `${filesMark}\n` : ''}`;
}
