// Changes of bytes by chance.
import * as fc from 'fast-check';

/** One change of bytes. */
type Mutation =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'drop' | 'twice'; readonly at: number; readonly length: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array };

const at = fc.nat(4096);
const length = fc.integer({ min: 1, max: 64 });

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at, bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('cut' as const), at }),
  fc.record({ kind: fc.constantFrom('drop' as const, 'twice' as const), at, length }),
  fc.record({ kind: fc.constant('insert' as const), at, bytes: fc.uint8Array({ minLength: 1, maxLength: 16 }) }),
);

/** Bytes with a change made; places count from the start again behind the end. */
function mutate(bytes: Buffer, change: Mutation): Buffer {
  const here = bytes.length === 0 ? 0 : change.at % bytes.length;
  const [before, after] = [bytes.subarray(0, here), bytes.subarray(here)];
  switch (change.kind) {
    case 'flip': {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[here] = (copy[here] ?? 0) ^ (1 << change.bit);
      return copy;
    }
    case 'cut':
      return before;
    case 'drop':
      return Buffer.concat([before, after.subarray(change.length)]);
    case 'twice':
      return Buffer.concat([before, after.subarray(0, change.length), after]);
    case 'insert':
      return Buffer.concat([before, change.bytes, after]);
  }
}

/** Up to four changes, as a function. */
export const mutateBytes: fc.Arbitrary<(bytes: Buffer) => Buffer> = fc
  .array(mutation, { minLength: 1, maxLength: 4 })
  .map((changes) => (bytes) => changes.reduce(mutate, bytes));
