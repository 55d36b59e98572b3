// Runs one of the addon's long calls so that the caller's signal stops it.
// Must not choose what is fetched.
import { throwIfAborted } from '../lib/failure.ts';
import { fetchFailure } from './native-failure.ts';
import type { StorageNative } from './ports.ts';

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
