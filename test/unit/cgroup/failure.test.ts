import test from 'ava';
import { cgroupFailure } from '../../../src/cgroup/cgroup.ts';
import { NativeError } from '../../../src/native/errors.ts';

const native = (syscall: string, errno: number): NativeError =>
  new NativeError({ operation: 'write', syscall, errno, object: 'x', message: 'write "5" to x: it did not work' });

test('native failures get the kind the caller can act on', (t) => {
  const table: [string, number, string][] = [
    ['memory-below-usage', 0, 'failed-precondition'],
    ['no-controller', 0, 'failed-precondition'],
    ['unified-key', 0, 'invalid-argument'],
    ['resource-value', 0, 'invalid-argument'],
    ['cgroup-path', 0, 'invalid-argument'],
    ['still-populated', 0, 'internal'],
    ['write', 22, 'invalid-argument'],
    ['write', 34, 'invalid-argument'],
    ['write', 2, 'not-found'],
    ['rmdir', 16, 'internal'],
    ['mkdir', 22, 'internal'],
  ];
  for (const [syscall, errno, kind] of table) {
    const cause = native(syscall, errno);
    const failure = cgroupFailure('update cgroup /a', cause);
    t.is(failure.kind, kind as typeof failure.kind, `${syscall} ${errno}`);
    t.is(failure.message, 'update cgroup /a');
    t.is(failure.cause, cause);
  }
  t.is(cgroupFailure('read', new TypeError('x')).kind, 'internal');
});
