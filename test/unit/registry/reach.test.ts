import { promisify } from 'node:util';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import type { networkInterfaces } from 'node:os';
import test, { type ExecutionContext } from 'ava';
import {
  checkReach,
  isWithin,
  lookupWithin,
  ownAddresses,
  reachOf,
  reachOfOwnHost,
} from '../../../src/registry/reach.ts';
import { TransportError } from '../../../src/registry/transport-error.ts';

const own = ['127.0.0.1', '127.9.9.9', '0.0.0.0', '::1', '[::1]', '::', '::ffff:127.0.0.1', '[::ffff:7f00:1]'];
const metadata = [
  '169.254.169.254',
  '169.254.170.2',
  '::ffff:169.254.169.254',
  '[::ffff:a9fe:a9fe]',
  'fe80::1%eth0',
  '[fd00:ec2::254]',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  '224.0.0.1',
  '255.255.255.255',
  'ff02::1',
];
const others = ['10.0.0.1', '192.168.1.1', '172.16.0.1', '8.8.8.8', 'fd00::1', '2001:db8::1', '::ffff:10.0.0.1'];

test('what each may lead to', (t) => {
  for (const address of own) {
    t.deepEqual(
      [isWithin('any', address), isWithin('machine', address), isWithin('network', address)],
      [true, true, false],
      address,
    );
  }
  for (const address of metadata) {
    t.deepEqual(
      [isWithin('any', address), isWithin('machine', address), isWithin('network', address)],
      [true, false, false],
      address,
    );
  }
  for (const address of others) {
    t.deepEqual(
      [isWithin('any', address), isWithin('machine', address), isWithin('network', address)],
      [true, true, true],
      address,
    );
  }
});

test('who is of this machine', (t) => {
  for (const peer of [...own, 'localhost', 'a.localhost']) t.is(reachOf(peer), 'machine', peer);
  for (const peer of [...others, ...metadata, 'r.io', 'localhost.r.io', '']) t.is(reachOf(peer), 'network', peer);
});

test('addresses however they are written, in a URL', (t) => {
  for (const url of ['http://127.1/', 'http://0x7f000001/', 'http://2130706433/', 'http://[::1]:5000/', 'http://0/']) {
    t.throws(() => checkReach('network', new URL(url)), { instanceOf: TransportError }, url);
    t.notThrows(() => checkReach('any', new URL(url)), url);
  }
  t.notThrows(() => checkReach('network', new URL('http://r.io/')));
});

test('names are looked at when they are resolved', async (t) => {
  t.is(lookupWithin('any'), null);
  const lookup = (reach: 'machine' | 'network') =>
    promisify(lookupWithin(reach) as never) as (name: string, options: object) => Promise<unknown>;
  await t.throwsAsync(lookup('network')('localhost', { all: true }), { instanceOf: TransportError });
  t.true(Array.isArray(await lookup('machine')('localhost', { all: true })));
  t.is(typeof (await lookup('machine')('localhost', {})), 'string');
});

test('the addresses of this machine are of this machine', (t) => {
  const own = () => ['192.168.7.7', '2001:db8::7'];
  for (const address of ['192.168.7.7', '::ffff:192.168.7.7', '[2001:DB8::7]']) {
    t.is(reachOf(address, own), 'machine', address);
    t.false(isWithin('network', address, own), address);
    t.true(isWithin('machine', address, own), address);
  }
  t.true(isWithin('network', '192.168.7.8', own));
  t.is(reachOf('192.168.7.8', own), 'network');
  t.true(ownAddresses().length > 0);
  for (const address of ownAddresses()) t.false(isWithin('network', address), address);
});

test('addresses of Services, which kube-proxy keeps on an interface, are not of this machine', (t) => {
  const at = (address: string) => [{ address }] as unknown as ReturnType<typeof networkInterfaces>[string];
  const interfaces = { eth0: at('192.168.7.7'), 'kube-ipvs0': at('10.96.0.10'), 'kube-ipvs0:1': at('10.96.0.11') };
  const own = () => ownAddresses(interfaces);
  t.deepEqual(own(), ['192.168.7.7']);
  for (const address of ['10.96.0.10', '10.96.0.11']) {
    t.true(isWithin('network', address, own), address);
    t.is(reachOf(address, own), 'network', address);
  }
});

test('a server leads to its own host only where it was', async (t) => {
  const reach = reachOfOwnHost('any', '::ffff:169.254.7.7');
  t.true(isWithin(reach, '169.254.7.7'), 'the operator named it, wherever it is');
  for (const address of ['169.254.169.254', '127.0.0.1', '::1']) t.false(isWithin(reach, address), address);
  t.true(isWithin(reach, '10.0.0.1'));
  t.true(isWithin(reachOfOwnHost('any', '127.0.0.1'), '::1'), 'what is of this machine stays so');
  t.is(reachOfOwnHost('network', '127.0.0.1'), 'network', 'what a server named is not nearer by what it is');
  t.is(reachOfOwnHost(reach, '169.254.169.254'), reach);
  const lookup = promisify(lookupWithin(reach) as never) as (name: string, options: object) => Promise<unknown>;
  await t.throwsAsync(lookup('localhost', { all: true }), { instanceOf: TransportError });
  const there = lookupWithin({ ground: 'network', peer: '127.0.0.1' });
  const one = promisify(there as never) as (name: string, options: object) => Promise<unknown>;
  t.is(await one('localhost', { family: 4 }), '127.0.0.1', 'an address that it had is enough');
});

/** Lets names resolve as they are told to, until the test has ended. */
function resolveTo(t: ExecutionContext, error: Error | null, found?: object[]): void {
  const { lookup } = dns;
  type Done = (error: Error | null, found?: object[]) => void;
  Object.assign(dns, { lookup: (_name: string, _options: object, done: Done): void => done(error, found) });
  syncBuiltinESMExports();
  t.teardown(() => {
    Object.assign(dns, { lookup });
    syncBuiltinESMExports();
  });
}

test.serial('a name that is nowhere fails as the resolver says', async (t) => {
  resolveTo(t, Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }));
  const lookup = promisify(lookupWithin('machine') as never) as (name: string, options: object) => Promise<unknown>;
  await t.throwsAsync(lookup('nowhere.invalid', { all: true }), { code: 'ENOTFOUND' });
});

test.serial('of a name with several addresses those within reach are used', async (t) => {
  const all = ['127.0.0.1', '10.0.0.1', '169.254.169.254', '10.0.0.2'].map((address) => ({ address, family: 4 }));
  resolveTo(t, null, all);
  const found = (reach: Parameters<typeof lookupWithin>[0]) =>
    (promisify(lookupWithin(reach) as never) as (name: string, options: object) => Promise<unknown>)('x.invalid', {
      all: true,
    });
  const at = (...ends: number[]): object[] => ends.map((end) => all[end]!);
  t.deepEqual(await found('network'), at(1, 3));
  t.deepEqual(await found('machine'), at(0, 1, 3));
  t.deepEqual(await found({ ground: 'network', peer: '169.254.169.254' }), at(1, 2, 3));
});
