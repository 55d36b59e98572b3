// What says that something has run out, and what of it; what only looks like it.
import test from 'ava';
import { statusOf } from '../../../src/cri/status-codes.ts';
import { exhaustionIn, exhaustionOf } from '../../../src/lib/exhaustion.ts';
import { Failure, internal, invalidArgument, registryUnavailable, unavailable } from '../../../src/lib/failure.ts';
import { ResultList } from '../../../src/lib/result-list.ts';
import { NativeError } from '../../../src/native/errors.ts';

const native = (syscall: string, errno: number): NativeError =>
  new NativeError({ operation: 'do', syscall, errno, object: '/x', message: `do /x: ${syscall}: (errno ${errno})` });
const ofNode = (code: string, errno: number, syscall: string): Error =>
  Object.assign(new Error(`${code}: words, ${syscall} '/x'`), { code, errno, syscall });

test('an errno and a system call tell what there is no more of', (t) => {
  const table: [number, string, string | null, RegExp][] = [
    [24, 'openat', 'EMFILE', /^open files \(RLIMIT_NOFILE\)$/],
    [24, 'watch', 'EMFILE', /max_user_instances/],
    [23, 'openat', 'ENFILE', /fs\.file-max/],
    [28, 'write', 'ENOSPC', /^$/],
    [28, 'inotify_add_watch', 'ENOSPC', /max_user_watches/],
    [28, 'unshare', 'ENOSPC', /^namespaces \(user\.max_\*_namespaces\)$/],
    [28, 'move_mount', 'ENOSPC', /fs\.mount-max/],
    [28, 'fsmount', 'ENOSPC', /user\.max_mnt_namespaces/],
    [28, 'open_tree', 'ENOSPC', /user\.max_mnt_namespaces/],
    [11, 'clone', 'EAGAIN', /^processes and threads \(pids cgroup/],
    [11, 'posix_spawn', 'EAGAIN', /pids cgroup/],
    [-11, 'spawn /bin/true', 'EAGAIN', /pids cgroup/],
    [11, 'read', null, /^$/],
    [12, 'mmap', 'ENOMEM', /^$/],
    [122, 'write', 'EDQUOT', /^$/],
    [122, 'keyctl', 'EDQUOT', /kernel\.keys\.maxkeys/],
    [11, 'clone', 'EAGAIN', /kernel\.threads-max/],
    [122, 'http', null, /^$/],
    [2, 'open', null, /^$/],
    [0, 'worker', null, /^$/],
  ];
  for (const [errno, syscall, name, what] of table) {
    const found = exhaustionOf(errno, syscall);
    t.is(found?.errno ?? null, name, `${syscall} ${errno}`);
    t.regex(found?.what ?? '', what);
  }
});

test('it is found in causes, in what failed together, and in what a monitor tells', (t) => {
  t.is(exhaustionIn(internal('make', internal('open', native('openat', 24))))?.errno, 'EMFILE');
  t.is(exhaustionIn(Object.assign(new Error('full'), { code: 'ENOSPC' }))?.errno, 'ENOSPC');
  const details = { operation: 'clone the init', syscall: 'clone', errno: 11, object: '' };
  t.is(exhaustionIn(new Failure('internal', 'clone', { details }))?.errno, 'EAGAIN');
  const list = new AggregateError([native('open', 2), native('write', 28)]);
  t.is(exhaustionIn(internal('tear down', list))?.errno, 'ENOSPC');
  for (const other of [null, 'EMFILE', new Error('EMFILE'), native('open', 2), internal('x')])
    t.is(exhaustionIn(other), null);
});

test('a caller is told RESOURCE_EXHAUSTED with the stage, the object, the errno and the limit', async (t) => {
  const bug = statusOf(ofNode('EMFILE', -24, 'open'));
  t.deepEqual(bug, {
    code: 'RESOURCE_EXHAUSTED',
    message: "EMFILE: words, open '/x'; there are no more open files (RLIMIT_NOFILE)",
  });
  for (const make of [internal, unavailable, registryUnavailable])
    t.is(statusOf(make('get a', ofNode('EMFILE', -24, 'connect'))).code, 'RESOURCE_EXHAUSTED');
  t.is(statusOf(invalidArgument('a', ofNode('EMFILE', -24, 'open'))).code, 'INVALID_ARGUMENT');
  t.is(statusOf(internal('a', ofNode('EIO', -5, 'open'))).code, 'INTERNAL');
  const steps = new ResultList();
  await steps.attempt('remove its bundle', () => Promise.reject(ofNode('EMFILE', -24, 'scandir')));
  const one = statusOf(await t.throwsAsync(async () => steps.throwIfAny('remove container a')));
  t.deepEqual(one, {
    code: 'RESOURCE_EXHAUSTED',
    message:
      "remove container a: remove its bundle: EMFILE: words, scandir '/x'; there are no more open files (RLIMIT_NOFILE)",
  });
});
