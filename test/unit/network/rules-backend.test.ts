import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { decidedBackend, programDirs, rulesBackend } from '../../../src/network/rules-backend.ts';

test('auto is iptables where it is, else nftables where that is', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pw-rules-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const put = (name: string, mode: number): void => {
    writeFileSync(join(dir, name), '#!/bin/sh\n');
    chmodSync(join(dir, name), mode);
  };
  const dirs = ['/nowhere', 'relative', '', dir];
  t.is(rulesBackend('auto', dirs), 'iptables', 'what will be missing');
  put('nft', 0o755);
  t.is(rulesBackend('auto', dirs), 'nftables');
  put('iptables-restore', 0o644);
  t.is(rulesBackend('auto', dirs), 'nftables', 'what cannot be executed is not there');
  put('iptables-restore', 0o755);
  t.is(rulesBackend('auto', dirs), 'iptables');
  t.is(rulesBackend('nftables', dirs), 'nftables');
  t.is(rulesBackend('iptables', []), 'iptables');
  t.deepEqual(programDirs('/x/node_modules/.bin:/a:/b').slice(0, 2), ['/a', '/b']);
});

test('what was found once is kept for as long as the daemon runs', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pw-rules-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const put = (name: string): void => {
    writeFileSync(join(dir, name), '#!/bin/sh\n');
    chmodSync(join(dir, name), 0o755);
  };
  const backend = decidedBackend('auto', [dir]);
  t.is(backend(), 'iptables', 'neither is there');
  put('nft');
  t.is(backend(), 'nftables', 'a host that had neither is looked at again');
  put('iptables-restore');
  t.is(backend(), 'nftables');
  t.is(decidedBackend('auto', [dir])(), 'iptables', 'a daemon that starts now');
});
