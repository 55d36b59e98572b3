// PURE
// Terminal sizes as clients send them: JSON objects one after another, with or without line breaks between them.
import type { TerminalSize } from './streams.ts';

/** An object is some thirty bytes; of what is longer only the end is looked at. */
const longest = 256;
/** So much of what came at once is looked at, from its end: sizes that others follow soon mean nothing. */
const mostRead = 4096;
/** Columns and rows are sixteen bits in the kernel (ioctl_tty(2), TIOCSWINSZ). */
const largest = 0xffff;

/** Finds the sizes in a byte stream. What is no size is skipped: a terminal of the wrong size is no reason to end it. */
export class ResizeReader {
  readonly #then: (size: TerminalSize) => void;
  #text = '';

  constructor(then: (size: TerminalSize) => void) {
    this.#then = then;
  }

  /** Takes what arrived; always true, as sizes are never waited for. */
  push(bytes: Uint8Array): true {
    const last = bytes.subarray(-mostRead);
    const text = Buffer.from(last.buffer, last.byteOffset, last.length).toString('latin1');
    this.#text = last.length < bytes.length ? text : this.#text + text;
    for (;;) {
      const end = this.#text.indexOf('}');
      if (end < 0) break;
      const size = sizeOf(this.#text.slice(Math.max(0, end + 1 - longest), end + 1));
      this.#text = this.#text.slice(end + 1);
      if (size) this.#then(size);
    }
    this.#text = this.#text.slice(-longest);
    return true;
  }
}

/** `{"Width": columns, "Height": rows}`; null for anything else. */
export function sizeOf(text: string): TerminalSize | null {
  const [, width, height] = [
    text,
    ...[/"width"\s*:\s*(\d{1,5})\b/i, /"height"\s*:\s*(\d{1,5})\b/i].map((part) => Number(part.exec(text)?.[1])),
  ];
  const fits = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value <= largest;
  return fits(width) && fits(height) ? { width, height } : null;
}
