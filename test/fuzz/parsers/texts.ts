// Texts for parsers: pieces of the language in any order, whole examples with a few changes, long repetitions, noise.
import * as fc from 'fast-check';

/** What a language is made of. */
export interface Language {
  /** Words and signs; any sequence of them is tried. */
  readonly pieces: readonly string[];
  /** Texts that are right, as starting points of mutations. */
  readonly samples: readonly string[];
}

const noise = fc.oneof(fc.string({ unit: 'binary', maxLength: 60 }), fc.string({ unit: 'grapheme', maxLength: 60 }));

/** Any text that may be given to a parser of that language. */
export function texts({ pieces, samples }: Language): fc.Arbitrary<string> {
  const piece = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...pieces) }, { weight: 1, arbitrary: noise });
  const sequence = fc.array(piece, { maxLength: 40 }).map((list) => list.join(''));
  // what a regular expression with two ways to match the same is slow at
  const repeated = fc
    .tuple(sequence, fc.array(piece, { minLength: 1, maxLength: 3 }), fc.nat(20_000), sequence)
    .map(
      ([start, list, count, end]) =>
        `${start}${list.join('').repeat(Math.min(count, 100_000))}`.slice(0, 200_000) + end,
    );
  return fc.oneof(
    { weight: 4, arbitrary: sequence },
    { weight: 6, arbitrary: mutated(samples, piece) },
    { weight: 1, arbitrary: repeated },
    { weight: 1, arbitrary: noise },
  );
}

/** A sample in which some places are cut out, doubled or replaced. */
function mutated(samples: readonly string[], piece: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const change = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(12), fc.option(piece, { nil: null }));
  return fc.tuple(fc.constantFrom(...samples), fc.array(change, { maxLength: 4 })).map(([sample, changes]) =>
    changes.reduce((text, [where, length, insert]) => {
      const at = Math.floor(where * text.length);
      const cut = text.slice(at, at + length);
      return text.slice(0, at) + (insert ?? cut + cut) + text.slice(at + length);
    }, sample),
  );
}

/** A JSON document whose objects have the keys of the language, with values of every kind in every place. */
export function documents(keys: readonly string[], words: readonly string[]): fc.Arbitrary<unknown> {
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, depthSize: 'medium' },
      fc.constantFrom<unknown>(...words, null, true, 0, -1, 1.5, 2 ** 53, Number.MAX_VALUE, ''),
      fc.string({ unit: 'binary', maxLength: 10 }),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.oneof(fc.constantFrom(...keys, '__proto__', 'constructor'), noise), tie('value'), {
        maxKeys: 8,
      }),
    ),
  }));
  return value;
}
