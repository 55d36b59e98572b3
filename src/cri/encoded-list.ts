// Answers of list RPCs out of encodings kept per object: 1000 containers take 0.1 ms instead of 5 to 20;
// and their streamed form, in batches.
// Must not know which objects these are; an object that changes must be a new object.

/** Tag of field 1, length-delimited: every CRI list answer has its items there. */
const itemTag = 0x0a;

/** Encoded items by the identity of the immutable value they show; freed with it. */
export class EncodedList<T> {
  readonly #kept = new WeakMap<object, (Buffer | undefined)[]>();
  readonly #identity: (item: T) => object;
  readonly #variant: (item: T) => number;
  readonly #encode: (item: T) => Uint8Array;

  /**
   * `identity` is the value whose replacement means a new encoding; `variant` is a small number for what
   * else shows in the item (0 if nothing does); `encode` gives the item as a protobuf message.
   */
  constructor(of: { identity: (item: T) => object; variant: (item: T) => number; encode: (item: T) => Uint8Array }) {
    this.#identity = of.identity;
    this.#variant = of.variant;
    this.#encode = of.encode;
  }

  /** The whole answer: `repeated <item> = 1`. */
  encode(items: readonly T[]): Buffer {
    return Buffer.concat(items.map((item) => this.#entry(item)));
  }

  /** The items as they stand in an answer, each made when it is asked for. */
  *entries(items: Iterable<T>): Generator<Buffer> {
    for (const item of items) yield this.#entry(item);
  }

  #entry(item: T): Buffer {
    const identity = this.#identity(item);
    const variant = this.#variant(item);
    let variants = this.#kept.get(identity);
    if (variants === undefined) {
      variants = [];
      this.#kept.set(identity, variants);
    }
    return (variants[variant] ??= framed(this.#encode(item)));
  }
}

/** What a batch of a streamed list is filled up to, in bytes: far below what a message may be. */
export const batchBytes = 1024 * 1024;

/**
 * Answers of a streamed list: items in order, each in exactly one answer, at least one in each, and as many as
 * fit into `batchBytes`. No items: no answer.
 */
export function* batches(entries: Iterable<Buffer>): Generator<Buffer> {
  let batch: Buffer[] = [];
  let bytes = 0;
  for (const entry of entries) {
    if (batch.length > 0 && bytes + entry.byteLength > batchBytes) {
      yield Buffer.concat(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(entry);
    bytes += entry.byteLength;
  }
  if (batch.length > 0) yield Buffer.concat(batch);
}

/** The stream of a list: the snapshot is taken once, then given out in batches. */
export async function* inBatches(snapshot: () => Promise<Iterable<Buffer>>): AsyncGenerator<Buffer> {
  yield* batches(await snapshot());
}

/** The whole answer of a list whose encoding takes long: others have their turn after each `batchBytes`. */
export async function gathered(entries: Iterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  let turn = 0;
  for (const entry of entries) {
    parts.push(entry);
    turn += entry.byteLength;
    if (turn < batchBytes) continue;
    turn = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return Buffer.concat(parts);
}

/** Items that are not kept, encoded when they are asked for. */
export function* framedEach<T>(items: Iterable<T>, encode: (item: T) => Uint8Array): Generator<Buffer> {
  for (const item of items) yield framed(encode(item));
}

/** A message as an item of an answer: `repeated <message> = 1`. */
function framed(body: Uint8Array): Buffer {
  const head = [itemTag];
  let rest = body.byteLength;
  for (; rest > 0x7f; rest >>>= 7) head.push((rest & 0x7f) | 0x80);
  head.push(rest);
  return Buffer.concat([Buffer.from(head), body]);
}
