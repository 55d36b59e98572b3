import test from 'ava';
import { duration, flag, integer, list, size, text, ulimit } from '../../../src/config/kinds.ts';
import { nearest } from '../../../src/config/merge.ts';

test('durations', (t) => {
  for (const [word, ms] of [
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['0s', 0],
  ] as const) {
    t.is(duration.read(word), ms);
  }
  for (const word of ['30', '-1s', '1.5s', '1d', 's', '', 30]) t.is(duration.read(word), undefined, String(word));
  t.is(duration.show(90_000), '"90s"');
  t.is(duration.show(0), '"0ms"');
  t.is(duration.show(3_600_000), '"1h"');
});

test('sizes', (t) => {
  t.is(size.read(4096), 4096);
  t.is(size.read('64MiB'), 67_108_864);
  t.is(size.read('8GB'), undefined);
  t.is(size.read(-1), undefined);
  t.is(size.read('9999999TiB'), undefined);
  t.is(size.show(3000), '3000');
  t.is(size.show(8 * 2 ** 30), '"8GiB"');
});

test('integers keep their bounds', (t) => {
  const port = integer(1, 10);
  t.is(port.read(10), 10);
  t.is(port.read(11), undefined);
  t.is(port.read(1.5), undefined);
  t.is(port.readText('3'), 3);
  t.is(port.readText('three'), undefined);
});

test('limits', (t) => {
  t.deepEqual(ulimit.read('nofile=1024:2048'), { name: 'nofile', soft: 1024, hard: 2048 });
  t.deepEqual(ulimit.read('core=0'), { name: 'core', soft: 0, hard: 0 });
  t.is(ulimit.read('files=1'), undefined);
  t.is(ulimit.show({ name: 'core', soft: 0, hard: 5 }), '"core=0:5"');
});

test('lists in a flag', (t) => {
  const words = list(text(/^[a-z]+$/), 'words');
  t.deepEqual(words.readText('a,b'), ['a', 'b']);
  t.deepEqual(words.readText(''), []);
  t.is(words.readText('a,3'), undefined);
  t.is(words.show(['a', 'b']), '["a", "b"]');
  t.is(flag.readText('yes'), undefined);
});

test('the nearest name', (t) => {
  const names = ['network.bridge', 'log.level'];
  t.is(nearest('log.levle', names), 'log.level');
  t.is(nearest('something.else.entirely', names), undefined);
});
