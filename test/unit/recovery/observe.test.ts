import test from 'ava';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { observe } from '../../../src/recovery/observe.ts';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
import { sandboxConfig } from '../../helpers/builders.ts';

const id = (digit: string): string => digit.repeat(64);

test('what has no record is an orphan; what a newer release recorded is not', async (t) => {
  const root = mkdtempSync('/tmp/pw-observe-');
  t.teardown(() => rmSync(root, { recursive: true }));
  for (const dir of ['sockets', 'netns', 'run', 'snapshots']) mkdirSync(join(root, dir));
  writeFileSync(join(root, 'sockets', id('a')), '');
  writeFileSync(join(root, 'sockets', id('e')), '');
  writeFileSync(join(root, 'netns', id('a')), '');
  mkdirSync(join(root, 'run', id('b')));
  writeFileSync(join(root, 'run', 'no id'), '');
  mkdirSync(join(root, 'snapshots', id('c')));
  mkdirSync(join(root, 'snapshots', id('d')));
  for (const each of ['d', 'f']) mkdirSync(join(root, 'bundles', id(each)), { recursive: true });
  const seen = await observe({
    sandboxes: () => [],
    containers: () => [],
    bootId: 'now',
    processStartTime: () => null,
    adopt: async () => [],
    readExit: () => null,
    sandboxIds: () => [id('e')],
    containerIds: () => [id('d')],
    snapshotsDir: join(root, 'snapshots'),
    bundlesDir: join(root, 'bundles'),
    sandboxDirs: [join(root, 'sockets'), join(root, 'netns'), join(root, 'run'), join(root, 'nothing')],
  });
  t.deepEqual(seen.orphans.toSorted(), [id('a'), id('b')]);
  t.deepEqual(seen.snapshots, [id('c')]);
  t.deepEqual(seen.bundles, [id('f')]);
});

test('a monitor that does not answer is dead only when the kernel says so', async (t) => {
  const monitor = { pid: 7, startTime: 3, version: '0', bootId: 'now' };
  const sandbox = {
    identity: {
      id: id('a'),
      config: sandboxConfig(),
      runtimeHandler: '',
      createdAt: 1n,
      cgroupPath: '/p',
      ownsCgroup: true,
    },
    status: {
      phase: 'ready',
      ips: [],
      hostInterface: null,
      monitor,
      pausePid: 0,
      stopRequestedAt: 0n,
      deliveredAt: 2n,
    },
  } as unknown as Sandbox;
  const find = async (processStartTime: () => number | null) => {
    const seen = await observe({
      sandboxes: () => [sandbox],
      containers: () => [],
      bootId: 'now',
      processStartTime,
      adopt: async () => {
        throw new Error('nobody listens');
      },
      readExit: () => null,
      sandboxIds: () => [id('a')],
      containerIds: () => [],
      snapshotsDir: '/nowhere/at/all',
      bundlesDir: '/nowhere/at/all',
      sandboxDirs: [],
    });
    return seen.monitors.get(id('a'));
  };
  t.is(await find(() => 3), 'silent');
  t.is(await find(() => 4), 'dead');
  t.is(await find(() => null), 'dead');
  const unreadable = (): never => {
    throw new Error('too many open files');
  };
  t.is(await find(unreadable), 'silent');
});

test('containers of a sandbox that a newer release recorded are not looked at', async (t) => {
  const seen = await observe({
    sandboxes: () => [],
    containers: () => [{ identity: { id: id('c'), sandboxId: id('a') }, status: { exit: null, bootId: 'b' } }] as never,
    bootId: 'b',
    processStartTime: () => null,
    adopt: async () => [],
    readExit: () => null,
    sandboxIds: () => [id('a')],
    containerIds: () => [id('c')],
    snapshotsDir: '/nowhere',
    bundlesDir: '/nowhere',
    sandboxDirs: [],
  });
  t.deepEqual(seen.containers, []);
});
