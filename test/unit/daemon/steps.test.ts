// Who may turn on the steps of a daemon, and what a step that fails looks like.
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { nativeEffects, stepsOf } from '../../../src/daemon/steps.ts';
import { noStep } from '../../../src/lib/steps.ts';
import { NativeError } from '../../../src/native/errors.ts';
import type { Log } from '../../../src/log.ts';

function setup(env: Record<string, string>, root = '/tmp/root') {
  const enabled: string[] = [];
  const failure = { operation: 'pass the step', syscall: 'a test', errno: 5, object: '', message: 'failed' };
  const native = {
    stepsEnable: (dir: string) => enabled.push(dir) > 0,
    stepPass: (label: string) => {
      if (label.endsWith('fails')) throw new NativeError(failure);
      return true;
    },
  };
  const warned: string[] = [];
  const log = { warn: (_: object, text: string) => void warned.push(text) } as unknown as Log;
  return { enabled, warned, step: () => stepsOf({ native, env, root, log }) };
}

test('nothing but the environment of the process turns them on', (t) => {
  const { enabled, step } = setup({ OTHER: '/tmp/steps', PODWRIGHT_TEST_STEPS: '' });
  t.is(step(), noStep);
  t.deepEqual(enabled, []);
});

test('a node that works has none', (t) => {
  const { enabled, step } = setup({ PODWRIGHT_TEST_STEPS: '/tmp/steps' }, '/var/lib/podwright');
  t.throws(step, { message: /PODWRIGHT_TEST_STEPS is for tests, and \/var\/lib\/podwright is not/ });
  t.deepEqual(enabled, []);
});

test('a step fails as its port does', (t) => {
  const made = setup({ PODWRIGHT_TEST_STEPS: '/tmp/steps' });
  const step = made.step();
  t.deepEqual(made.enabled, ['/tmp/steps']);
  t.is(made.warned.length, 1);
  t.notThrows(() => step('native.commitDir'));
  t.throws(() => step('native.commitDir fails'), { instanceOf: NativeError });
  const error = t.throws(() => step('record fails'));
  t.is((error as NodeJS.ErrnoException).code, 'EIO');
});

/** Calls of the addon that leave everything outside this process as it was, or say where bytes of a stream go. */
const noEffects = {
  reads: [
    'bootId',
    'processStartTime',
    'cgroupDetect',
    'cgroupRead',
    'cgroupProcs',
    'cgroupUsage',
    'cgroupStats',
    'cgroupTasks',
    'networkDefaultMtu',
    'networkListLinks',
    'networkInterfaceStats',
    'fetchProgress',
    'archiveRead',
    'verifyBlob',
    'quotaSupport',
    'quotaUsage',
    'layerUsage',
    'layerUsages',
    'readThrough',
    'fsInfo',
    'seccompCompile',
  ],
  ofThisProcess: [
    'heapTrim',
    'serviceNotify',
    'systemdReloaded',
    'lockFile',
    'prepareMonitor',
    'networkForgetStats',
    'networkTryLock',
    'networkLock',
    'fetchCancel',
    'stepsEnable',
    'stepPass',
  ],
  streams: ['carryInput', 'carryCancel'],
};

test('each call of the addon has a step, or no effect', (t) => {
  const dir = new URL('../../../src/native/', import.meta.url);
  const files = readdirSync(dir).filter((name) => name === 'boundary.ts' || name.endsWith('-calls.ts'));
  const calls = files.flatMap((name) =>
    [...readFileSync(new URL(name, dir), 'utf8').matchAll(/^export interface \w+Exports \{\n(.*?)^\}/gms)].flatMap(
      ([, body = '']) => [...body.matchAll(/^ {2}(\w+)\(/gm)].map(([, call]) => call),
    ),
  );
  t.true(calls.length > 60, 'they are found');
  const known = [...nativeEffects.later, ...nativeEffects.atOnce, ...Object.values(noEffects).flat()];
  t.deepEqual(calls.toSorted(), known.toSorted());
});
