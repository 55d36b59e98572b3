// What went wrong in the addon's rootfs and fetch calls, in the words of this room.
// Must not name credentials: native messages have none.
import {
  cancelled,
  type Failure,
  type FailureDetails,
  failedPrecondition,
  internal,
  registryUnavailable,
  resourceExhausted,
} from '../lib/failure.ts';
import type { FetchStage } from '../native/boundary.ts';
import { errno, NativeError } from '../native/errors.ts';

const full: readonly number[] = [errno.ENOSPC, errno.EDQUOT];

/** A failed call on the file system; a full disk is resource-exhausted. Anything but a NativeError is thrown on. */
export function diskFailure(error: unknown, doing: string): Failure {
  const code = error instanceof NativeError ? error.errno : diskErrno(error);
  if (code === null) throw error;
  return full.includes(code) ? resourceExhausted(`${doing}: no space left`, error) : internal(doing, error);
}

function diskErrno(error: unknown): number | null {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === undefined) return null;
  return code === 'ENOSPC' ? errno.ENOSPC : code === 'EDQUOT' ? errno.EDQUOT : 0;
}

/**
 * A failed fetch or unpack. Details have `stage`, the HTTP `status` where there is one, and `host` if it
 * is the host's fault, so that another may be asked. `host` is "" for an archive.
 */
export function fetchFailure(error: unknown, doing: string, host: string): Failure {
  if (!(error instanceof NativeError)) throw error;
  const stage = error.syscall as FetchStage;
  const where = host === '' ? doing : `${doing} from ${host}`;
  const blame: FailureDetails = host === '' ? { stage } : { stage, host };
  switch (stage) {
    case 'http':
      // 0: the connection ended early, or it was no HTTP
      if (error.errno === 0) return registryUnavailable(`${where}: no usable answer`, error, blame);
      return registryUnavailable(`${where}: status ${error.errno}`, error, { ...blame, status: error.errno });
    case 'dns':
    case 'connect':
    case 'tls':
    case 'timeout':
      return registryUnavailable(`${where}: ${connectionWords[stage]}`, error, blame);
    case 'digest':
    case 'inflate':
    case 'tar':
    case 'archive':
    case 'layer':
      return failedPrecondition(`${where}: ${contentWords[stage]}`, error, blame);
    case 'limit':
      return resourceExhausted(`${where}: it exceeds a limit for images`, error, { stage });
    case 'cancel':
      return cancelled(`${where} was cancelled`, error, { stage });
    case 'disk':
      return diskFailure(error, where);
    case 'request':
      return internal(where, error, { stage });
    default:
      return diskFailure(error, where); // a system call by name
  }
}

const connectionWords = {
  dns: 'its name cannot be resolved',
  connect: 'no connection',
  tls: 'no secure connection',
  timeout: 'no byte in time',
} as const;

const contentWords = {
  digest: 'the content is not what its digest says',
  inflate: 'the compressed data is damaged',
  tar: 'the layer is not a usable archive',
  archive: 'the archive is not usable',
  layer: 'the unpacked layer is not usable',
} as const;
