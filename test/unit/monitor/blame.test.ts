import test from 'ava';
import type { FailureKind } from '../../../src/lib/failure.ts';
import { blame } from '../../../src/monitor/blame.ts';

test("what a request names is its caller's, the rest is ours, and a full host is nobody's", (t) => {
  const table: [string, number, FailureKind][] = [
    ['open mount source', 2, 'failed-precondition'],
    ['mount /data', 20, 'failed-precondition'],
    ['mount /data', 36, 'invalid-argument'],
    ['exec', 2, 'failed-precondition'],
    ['exec', 7, 'invalid-argument'],
    ['resolve device', 6, 'failed-precondition'],
    ['open log', 21, 'failed-precondition'],
    ['open log', 28, 'resource-exhausted'],
    ['enter working directory', 20, 'failed-precondition'],
    ['set sysctl', 2, 'failed-precondition'],
    ["join the container's namespaces", 3, 'failed-precondition'],
    ['read', 2, 'internal'],
    ['mount overlay', 22, 'internal'],
    ['open mount source', 5, 'internal'],
    ['clone', 12, 'resource-exhausted'],
    ['hear a child', 0, 'internal'],
  ];
  for (const [operation, errno, kind] of table)
    t.is(blame({ operation, syscall: '', errno, object: '' }), kind, `${operation} ${errno}`);
  t.is(
    blame({ operation: 'read', syscall: 'open', errno: 2, object: '/proc/4711/mountinfo' }),
    'failed-precondition',
    'it has ended',
  );
  t.is(blame({ operation: 'read', syscall: 'open', errno: 2, object: '/proc/self/mountinfo' }), 'internal');
});
