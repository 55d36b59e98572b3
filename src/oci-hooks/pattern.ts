// PURE
// Patterns of hook files: written for Go (RE2 syntax), matched here by JavaScript.
import type { Expression } from '../lib/bounded-expression.ts';
import { name, type Read, wrong } from '../lib/document.ts';

type Range = readonly [first: number, last: number];

const [digits, upper, lower]: readonly [Range, Range, Range] = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x61, 0x7a],
];

/** ASCII classes of RE2, each in order. */
const posix: Readonly<Record<string, readonly Range[]>> = {
  alnum: [digits, upper, lower],
  alpha: [upper, lower],
  ascii: [[0, 0x7f]],
  blank: [
    [0x09, 0x09],
    [0x20, 0x20],
  ],
  cntrl: [
    [0, 0x1f],
    [0x7f, 0x7f],
  ],
  digit: [digits],
  graph: [[0x21, 0x7e]],
  lower: [lower],
  print: [[0x20, 0x7e]],
  punct: [
    [0x21, 0x2f],
    [0x3a, 0x40],
    [0x5b, 0x60],
    [0x7b, 0x7e],
  ],
  space: [
    [0x09, 0x0d],
    [0x20, 0x20],
  ],
  upper: [upper],
  word: [digits, upper, [0x5f, 0x5f], lower],
  xdigit: [digits, [0x41, 0x46], [0x61, 0x66]],
};

/** All characters that are in none of some ranges. */
function complement(ranges: readonly Range[]): readonly Range[] {
  const starts = [0, ...ranges.map(([, last]) => last + 1)];
  const ends = [...ranges.map(([first]) => first - 1), 0x10_ffff];
  return starts.map((first, at) => [first, ends[at] ?? first] as const).filter(([first, last]) => first <= last);
}

/** As members of a class. */
const members = (ranges: readonly Range[]): string =>
  ranges.map((range) => range.map((code) => `\\u{${code.toString(16)}}`).join('-')).join('');

interface Part {
  /** What is replaced, from the place that is looked at. */
  readonly length: number;
  readonly by: string;
}

/** What has no translation, or none that means the same. */
const foreign = (what: string): never => {
  throw new SyntaxError(`${what} is not understood`);
};

function escape(rest: string, inClass: boolean): Part {
  const hex = /^\\x\{([0-9A-Fa-f]+)\}/.exec(rest);
  if (hex) return { length: hex[0].length, by: `\\u{${hex[1]}}` };
  const property = /^\\([pP])(?:\{(\^?)(\w+)\}|(\w))/.exec(rest);
  if (property) {
    const [all, letter = 'p', not, long, short] = property;
    const sign = not === '^' ? (letter === 'p' ? 'P' : 'p') : letter;
    const of = long ?? short ?? '';
    return { length: all.length, by: `\\${sign}{${of.length > 2 ? `Script=${of}` : of}}` };
  }
  const letter = rest[1] ?? '';
  if (/[dDwWsStnrfvx]/.test(letter)) return { length: 2, by: rest.slice(0, 2) };
  if (letter === 'a') return { length: 2, by: '\\x07' };
  if (!inClass && /[bB]/.test(letter)) return { length: 2, by: rest.slice(0, 2) };
  if (!inClass && letter === 'A') return { length: 2, by: '(?<![\\s\\S])' };
  if (!inClass && letter === 'z') return { length: 2, by: '(?![\\s\\S])' };
  if (/[0-9A-Za-z]|^$/.test(letter)) return foreign(`\\${letter}`);
  return { length: 2, by: literal(letter) };
}

/** The character alone. */
const literal = (character: string): string =>
  /[$()*+./?[\\\]^{|}-]/.test(character) ? (character === '-' ? '\\x2d' : `\\${character}`) : character;

/** "[:digit:]", or "[:^digit:]" for all others. */
function namedClass(rest: string): Part | null {
  const [all, not, name = ''] = /^\[:(\^?)(\w+):\]/.exec(rest) ?? [];
  if (all === undefined) return null;
  const ranges = posix[name] ?? foreign(all);
  return { length: all.length, by: members(not === '^' ? complement(ranges) : ranges) };
}

function classMember(rest: string): Part {
  if (rest.startsWith('\\')) return escape(rest, true);
  const first = rest[0] ?? '';
  return { length: 1, by: /[[\]]/.test(first) ? literal(first) : first };
}

function characterClass(rest: string): Part {
  let by = rest.startsWith('[^') ? '[^' : '[';
  let at = by.length;
  for (let first = true; at < rest.length; first = false) {
    const here = rest.slice(at);
    if (here.startsWith(']') && !first) return { length: at + 1, by: `${by}]` };
    const named = namedClass(here);
    const part = named ?? classMember(here);
    by += part.by;
    at += part.length;
    // nothing ranges from several characters: a hyphen after them is one
    if ((named !== null || /^\\[dDwWsSpP]/.test(here)) && /^-[^\]]/.test(rest.slice(at))) {
      by += literal('-');
      at += 1;
    }
  }
  return foreign('a class without its end');
}

function group(rest: string): Part {
  if (rest.startsWith('(?P<')) return { length: 4, by: '(?<' };
  const plain = /^\((?:\?:|\?<(?![=!])|\?[ims]*(?:-[ims]+)?:|(?!\?))/.exec(rest);
  if (plain) return { length: plain[0].length, by: plain[0] };
  return foreign(rest.slice(0, 3));
}

function part(rest: string): Part {
  const first = rest[0] ?? '';
  if (first === '\\') return escape(rest, false);
  if (first === '[') return characterClass(rest);
  if (first === '(') return group(rest);
  const count = /^\{\d+(?:,\d*)?\}/.exec(rest);
  if (count) return { length: count[0].length, by: count[0] };
  return { length: 1, by: /[\]{}]/.test(first) ? literal(first) : first };
}

/** The same pattern for JavaScript; a SyntaxError for one that has none. */
export function fromGo(pattern: string): Expression {
  const [, head = '', body = ''] = /^(?:\(\?([ims]+)\))?([\s\S]*)$/.exec(pattern) ?? [];
  let source = '';
  for (let at = 0; at < body.length;) {
    const { length, by } = part(body.slice(at));
    source += by;
    at += length;
  }
  const flags = `u${[...new Set(head)].join('')}`;
  return { source: new RegExp(source, flags).source, flags };
}

/** A pattern in a document. */
export const pattern: Read<Expression> = (value, at) => {
  const text = name(value, at);
  try {
    return fromGo(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return wrong(at, `${JSON.stringify(text)} is no pattern: ${error.message}`);
  }
};
