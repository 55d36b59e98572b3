// What a failed verification says: that the content is damaged, that nobody can tell, or nothing about the content.
// Must not take a failure of this process or of the system for damage: sound content would be thrown away.
import { Failure } from '../lib/failure.ts';
import { errno, NativeError } from '../native/errors.ts';

/** What is known of content whose verification failed. */
export type Verdict = 'damaged' | 'unverifiable';

/** Only the content, or the disk below it, can be the reason for these. */
const ofContent: readonly number[] = [errno.ENOENT, errno.EIO, errno.EUCLEAN, errno.EBADMSG];
const codesOfContent: readonly string[] = ['ENOENT', 'EIO', 'EUCLEAN', 'EBADMSG'];
const stagesOfContent: readonly string[] = ['digest', 'inflate', 'tar', 'archive', 'layer'];

// Whole messages: paths of the layer, which whoever made it chose, stand in others and could read like these.
const withoutIndex = /^verify \S+: it was unpacked without a tar index$/;
const indexUnread = /^verify \S+: read the tar index: [^\n]*\(os error (\d+)\)$/;
const indexNoMemory = /^verify \S+: read the tar index: [^\n]*not enough memory$/i;

/**
 * The verdict on content by what its verification failed with; null when that says nothing about the content: no file
 * descriptors, no memory, no thread, a cancelled call.
 */
export function verdictOf(error: unknown): Verdict | null {
  if (!(error instanceof Failure)) return null;
  const reason = reasonOf(error);
  if (reason instanceof NativeError) return nativeVerdict(reason);
  if (reason !== null) return codesOfContent.includes(reason.code) ? 'damaged' : null;
  return error.kind === 'failed-precondition' ? 'damaged' : null;
}

/** What the failure comes from: the addon, or a call of Node's. */
function reasonOf(error: Error): NativeError | { readonly code: string } | null {
  for (let at: unknown = error.cause, depth = 0; at instanceof Error && depth < 16; at = at.cause, depth += 1) {
    if (at instanceof NativeError) return at;
    if ('code' in at && typeof at.code === 'string') return { code: at.code };
  }
  return null;
}

function nativeVerdict({ syscall: stage, errno: code, message }: NativeError): Verdict | null {
  if (!stagesOfContent.includes(stage)) return ofContent.includes(code) ? 'damaged' : null;
  if (stage !== 'layer') return 'damaged';
  if (withoutIndex.test(message)) return 'unverifiable';
  if (indexNoMemory.test(message)) return null;
  const unread = indexUnread.exec(message);
  return unread === null || ofContent.includes(Number(unread[1])) ? 'damaged' : null;
}
