// Runs one of the addon's long calls so that the caller's signal stops it.
// Must not choose what is fetched.
import { throwIfAborted } from '../lib/failure.ts';
import { fetchFailure } from './native-failure.ts';
import type { Digest } from '../lib/id.ts';
import type { FetchBounds, FetchFrom, StorageNative } from './ports.ts';

export interface FetchCall<T> {
  /** Unique among running fetches. */
  readonly handle: string;
  /** "get layer sha256:…". */
  readonly doing: string;
  /** "" where no host is asked. */
  readonly host: string;
  readonly signal: AbortSignal;
  readonly start: () => Promise<T>;
}

/** The result of the call; when the signal fires, the call is cancelled and its end awaited. */
export async function fetchCall<T>(native: Pick<StorageNative, 'fetchCancel'>, call: FetchCall<T>): Promise<T> {
  throwIfAborted(call.signal, call.doing);
  const cancel = (): void => void native.fetchCancel({ handle: call.handle });
  const running = call.start();
  call.signal.addEventListener('abort', cancel, { once: true });
  try {
    return await running;
  } catch (error) {
    throwIfAborted(call.signal, call.doing);
    throw fetchFailure(error, call.doing, call.host);
  } finally {
    call.signal.removeEventListener('abort', cancel);
  }
}

/** A blob that becomes a file. */
export interface FileFetch {
  readonly digest: Digest;
  readonly size: number;
  /** Absolute; written by rename, synced. */
  readonly path: string;
  /** Unique among running fetches. */
  readonly handle: string;
}

interface FileHands {
  readonly native: Pick<StorageNative, 'fetchBlob' | 'fetchCancel'>;
  readonly bounds: FetchBounds;
}

/** Downloads a blob into a file. */
export async function fetchFile(
  { native, bounds }: FileHands,
  file: FileFetch,
  { from, signal }: { readonly from: FetchFrom; readonly signal: AbortSignal },
): Promise<void> {
  const { host, ...source } = from;
  const { digest, size, path, handle } = file;
  const { stallMs, attempts } = bounds;
  const request = { ...source, handle, stallMs, attempts, expected: { digest, size }, keepBlobPath: path };
  await fetchCall(native, {
    handle,
    doing: `get blob ${digest}`,
    host,
    signal,
    start: () => native.fetchBlob(request),
  });
}
