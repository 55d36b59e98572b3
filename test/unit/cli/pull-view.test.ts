import test from 'ava';
import { barLines, changedLines, nextRates, stagesOf } from '../../../src/cli/pull-view.ts';

const layer = (stage: string, done: number, digit = 'a') => ({
  digest: `sha256:${digit.repeat(64)}`,
  stage,
  doneBytes: String(done),
  totalBytes: String(4 << 20),
});

test('a bar has id, state, share and rate', (t) => {
  const before = nextRates(new Map(), [layer('downloading', 0)], 1000);
  const rates = nextRates(before, [layer('downloading', 2 << 20)], 2000);
  const [line] = barLines([layer('downloading', 2 << 20)], rates);
  t.is(line, `aaaaaaaaaaaa  downloading [===============>              ] 2 MiB / 4 MiB  614 KiB/s`);
  t.deepEqual(barLines([layer('queued', 0), layer('done', 4 << 20), layer('present', 4 << 20)], rates), [
    'aaaaaaaaaaaa  queued',
    'aaaaaaaaaaaa  pulled (4 MiB)',
    'aaaaaaaaaaaa  already here (4 MiB)',
  ]);
  const [full] = barLines([layer('unpacking', 4 << 20)], rates);
  t.is(full, `aaaaaaaaaaaa  unpacking   [${'='.repeat(30)}] 4 MiB / 4 MiB`);
});

test('a rate neither jumps nor runs backwards', (t) => {
  let rates = nextRates(new Map(), [layer('downloading', 1000)], 0);
  rates = nextRates(rates, [layer('downloading', 2000)], 1000);
  t.is(rates.get(layer('', 0).digest)?.perSecond, 300);
  rates = nextRates(rates, [layer('downloading', 0)], 2000); // another host, from the beginning
  t.is(rates.get(layer('', 0).digest)?.perSecond, 210);
  t.is(nextRates(rates, [layer('downloading', 9)], 2000).get(layer('', 0).digest)?.perSecond, 210);
  t.is(nextRates(rates, [], 3000).size, 0);
});

test('lines are about what changed', (t) => {
  const first = [layer('queued', 0), layer('present', 0, 'b')];
  t.deepEqual(changedLines(new Map(), first), ['bbbbbbbbbbbb: already here (4 MiB)']);
  const second = [layer('downloading', 5), layer('present', 0, 'b')];
  t.deepEqual(changedLines(stagesOf(first), second), ['aaaaaaaaaaaa: downloading (4 MiB)']);
  t.deepEqual(changedLines(stagesOf(second), second), []);
});
