// PURE
// Where a client's WebSocket frames begin and end (RFC 6455, 5.2): the library that reads them does not tell.
// Must not judge them: what is wrong is the library's to refuse.

/** Follows the bytes of a connection. */
export class FrameTrack {
  /** Of a head that has not come whole. */
  readonly #head = new Uint8Array(14);
  #have = 0;
  /** Payload of the current frame that is to come. */
  #left = 0;
  /** Whether the current frame ends a message. */
  #ends = false;
  #messages = 0;

  /** Messages that have come whole; pings and their like are none. */
  get messages(): number {
    return this.#messages;
  }

  /** Bytes to the end of the current frame, 0 between frames; null inside a head. */
  get left(): number | null {
    return this.#have > 0 ? null : this.#left;
  }

  /** Takes what arrived. */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left > 0) {
        const count = Math.min(this.#left, bytes.length - at);
        at += count;
        this.#left -= count;
        if (this.#left === 0) this.#end();
      } else {
        this.#head[this.#have] = bytes[at] ?? 0;
        this.#have += 1;
        at += 1;
        if (this.#have >= 2 && this.#have === this.#headLength()) this.#begin();
      }
    }
  }

  #headLength(): number {
    const second = this.#head[1] ?? 0;
    const length = second & 0x7f;
    return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (second >= 0x80 ? 4 : 0);
  }

  #begin(): void {
    const view = new DataView(this.#head.buffer);
    const first = view.getUint8(0);
    const length = view.getUint8(1) & 0x7f;
    this.#left = length === 126 ? view.getUint16(2) : length === 127 ? Number(view.getBigUint64(2)) : length;
    this.#ends = first >= 0x80 && (first & 0x0f) < 8; // FIN, and no control frame
    this.#have = 0;
    if (this.#left === 0) this.#end();
  }

  #end(): void {
    if (this.#ends) this.#messages += 1;
  }
}
