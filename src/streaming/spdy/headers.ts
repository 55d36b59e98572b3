// Headers of SPDY/3.1 streams: name/value blocks, and the one zlib state that all blocks of a direction share.
// Must not know what any header means.
import { constants, createInflate, type Inflate } from 'node:zlib';
import { headerDictionary, headerDictionaryId } from './dictionary.ts';
import { SpdyError } from './frames.ts';

/** Header values by lower-case name. */
export type Headers = ReadonlyMap<string, string>;

/** Bytes of one block after inflating, at most. */
export const longestHeaderBlock = 16 * 1024;

/** Reads a name/value block (2.6.10). Throws SpdyError. */
export function parseHeaders(block: Buffer): Headers {
  const headers = new Map<string, string>();
  let at = 0;
  const number = (): number => {
    if (at + 4 > block.length) throw new SpdyError('a header block ends early');
    at += 4;
    return block.readUInt32BE(at - 4);
  };
  const text = (): string => {
    const length = number();
    if (length > block.length - at) throw new SpdyError('a header is longer than its block');
    at += length;
    return block.toString('latin1', at - length, at);
  };
  const count = number();
  for (let i = 0; i < count; i += 1) {
    const name = text();
    if (name === '' || name !== name.toLowerCase() || headers.has(name))
      throw new SpdyError(`the header name ${JSON.stringify(name.slice(0, 64))}`);
    headers.set(name, text());
  }
  if (at !== block.length) throw new SpdyError('a header block has bytes behind its last header');
  return headers;
}

/** A name/value block of these headers. */
export function headerBlock(headers: Headers): Buffer {
  const parts = [number(headers.size)];
  for (const [name, value] of headers) {
    for (const text of [name, value])
      parts.push(number(Buffer.byteLength(text, 'latin1')), Buffer.from(text, 'latin1'));
  }
  return Buffer.concat(parts);
}

function number(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

/** Inflates the header blocks of one direction, one at a time. */
export class HeaderInflater {
  readonly #inflate: Inflate = createInflate({ dictionary: headerDictionary, finishFlush: constants.Z_SYNC_FLUSH });
  #pieces: Buffer[] = [];
  #bytes = 0;
  #failed: ((error: Error) => void) | null = null;
  #error: Error | null = null;

  constructor() {
    this.#inflate.on('data', (piece: Buffer) => {
      this.#bytes += piece.length;
      if (this.#bytes > longestHeaderBlock)
        this.#fail(new SpdyError(`a header block of over ${longestHeaderBlock} bytes`));
      else this.#pieces.push(piece);
    });
    this.#inflate.on('error', (error) =>
      this.#fail(new SpdyError('a header block cannot be inflated', { cause: error })),
    );
    this.#inflate.on('end', () => this.#fail(new SpdyError('the compression of headers was ended')));
  }

  /** The headers of the next block. Rejects with SpdyError; all later calls do then. */
  async read(block: Buffer): Promise<Headers> {
    if (this.#error) throw this.#error;
    this.#pieces = [];
    this.#bytes = 0;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#failed = reject;
    this.#inflate.write(block, (error) => (error ? this.#fail(error) : resolve()));
    await promise;
    this.#failed = null;
    return parseHeaders(Buffer.concat(this.#pieces));
  }

  /** Frees the memory of the compression. */
  close(): void {
    this.#fail(new SpdyError('the connection is closed'));
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#failed?.(this.#error);
    this.#inflate.destroy();
  }
}

/**
 * Header blocks for sending, as zlib's stored blocks (RFC 1951, 3.2.4): what we send has four bytes, which no
 * compression makes shorter, and so no state has to be kept. Each ends with an empty block, the sync mark.
 */
export class HeaderWriter {
  #begun = false;

  /** The next block; at most 65,535 bytes. */
  write(headers: Headers): Buffer {
    const block = headerBlock(headers);
    if (block.length > 0xffff) throw new RangeError(`headers of ${block.length} bytes`);
    const stored = Buffer.alloc(5);
    stored.writeUInt16LE(block.length, 1);
    stored.writeUInt16LE(0xffff - block.length, 3);
    const mark = Buffer.from([0, 0, 0, 0xff, 0xff]);
    const head = this.#begun ? [] : [Buffer.from([0x78, 0xbb]), number(headerDictionaryId)];
    this.#begun = true;
    return Buffer.concat([...head, stored, block, mark]);
  }
}
