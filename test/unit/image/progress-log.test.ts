import test from 'ava';
import { mock } from 'node:test';
import type { ChainId, Digest } from '../../../src/lib/id.ts';
import { PullProgress } from '../../../src/image/progress.ts';
import { tellEveryMs, tellProgress } from '../../../src/image/progress-log.ts';

const id = (digit: string): never => `sha256:${digit.repeat(64)}` as string as Digest & ChainId as never;

test('a long pull tells how far it is and how fast, a short one nothing', (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.teardown(() => mock.timers.reset());
  const lines: object[] = [];
  const log = { debug: () => undefined, info: (fields: object) => void lines.push(fields), warn: () => undefined };
  let now = 0n;
  let bytes = 0;
  const progress = new PullProgress('a:1', 0n);
  progress.expect([
    { digest: id('a'), chainId: id('1'), size: 500 },
    { digest: id('b'), chainId: id('2'), size: 70 },
  ]);
  progress.arrived(id('2'), 'present');
  const fetch = { totalBytes: 500, unpackedBytes: 0, stage: 'downloading' } as const;
  const running = () => [{ ...fetch, handle: `${'1'.repeat(16)}-1`, bytes }];
  const end = tellProgress(progress, { log, clock: { now: () => now } as never, running });
  mock.timers.tick(tellEveryMs - 1);
  t.is(lines.length, 0);
  [now, bytes] = [10_000_000_000n, 200];
  mock.timers.tick(1);
  const layers = { downloading: 1, present: 1 };
  t.deepEqual(lines, [{ image: 'a:1', bytes: 200, totalBytes: 500, bytesPerSecond: 20, layers }]);
  end();
  mock.timers.tick(tellEveryMs * 3);
  t.is(lines.length, 1);
});
