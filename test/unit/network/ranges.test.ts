import test from 'ava';
import { checkedSet, nextFree, parseRange, type Range } from '../../../src/network/bridge/ranges.ts';
import { formatIp, parseIp } from '../../../src/network/ip.ts';

const range = (subnet: string, ...[rangeStart = null, rangeEnd = null, gateway = null]: (string | null)[]): Range =>
  parseRange({ subnet, rangeStart, rangeEnd, gateway });

const next = (set: readonly Range[], last: string | null, used: readonly string[] = []): string | null => {
  const ip = nextFree(set, last === null ? null : parseIp(last), (each) => used.includes(each));
  return ip && formatIp(ip);
};

test('defaults are those of the plugin', (t) => {
  const four = range('10.0.0.0/24');
  t.deepEqual([four.first, four.last, four.gateway].map(formatIp), ['10.0.0.1', '10.0.0.254', '10.0.0.1']);
  const six = range('fd00::/64');
  t.deepEqual([six.first, six.last].map(formatIp), ['fd00::1', 'fd00::ffff:ffff:ffff:ffff']);
});

for (const [why, make] of [
  ['host bits', () => range('10.0.0.1/24')],
  ['too small', () => range('10.0.0.0/31')],
  ['not in subnet', () => range('10.0.0.0/24', '10.0.1.1')],
  ['not in subnet', () => range('10.0.0.0/24', null, null, 'fd00::1')],
  ['after rangeEnd', () => range('10.0.0.0/24', '10.0.0.9', '10.0.0.8')],
  ['no subnet', () => range('nonsense')],
  ['overlap', () => checkedSet([range('10.0.0.0/24'), range('10.0.0.0/25')])],
  ['mixes', () => checkedSet([range('10.0.0.0/24'), range('fd00::/64')])],
  ['empty', () => checkedSet([])],
] as const) {
  test(`refused: ${make.toString().slice(6)}`, (t) => t.throws(make, { message: new RegExp(why) }));
}

test('addresses go round, past gateways and used ones', (t) => {
  const set = [range('10.0.0.0/29')];
  t.is(next(set, null), '10.0.0.2', 'the first is the gateway');
  t.is(next(set, '10.0.0.2'), '10.0.0.3');
  t.is(next(set, '10.0.0.3', ['10.0.0.4', '10.0.0.5']), '10.0.0.6');
  t.is(next(set, '10.0.0.6'), '10.0.0.2', 'round');
  t.is(next(set, '10.0.0.4', ['10.0.0.2', '10.0.0.3', '10.0.0.5', '10.0.0.6']), '10.0.0.4', 'the last itself, freed');
  t.is(next(set, '10.0.0.4', ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6']), null);
  t.is(next(set, '10.9.9.9'), '10.0.0.2', 'a last address of another subnet counts for nothing');
});

test('a set of several ranges is one circle', (t) => {
  const set = [range('10.0.0.0/24', '10.0.0.10', '10.0.0.11'), range('10.0.1.0/24', '10.0.1.20', '10.0.1.21')];
  t.is(next(set, '10.0.0.11'), '10.0.1.20');
  t.is(next(set, '10.0.1.21'), '10.0.0.10');
  t.is(next(set, '10.0.1.20', ['10.0.1.21', '10.0.0.10', '10.0.0.11']), '10.0.1.20');
  t.is(next(set, '10.0.1.20', ['10.0.1.20', '10.0.1.21', '10.0.0.10', '10.0.0.11']), null);
});
