// PURE
// Patterns of hook files: written for Go (RE2 syntax), matched here by JavaScript.
import type { Expression } from '../lib/bounded-expression.ts';
import { name, type Read, wrong } from '../lib/document.ts';

/** ASCII classes of RE2, as members of a class. */
const posix: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  blank: '\\t ',
  digit: '0-9',
  lower: 'a-z',
  punct: '!-\\/:-@\\[-`{-~',
  space: '\\s',
  upper: 'A-Z',
  word: '\\w',
  xdigit: '0-9A-Fa-f',
};

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

function characterClass(rest: string): Part {
  let by = rest.startsWith('[^') ? '[^' : '[';
  let at = by.length;
  for (let first = true; at < rest.length; first = false) {
    const here = rest.slice(at);
    if (here.startsWith(']') && !first) return { length: at + 1, by: `${by}]` };
    const named = /^\[:(\w+):\]/.exec(here);
    const part = named
      ? { length: named[0].length, by: posix[named[1] ?? ''] ?? foreign(named[0]) }
      : here.startsWith('\\')
        ? escape(here, true)
        : { length: 1, by: /[[\]]/.test(here[0] ?? '') ? literal(here[0] ?? '') : (here[0] ?? '') };
    by += part.by;
    at += part.length;
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
