import test from 'ava';
import { parseCidr } from '../../../src/network/ip.ts';
import { parseRoutes4, parseRoutes6, routeInTheWay } from '../../../src/network/route-table.ts';

const four = [
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
  'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
  'eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
  'tun0\t0000580A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
  'podwright0\t0001630A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
  '',
].join('\n');
const six = [
  'fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0',
  'fd000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001     eth0',
  '00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0',
  '',
].join('\n');

const inTheWay = (subnet: string): string | null => {
  const cidr = parseCidr(subnet);
  if (cidr === null) throw new Error(subnet);
  return routeInTheWay(cidr, 'podwright0', [...parseRoutes4(four), ...parseRoutes6(six)]);
};

test('a subnet that cuts into a route, or is cut by one, has it in the way', (t) => {
  t.is(inTheWay('10.88.0.0/16'), '10.88.0.0/16 of tun0');
  t.is(inTheWay('10.88.7.0/24'), '10.88.0.0/16 of tun0');
  t.is(inTheWay('10.0.0.0/8'), '10.88.0.0/16 of tun0');
  t.is(inTheWay('192.0.2.128/25'), '192.0.2.0/24 of eth0');
  t.is(inTheWay('fd00::/48'), 'fd00::/64 of eth0');
});

test('the default route, routes of our own bridge and addresses of the host are in nobody’s way', (t) => {
  t.is(inTheWay('10.89.0.0/16'), null);
  t.is(inTheWay('10.99.1.0/24'), null);
  t.is(inTheWay('fd01::/64'), null);
  t.deepEqual(
    parseRoutes6(six).map(({ destination }) => destination.prefix),
    [64, 0],
  );
});

test('a table that is not one has no routes', (t) => {
  t.deepEqual([...parseRoutes4(''), ...parseRoutes4('x\ny z'), ...parseRoutes6(''), ...parseRoutes6('zz 1')], []);
});
