import test from 'ava';
import { SharedTurns } from '../../../src/lib/shared-turns.ts';

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

function work(log: string[], name: string) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const run = async (): Promise<string> => {
    log.push(`${name} begins`);
    await promise.finally(() => log.push(`${name} ends`));
    return name;
  };
  return { run, resolve, reject };
}

test('shared work runs together; lone work waits for it, and what comes later for that', async (t) => {
  const turns = new SharedTurns();
  const log: string[] = [];
  const [a, b, gc, c] = ['a', 'b', 'gc', 'c'].map((name) => work(log, name)) as ReturnType<typeof work>[];
  const first = turns.shared(a!.run);
  const failing = turns.shared(b!.run);
  await settle();
  const lone = turns.alone(gc!.run);
  const later = turns.shared(c!.run);
  await settle();
  t.deepEqual(log, ['a begins', 'b begins']);
  a!.resolve();
  b!.reject(new Error('b broke'));
  t.is(await first, 'a');
  await t.throwsAsync(failing, { message: 'b broke' });
  await settle();
  t.deepEqual(log.slice(4), ['gc begins']);
  gc!.resolve();
  t.is(await lone, 'gc');
  await settle();
  t.deepEqual(log.slice(5), ['gc ends', 'c begins']);
  c!.resolve();
  t.is(await later, 'c');
});

test('lone work runs in turn, also after one that failed', async (t) => {
  const turns = new SharedTurns();
  const log: string[] = [];
  const broken = turns.alone(async () => {
    log.push('one');
    throw new Error('it broke');
  });
  const next = turns.alone(async () => void log.push('two'));
  const shared = turns.shared(async () => void log.push('three'));
  await t.throwsAsync(broken, { message: 'it broke' });
  await Promise.all([next, shared]);
  t.deepEqual(log, ['one', 'two', 'three']);
});
