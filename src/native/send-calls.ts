// Blobs to registries (native/crates/addon/src/fetch.rs): a section of boundary.ts.
import type { FetchSource } from './fetch-calls.ts';
import type { Outcome } from './outcome.ts';

// Failures as in fetch-calls.ts. An answer that refuses is none: which request follows is not decided there.

/** Bytes of a file, and where they go: one request, no redirect followed. */
export interface SendBlobRequest extends Omit<FetchSource, 'attempts'> {
  readonly method: 'PUT' | 'PATCH';
  /** From the last byte to the answer: a registry may have to look at all of it first. */
  readonly answerMs: number;
  /** Where the URL's host may be: `any` if the operator or the user named it, else as far as the server that did may lead. */
  readonly reach: 'any' | 'machine' | 'network';
  /** A whole file is held against its digest while it is sent; another is cut off before its end (stage 'digest'). */
  readonly file: { readonly path: string; readonly digest: string; readonly size: number };
  /** The part's first byte, and the one behind its last. */
  readonly begin: number;
  readonly end: number;
}

/** What the server answered. */
export interface SentBlob {
  readonly status: number;
  /** Headers as they were sent: Location, Range, Retry-After. */
  readonly location: string | null;
  readonly range: string | null;
  readonly retryAfter: string | null;
  /** How far this server may lead. */
  readonly leads: 'machine' | 'network';
  /** The first 4 KiB of the answer, base64. */
  readonly body: string;
}

export interface SendExports {
  /** Sends bytes and reads the answer. */
  sendBlob(request: SendBlobRequest): Promise<Outcome<SentBlob>>;
}
