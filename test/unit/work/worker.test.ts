import test from 'ava';
import type { RawAddon } from '../../../src/native/boundary.ts';
import { NativeError } from '../../../src/native/errors.ts';
import type { WorkReply, WorkRequest } from '../../../src/work/calls.ts';
import { workingNative } from '../../../src/work/native.ts';
import type { Native } from '../../../src/native/load.ts';
import { serveWork } from '../../../src/work/serve.ts';
import type { WorkEvents } from '../../../src/work/start.ts';
import { Worker } from '../../../src/work/worker.ts';

/** Processes that only take notes, and a place that does. */
function room(
  options: {
    idleMs?: number;
    stopMs?: number;
    place?: () => Promise<void>;
    leave?: () => Promise<void>;
    immortal?: boolean;
  } = {},
) {
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
          if (!options.immortal) setImmediate(() => events.onEnd('SIGKILL'));
        },
      };
    },
    place: async (pid) => {
      notes.push(`place ${pid}`);
      await options.place?.();
    },
    leave: async () => {
      notes.push('leave');
      await options.leave?.();
    },
    stopMs: options.stopMs ?? 60_000,
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

test('a fetch that is cancelled before its process is placed is not begun', async (t) => {
  const placed = Promise.withResolvers<void>();
  const { worker, started, notes } = room({ place: () => placed.promise, idleMs: 1 });
  const unwanted = worker.call('fetchLayer', { handle: 'a' });
  t.true(worker.cancel('a'), 'before there is a process');
  t.false(worker.cancel('b'));
  await settled();
  const wanted = worker.call('fetchLayer', { handle: 'b' });
  const late = worker.call('fetchLayer', { handle: 'c' });
  t.true(worker.cancel('c'), 'while it is placed');
  placed.resolve();
  for (const call of [unwanted, late]) {
    const error = await t.throwsAsync(call, { instanceOf: NativeError, message: 'fetchLayer: cancelled' });
    t.is((error as NativeError).syscall, 'cancel');
  }
  await settled();
  const [one] = started;
  if (!one) return t.fail();
  t.like(one.requests, [{ args: { handle: 'b' } }]);
  t.is(one.requests.length, 1);
  answer(one, 0, 'done');
  t.is(await wanted, 'done');
  t.false(worker.cancel('a'));
  // one that was started for nothing is ended too
  while (!notes.includes('leave')) await new Promise((resolve) => setTimeout(resolve, 1));
  const again = worker.call('fetchLayer', { handle: 'd' });
  worker.cancel('d');
  await t.throwsAsync(again, { message: 'fetchLayer: cancelled' });
  while (!started[1]?.killed) await new Promise((resolve) => setTimeout(resolve, 1));
  t.is(started.length, 2);
});

test('a process that does not end, or whose place stays, does not keep the daemon', async (t) => {
  const immortal = room({ immortal: true, stopMs: 1 });
  void immortal.worker.call('sweepTrash', {}).catch(() => undefined);
  await settled();
  await immortal.worker.stop();
  t.like(immortal.errors, [{ message: 'the process for work did not end within 1 ms' }]);
  t.true(immortal.started[0]?.killed);
  const hanging = room({ place: () => new Promise(() => undefined), stopMs: 1 });
  void hanging.worker.call('sweepTrash', {}).catch(() => undefined);
  await settled();
  await hanging.worker.stop();
  t.true(hanging.started[0]?.killed);
  const staying = room({ leave: () => Promise.reject(new Error('busy')) });
  void staying.worker.call('sweepTrash', {}).catch(() => undefined);
  await settled();
  await staying.worker.stop();
  t.like(staying.errors, [{ message: 'busy' }]);
});

test('a cancel that is read with its call finds it running', async (t) => {
  const notes: string[] = [];
  const replies: WorkReply[] = [];
  const addon = {
    fetchLayer: ({ handle }: { handle: string }) => {
      notes.push(`fetch ${handle}`);
      if (handle === 'throws') throw new Error('no such thing');
      return Promise.resolve({ ok: handle });
    },
    fetchCancel: ({ handle }: { handle: string }) => void notes.push(`cancel ${handle}`),
    fetchProgress: () => ({ ok: [] }),
  } as unknown as RawAddon;
  const take = serveWork(addon, (reply) => void replies.push(reply));
  take({ id: 1, call: 'fetchLayer', args: { handle: 'a' } });
  take({ cancel: 'a' });
  t.deepEqual(notes, ['fetch a', 'cancel a']);
  take({ id: 2, call: 'fetchLayer', args: { handle: 'throws' } });
  take({ id: 3, call: 'nothing' as never, args: {} });
  await settled();
  t.like(
    replies.find((reply) => 'id' in reply && reply.id === 1),
    { outcome: { ok: 'a' } },
  );
  t.regex(JSON.stringify(replies.find((reply) => 'id' in reply && reply.id === 2)), /no such thing/);
  t.regex(JSON.stringify(replies.find((reply) => 'id' in reply && reply.id === 3)), /no such call/);
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
