// What went wrong in the addon's rootfs and fetch calls, in the words of this room.
// Must not name credentials: native messages have none.
import { exhaustionIn } from '../lib/exhaustion.ts';
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
import { NativeError } from '../native/errors.ts';

/**
 * A failed call on the file system; of a full disk, as of too few descriptors, resource-exhausted. What is neither a
 * NativeError nor an error of Node's is thrown on.
 */
export function diskFailure(error: unknown, doing: string): Failure {
  if (!(error instanceof NativeError) && !(error instanceof Error && 'code' in error)) throw error;
  const lacks = exhaustionIn(error);
  if (lacks === null) return internal(doing, error);
  return resourceExhausted(lacks.errno === 'ENOSPC' ? `${doing}: no space left` : doing, error);
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
    case 'clone': // no thread
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
