// Monitors that are lost, silent, dead or unknown: none may be forgotten while it lives.
import test from 'ava';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Failure, unavailable } from '../../../src/lib/failure.ts';
import { noCarrier } from '../../../src/monitor/carrier.ts';
import { Monitors } from '../../../src/monitor/monitors.ts';
import { fakeMonitor } from '../../helpers/fake-monitor.ts';
import { until } from '../../helpers/until.ts';

const never = new AbortController().signal;
const who = { pid: 77, startTime: 5 };

/** Monitors over sockets in a directory of their own; `alive` is what the kernel would say. */
function setUp(t: { teardown: (then: () => void) => void }) {
  const dir = mkdtempSync('/tmp/pw-monitors-');
  const awake = setInterval(() => undefined, 1000); // the daemon's timers do not keep a process alive
  t.teardown(() => {
    clearInterval(awake);
    rmSync(dir, { recursive: true });
  });
  const state = { alive: true, spawnCode: 0, unreadable: false, ended: [] as string[] };
  const gone: string[] = [];
  const told: string[] = [];
  const events: string[] = [];
  const monitors = new Monitors({
    native: {
      spawnMonitor: async () => ({ code: state.spawnCode, stderr: '' }),
      processStartTime: () => {
        if (state.unreadable) throw new Error('too many open files');
        return state.alive ? who.startTime : null;
      },
      processEnd: async ({ pid, startTime }) => {
        state.ended.push(`${pid} ${startTime}`);
        return true;
      },
    },
    socketOf: (id) => join(dir, id),
    place: async () => ({ unifiedDir: '', v1Tasks: [] }),
    placed: async () => undefined,
    daemonVersion: '0',
    carrier: noCarrier,
    onEvent: (id) => void events.push(id),
    onState: (id) => void told.push(id),
    onGone: (id) => void gone.push(id),
  });
  return { dir, state, gone, told, events, monitors, socket: (id: string) => join(dir, id) };
}

test('a monitor that did not greet at its launch is ended all the same', async (t) => {
  const { monitors, socket } = setUp(t);
  const monitor = await fakeMonitor(socket('s'), who);
  const greet = monitor.answer;
  monitor.answer = () => ({ failure: { kind: 'INTERNAL', detail: 'not now' } });
  await t.throwsAsync(monitors.launch('s'), { message: 'not now' });
  monitor.answer = greet;
  await monitors.shutdown('s', never);
  t.true(monitor.calls.includes('shutdown'));
  await monitor.end();
});

test('ending a sandbox without a monitor succeeds', async (t) => {
  const { monitors } = setUp(t);
  await t.notThrowsAsync(monitors.shutdown('nobody', never));
});

test('a shutdown that failed leaves the monitor known', async (t) => {
  const { monitors, socket } = setUp(t);
  const monitor = await fakeMonitor(socket('s'), who);
  await monitors.launch('s');
  const willing = monitor.answer;
  monitor.answer = () => ({ failure: { kind: 'DEADLINE_EXCEEDED', detail: 'pid 12 does not end' } });
  await t.throwsAsync(monitors.shutdown('s', never), { message: /pid 12/ });
  t.true(monitors.isAlive('s'));
  monitor.answer = willing;
  await monitors.shutdown('s', never);
  t.false(monitors.isAlive('s'));
  await monitor.end();
});

test('a silent monitor of before is alive, unavailable, and heard as soon as it answers', async (t) => {
  const { monitors, socket, told } = setUp(t);
  monitors.watch('s', { ...who, version: '0' });
  t.true(monitors.isAlive('s'));
  t.false(monitors.isReachable('s'));
  const error = await t.throwsAsync(monitors.call('s', { getState: {} }, never), { instanceOf: Failure });
  t.is((error as Failure).kind, 'unavailable');
  const monitor = await fakeMonitor(socket('s'), who);
  await until('the monitor is heard of', () => told.length === 1);
  t.true(monitors.isReachable('s'));
  monitors.close();
  await monitor.end();
});

test('a watched monitor that dies is told once', async (t) => {
  const { monitors, gone, state } = setUp(t);
  monitors.watch('s', { ...who, version: '0' });
  state.alive = false;
  await until('the monitor is heard of', () => gone.length === 1);
  t.false(monitors.isAlive('s'));
});

test('a monitor of which the kernel tells nothing counts as alive', async (t) => {
  const { monitors, gone, state } = setUp(t);
  state.unreadable = true;
  monitors.watch('s', { ...who, version: '0' });
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.true(monitors.isAlive('s'));
  await t.throwsAsync(monitors.shutdown('s', never), { instanceOf: Failure });
  t.deepEqual(gone, []);
  Object.assign(state, { unreadable: false, alive: false });
  await until('the monitor is heard of', () => gone.length === 1);
});

test('a lost connection comes back; forgetting meanwhile leaves no connection open', async (t) => {
  const { monitors, socket, told } = setUp(t);
  const monitor = await fakeMonitor(socket('s'), who);
  await monitors.launch('s');
  monitor.cut();
  await until('the monitor is heard of', () => told.length === 1);
  t.true(monitors.isReachable('s'));
  monitor.cut();
  while (monitors.isReachable('s')) await new Promise((resolve) => setImmediate(resolve));
  monitors.forget('s');
  // the attempt had begun when the monitor was forgotten: it greets, and then has no one left to belong to
  await until('the third greeting', () => monitor.calls.filter((call) => call === 'hello').length === 3);
  await until('no connection is left', () => monitor.sockets.size === 0);
  await monitor.end();
});

test('a record that cannot be written when a monitor comes back costs a retry, not a connection', async (t) => {
  const { monitors, socket } = setUp(t);
  const monitor = await fakeMonitor(socket('s'), who);
  let full = true;
  let heard = 0;
  const picky = new Monitors({
    native: {
      spawnMonitor: async () => ({ code: 0, stderr: '' }),
      processStartTime: () => who.startTime,
      processEnd: async () => true,
    },
    socketOf: socket,
    place: async () => ({ unifiedDir: '', v1Tasks: [] }),
    placed: async () => undefined,
    daemonVersion: '0',
    carrier: noCarrier,
    onEvent: () => undefined,
    onState: () => {
      if (full) throw unavailable('no space left');
      heard += 1;
    },
    onGone: () => undefined,
  });
  await picky.launch('s');
  monitor.cut();
  await new Promise((resolve) => setTimeout(resolve, 150));
  full = false;
  await until('the monitor is heard of', () => heard === 1);
  await until('the lost connections are closed', () => monitor.sockets.size === 1);
  t.true(picky.isReachable('s'));
  picky.close();
  monitors.close();
  await monitor.end();
});

test('the death of a monitor that was told to end is no news', async (t) => {
  const { monitors, socket, gone, state } = setUp(t);
  const monitor = await fakeMonitor(socket('s'), who);
  await monitors.launch('s');
  await monitors.shutdown('s', never);
  state.alive = false;
  await monitor.end();
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.deepEqual(gone, []);
});

test('a call that the monitor does not answer in time has passed its deadline', async (t) => {
  const { monitors, socket } = setUp(t);
  const monitor = await fakeMonitor(socket('s'), who);
  await monitors.launch('s');
  monitor.answer = () => null;
  const error = await t.throwsAsync(monitors.shutdown('s', AbortSignal.timeout(20)), { instanceOf: Failure });
  t.is((error as Failure).kind, 'deadline-exceeded');
  monitors.close();
  await monitor.end();
});

test('a monitor that lives without a socket is ended by pid and start time; one that only says nothing is not', async (t) => {
  const { monitors, socket, state } = setUp(t);
  const monitor = await fakeMonitor(socket('s'), who);
  monitor.answer = () => null;
  monitors.watch('s', { ...who, version: '0' });
  await monitors.endWithoutSocket('s');
  t.deepEqual(state.ended, []);
  t.true(monitors.isAlive('s'));
  await monitor.end();
  await monitors.endWithoutSocket('s');
  t.deepEqual(state.ended, [`${who.pid} ${who.startTime}`]);
  t.false(monitors.isAlive('s'));
  await t.notThrowsAsync(monitors.endWithoutSocket('s'), 'there is nobody to end');
});

test('a monitor that answers is not ended without its socket', async (t) => {
  const { monitors, socket, state } = setUp(t);
  const monitor = await fakeMonitor(socket('s'), who);
  await monitors.adopt('s');
  rmSync(socket('s'));
  await monitors.endWithoutSocket('s');
  t.deepEqual(state.ended, []);
  monitors.forget('s');
  await monitor.end();
});
