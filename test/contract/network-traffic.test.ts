// Traffic from inside a network namespace by the real addon: one socket, opened once, and let go.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import test from 'ava';
import { loadNative } from '../../src/native/load.ts';
import { InterfaceStats } from '../../src/network/stats.ts';

const addon = process.env['PODWRIGHT_ADDON'] ?? resolve('dist/addon.node');
const cannotRun = ((): string | null => {
  if (process.getuid?.() !== 0) return 'needs root: a network namespace is made';
  return existsSync(addon) ? null : `no addon at ${addon}: run hack/build.sh`;
})();
const real = cannotRun === null ? test.serial : test.serial.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} (${cannotRun})`);

const mine = '/proc/self/fd';
const sockets = (): string[] =>
  readdirSync(mine).flatMap((fd) => {
    try {
      const target = readlinkSync(`${mine}/${fd}`);
      return target.startsWith('socket:') ? [target] : [];
    } catch {
      return []; // the one that the directory was read by
    }
  });

const beside = (some: readonly string[], others: readonly string[]) => some.filter((one) => !others.includes(one));

real(title('a namespace is entered once, and its socket is gone when it is let go'), async (t) => {
  const child = spawn('unshare', ['--net', 'sh', '-c', 'echo in; sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const netns = `/proc/${child.pid}/ns/net`;
  const stats = new InterfaceStats(loadNative(addon));
  const ask = () => stats.of({ hostInterface: null, interface: 'eth0', netns });
  const before = sockets();
  t.deepEqual(await ask(), [], 'loopback does not count');
  const opened = beside(sockets(), before);
  t.is(opened.length, 1);
  t.deepEqual(await ask(), []);
  t.deepEqual(beside(sockets(), before), opened, 'the same one');
  await stats.forget(netns);
  t.deepEqual(beside(opened, sockets()), opened);
});

real(title('a namespace that is not there has no traffic'), async (t) => {
  const stats = new InterfaceStats(loadNative(addon));
  t.deepEqual(await stats.of({ hostInterface: null, interface: 'eth0', netns: '/proc/1/ns/none' }), []);
  t.deepEqual(await stats.of({ hostInterface: 'pwnone', interface: 'eth0', netns: '/proc/1/ns/none' }), []);
});
