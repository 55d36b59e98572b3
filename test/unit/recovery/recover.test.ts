// What recovery does with an action that fails: all others are done, and it can be tried again.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { unavailable } from '../../../src/lib/failure.ts';
import { type FailedAction, recover, type RecoverPorts } from '../../../src/recovery/recover.ts';

const id = (digit: string): string => digit.repeat(64);

/** A host with orphans of these digits; `end` ends one. */
function host(t: ExecutionContext, digits: readonly string[], end: (digit: string) => Promise<void> | void) {
  const dir = mkdtempSync('/tmp/pw-recover-');
  t.teardown(() => rmSync(dir, { recursive: true }));
  for (const digit of digits) mkdirSync(join(dir, id(digit)));
  const done: string[] = [];
  const failed: FailedAction[] = [];
  const never = (): never => t.fail('this was not called for') as never;
  const ports: RecoverPorts = {
    sandboxes: () => [],
    containers: () => [],
    bootId: 'now',
    processStartTime: () => null,
    adopt: never,
    readExit: never,
    sandboxIds: () => [],
    containerIds: () => [],
    snapshotsDir: join(dir, 'none'),
    bundlesDir: join(dir, 'none'),
    sandboxDirs: [dir],
    teardownSandbox: never,
    stopSandbox: never,
    teardownContainer: never,
    loseContainer: never,
    recordStart: never,
    recordExit: never,
    forgetContainer: never,
    endOrphan: async (sandboxId) => end(sandboxId.slice(0, 1)),
    removeSnapshot: never,
    removeBundle: never,
    reachMonitor: never,
    onAction: ({ sandboxId }) => void done.push(sandboxId.slice(0, 1)),
    onFailure: (each) => void failed.push(each),
    log: { info: () => undefined, warn: () => undefined },
  };
  return { done, failed, recover: () => recover(ports) };
}

test('one that fails is told and costs no other; tried again, it counts as done once', async (t) => {
  const fails = new Set(['b']);
  const { done, failed, ...on } = host(t, ['a', 'b', 'c'], (digit) => {
    if (fails.has(digit)) throw unavailable('its monitor hangs');
  });
  t.deepEqual(await on.recover(), { actions: 3, failed: 1, adopted: 0 });
  t.deepEqual(done.toSorted(), ['a', 'c']);
  const [b, ...others] = failed;
  if (!b) return t.fail('it was told');
  t.deepEqual([others, b.isRunning()], [[], false]);
  t.like(b.action, { type: 'end-orphan', sandboxId: id('b') });
  await t.throwsAsync(b.again(), { message: 'its monitor hangs' });
  fails.clear();
  await b.again();
  await b.again();
  t.deepEqual(done.toSorted(), ['a', 'b', 'c']);
});

test('who tries again while it goes on waits for that', async (t) => {
  let begun = 0;
  let hang = Promise.withResolvers<void>();
  const { failed, done, ...on } = host(t, ['a'], () => {
    begun += 1;
    return begun === 1 ? Promise.reject(unavailable('not now')) : hang.promise;
  });
  await on.recover();
  const [a] = failed;
  if (!a) return t.fail('it was told');
  const both = [a.again(), a.again()];
  t.true(a.isRunning());
  t.is(begun, 2);
  hang.reject(unavailable('not ever'));
  for (const each of both) await t.throwsAsync(each, { message: 'not ever' });
  t.false(a.isRunning());
  hang = Promise.withResolvers();
  hang.resolve();
  await a.again();
  t.deepEqual(done, ['a']);
});
