import test from 'ava';
import { age, bytes, facts, shortId, table } from '../../../src/cli/table.ts';

test('bytes', (t) => {
  const shown = [0, 512, 1024, 1536, 1_048_576, 157_286_400, 5 * 2 ** 40].map(bytes);
  t.deepEqual(shown, ['0 B', '512 B', '1 KiB', '1.5 KiB', '1 MiB', '150 MiB', '5 TiB']);
});

test('ages', (t) => {
  const now = 1_700_000_000_000;
  const ago = (seconds: number): string =>
    age(String(BigInt(now) * 1_000_000n - BigInt(seconds) * 1_000_000_000n), now);
  t.deepEqual([-5, 0, 119, 120, 7199, 7200, 172_800].map(ago), ['0s', '0s', '119s', '2m', '119m', '2h', '2d']);
});

test('tables and facts have no trailing blanks', (t) => {
  t.is(
    table(
      ['A', 'B'],
      [
        ['xxx', ''],
        ['', 'y'],
      ],
    ),
    'A    B\nxxx\n     y\n',
  );
  t.is(
    facts([
      ['a', '1'],
      ['bbb', '2'],
    ]),
    'a    1\nbbb  2\n',
  );
  t.is(shortId('sha256:0123456789abcdef'), '0123456789abc');
});
