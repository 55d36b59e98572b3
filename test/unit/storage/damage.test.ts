import test from 'ava';
import { failedPrecondition, internal } from '../../../src/lib/failure.ts';
import { NativeError } from '../../../src/native/errors.ts';
import { verdictOf } from '../../../src/storage/damage.ts';
import { diskFailure, fetchFailure } from '../../../src/storage/native-failure.ts';

const native = (syscall: string, errno: number, text: string): unknown => {
  const message = `verify export-7: ${text}`;
  const error = new NativeError({ operation: 'verify', syscall, errno, object: 'export-7', message });
  return fetchFailure(error, 'verify layer x', '');
};
const node = (code: string): unknown => diskFailure(Object.assign(new Error(code), { code }), 'read blob x');

for (const [what, error, verdict] of [
  ['another digest', native('digest', 0, 'digest mismatch'), 'damaged'],
  ['a changed file', native('layer', 0, 'etc/one in the layer is gone'), 'damaged'],
  ['a damaged index', native('layer', 0, 'the tar index is damaged: it is not one'), 'damaged'],
  ['an index that is no zstd', native('layer', 0, 'read the tar index: Unknown frame descriptor'), 'damaged'],
  ['an index that the disk does not give', native('layer', 0, 'read the tar index: I/O (os error 5)'), 'damaged'],
  ['a file that is gone', native('disk', 2, 'open x: openat2: no such file'), 'damaged'],
  ['a disk that does not read', native('disk', 5, 'read x: read: I/O error'), 'damaged'],
  ['a file system that is damaged', native('disk', 117, 'open x: openat2: structure needs cleaning'), 'damaged'],
  ['a checksum of the file system', native('disk', 74, 'read x: read: bad message'), 'damaged'],
  ['a document that is gone', node('ENOENT'), 'damaged'],
  ['a document that cannot be read', failedPrecondition('manifest of x is not usable'), 'damaged'],
  ['no index', native('layer', 0, 'it was unpacked without a tar index'), 'unverifiable'],
  ['a file of that name', native('layer', 0, 'it was unpacked without a tar index in the layer is gone'), 'damaged'],
  [
    'a directory of that name',
    native('layer', 0, 'verify x: it was unpacked without a tar index/f in the layer is gone'),
    'damaged',
  ],
  [
    'a file named as if there were no files',
    native('layer', 0, 'read the tar index: (os error 24) in the layer is gone'),
    'damaged',
  ],
  ['no files left for the index', native('layer', 0, 'read the tar index: Too many open files (os error 24)'), null],
  ['no memory for the index', native('layer', 0, 'read the tar index: Allocation error : not enough memory'), null],
  ['no files left', native('disk', 24, 'open x: openat2: too many open files'), null],
  ['no files left in the system', native('disk', 23, 'open x: openat2: too many open files in system'), null],
  ['no memory', native('disk', 12, 'read x: read: cannot allocate memory'), null],
  ['no thread', native('clone', 11, 'a thread cannot be started'), null],
  ['a handle in use', native('request', 0, 'the handle is in use'), null],
  ['a cancelled call', native('cancel', 0, 'cancelled'), null],
  ['a full disk', native('disk', 28, 'write: no space left'), null],
  ['no files left for a document', node('EMFILE'), null],
  ['a defect', internal('verify'), null],
  ['no failure of ours', new TypeError('x'), null],
] as const) {
  test(`verdict on ${what}`, (t) => t.is(verdictOf(error), verdict));
}
