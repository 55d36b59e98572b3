import test from 'ava';
import { NativeError } from '../../../src/native/errors.ts';
import type { WorkReply, WorkRequest } from '../../../src/work/calls.ts';
import { workingNative } from '../../../src/work/native.ts';
import type { Native } from '../../../src/native/load.ts';
import type { WorkEvents } from '../../../src/work/start.ts';
import { Worker } from '../../../src/work/worker.ts';

/** Processes that only take notes, and a place that does. */
function room(options: { idleMs?: number; place?: () => Promise<void> } = {}) {
  const started: (WorkEvents & { pid: number; requests: WorkRequest[]; killed: boolean })[] = [];
  const notes: string[] = [];
  const errors: unknown[] = [];
  const worker = new Worker({
    start: (events) => {
      const pid = 100 + started.length;
      const one = { ...events, pid, requests: [] as WorkRequest[], killed: false };
      started.push(one);
      notes.push(`start ${pid}`);
      return {
        pid,
        send: (request) => void one.requests.push(request),
        kill: () => {
          one.killed = true;
          setImmediate(() => events.onEnd('SIGKILL'));
        },
      };
    },
    place: async (pid) => {
      notes.push(`place ${pid}`);
      await options.place?.();
    },
    leave: async () => void notes.push('leave'),
    idleMs: options.idleMs ?? 60_000,
    onError: (error) => errors.push(error),
  });
  return { worker, started, notes, errors };
}

/** Lets everything go on that can. */
const settled = () => new Promise((resolve) => setImmediate(resolve));
const answer = (one: { onReply: (reply: WorkReply) => void; requests: WorkRequest[] }, at: number, ok: unknown) => {
  const request = one.requests[at] as { id: number };
  one.onReply({ id: request.id, outcome: { ok } });
};

test('a process is started with the first call, placed before it is asked, and kept', async (t) => {
  const { worker, started, notes } = room();
  const first = worker.call('verifyBlob', { handle: 'a' });
  const second = worker.call('sweepTrash', { trashDir: '/t' });
  await settled();
  const [one] = started;
  if (!one) return t.fail();
  t.deepEqual(notes, ['start 100', 'place 100']);
  t.like(one.requests, [{ call: 'verifyBlob' }, { call: 'sweepTrash', args: { trashDir: '/t' } }]);
  one.onReply({ progress: [{ handle: 'a', bytes: 1, totalBytes: 2, unpackedBytes: 0, stage: 'unpacking' }] });
  t.like(worker.progress(), [{ handle: 'a', bytes: 1 }]);
  t.true(worker.cancel('a'));
  t.false(worker.cancel('b'));
  t.deepEqual(one.requests[2], { cancel: 'a' });
  answer(one, 1, { removed: 3 });
  t.deepEqual(await second, { removed: 3 });
  const err = { operation: 'verify', syscall: 'cancel', errno: 0, object: '', message: 'verify: stopped' };
  one.onReply({ id: (one.requests[0] as { id: number }).id, outcome: { err } });
  await t.throwsAsync(first, { instanceOf: NativeError, message: 'verify: stopped' });
  t.deepEqual(worker.progress(), []);
  t.is(worker.pid, 100);
  await worker.stop();
  t.deepEqual(notes, ['start 100', 'place 100', 'leave']);
  await t.throwsAsync(worker.call('sweepTrash', {}), { message: /the daemon ends/ });
});

test('calls of a process that ends fail, and the next one starts when its place is free', async (t) => {
  const { worker, started, notes } = room();
  const lost = worker.call('fetchLayer', { handle: 'a' });
  await settled();
  started[0]?.onEnd('SIGKILL');
  const error = await t.throwsAsync(lost, { instanceOf: NativeError });
  t.is(error?.message, 'fetchLayer: the process for work ended with SIGKILL');
  const again = worker.call('fetchLayer', { handle: 'a' });
  await settled();
  await settled();
  t.deepEqual(notes, ['start 100', 'place 100', 'leave', 'start 101', 'place 101']);
  if (started[1]) answer(started[1], 0, 'done');
  t.is(await again, 'done');
  await worker.stop();
});

test('a process without work is ended', async (t) => {
  const { worker, started, notes } = room({ idleMs: 1 });
  const done = worker.call('sweepTrash', {});
  await settled();
  if (started[0]) answer(started[0], 0, null);
  await done;
  while (!notes.includes('leave')) await new Promise((resolve) => setTimeout(resolve, 1));
  t.true(started[0]?.killed);
  t.is(worker.pid, null);
});

test('a process that cannot be placed does nothing', async (t) => {
  const { worker, started, notes } = room({ place: () => Promise.reject(new Error('no cgroup')) });
  await t.throwsAsync(worker.call('sweepTrash', {}), { message: 'no cgroup' });
  t.deepEqual([started[0]?.killed, started[0]?.requests.length], [true, 0]);
  t.deepEqual(notes, ['start 100', 'place 100', 'leave']);
});

test('only heavy calls go to the worker; what is removed is renamed here and freed there', async (t) => {
  const here: string[] = [];
  const there: [string, object][] = [];
  const note = (name: string, answer: unknown) => () => {
    here.push(name);
    return answer;
  };
  const native = {
    retireTree: note('retireTree', Promise.resolve({ removed: true })),
    fetchBlob: note('fetchBlob', Promise.resolve('blob')),
    fetchCancel: note('fetchCancel', false),
    fetchProgress: note('fetchProgress', [{ handle: 'here' }]),
    syncFs: note('syncFs', Promise.resolve(null)),
  } as unknown as Native;
  const worker = {
    call: async (name: string, args: object) => void there.push([name, args]),
    cancel: (handle: string) => handle === 'there',
    progress: () => [{ handle: 'there' }] as never,
  };
  const work = workingNative(native, worker, (error) => t.fail(String(error)));
  await work.fetchBlob({ keepBlobPath: null } as never);
  await work.fetchBlob({ keepBlobPath: '/kept' } as never);
  await work.fetchLayer({ handle: 'a' } as never);
  await work.syncFs({ path: '/' });
  t.deepEqual(await work.removeTree({ path: '/a', trashDir: '/trash' }), { removed: true });
  await settled();
  t.deepEqual(there, [
    ['fetchBlob', { keepBlobPath: '/kept' }],
    ['fetchLayer', { handle: 'a' }],
    ['sweepTrash', { trashDir: '/trash' }],
  ]);
  t.true(work.fetchCancel({ handle: 'there' }));
  t.false(work.fetchCancel({ handle: 'a' }));
  t.deepEqual(here, ['fetchBlob', 'syncFs', 'retireTree', 'fetchCancel']);
  t.deepEqual(
    work.fetchProgress().map(({ handle }) => handle),
    ['here', 'there'],
  );
});
