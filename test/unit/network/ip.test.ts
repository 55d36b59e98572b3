import test from 'ava';
import {
  contains,
  formatIp,
  formatNetwork,
  lastOf,
  macOf,
  networkOf,
  parseCidr,
  parseIp,
} from '../../../src/network/ip.ts';

const canonical = (text: string): string | null => {
  const ip = parseIp(text);
  return ip && formatIp(ip);
};

for (const [text, expected] of [
  ['10.88.0.1', '10.88.0.1'],
  ['255.255.255.255', '255.255.255.255'],
  ['::', '::'],
  ['::1', '::1'],
  ['FD00:0:0:0:0:0:0:5', 'fd00::5'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['1::', '1::'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
] as const) {
  test(`${text} is ${expected}`, (t) => t.is(canonical(text), expected));
}

for (const text of [
  '',
  '10.0.0',
  '10.0.0.256',
  '10.0.0.01',
  '1.2.3.4.5',
  'fd00',
  'fd00:::1',
  '1:2:3:4:5:6:7:8:9',
  '::1::',
  'g::',
  '1:2:3:4:5:6:7',
  '1::2:3:4:5:6:7:8',
  '12345::',
]) {
  test(`${JSON.stringify(text)} is no address`, (t) => t.is(parseIp(text), null));
}

test('networks know their bounds', (t) => {
  const four = parseCidr('10.88.7.9/16')!;
  t.is(formatNetwork(four), '10.88.0.0/16');
  t.is(formatIp(lastOf(four)), '10.88.255.255');
  const six = parseCidr('fd00::5/64')!;
  t.is(formatIp(networkOf(six)), 'fd00::');
  t.is(formatIp(lastOf(six)), 'fd00::ffff:ffff:ffff:ffff');
  t.true(contains(four, parseIp('10.88.1.1')!));
  t.false(contains(four, parseIp('10.89.0.0')!));
  t.false(contains(four, parseIp('::1')!));
  t.true(contains(parseCidr('0.0.0.0/0')!, parseIp('8.8.8.8')!));
  for (const wrong of ['10.0.0.0', '10.0.0.0/33', 'fd00::/129', '10.0.0.0/8/8', '10.0.0.0/', '10.0.0.0/-1']) {
    t.is(parseCidr(wrong), null, wrong);
  }
});

test('an address has one hardware address', (t) => {
  t.is(macOf(parseIp('10.224.0.255')!), '0a:58:0a:e0:00:ff');
  t.is(macOf(parseIp('fd00::1:2')!), '0a:58:00:01:00:02');
});
