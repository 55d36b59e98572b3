// The daemon of today and a monitor of an earlier release that says what was recorded of it: it is adopted with all that it
// knows, and each call means the same on both sides.
import test, { type ExecutionContext } from 'ava';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { noCarrier } from '../../../src/monitor/carrier.ts';
import type { MonitorEvent } from '../../../src/monitor/client.ts';
import { Monitors } from '../../../src/monitor/monitors.ts';
import { containerFacts, exitFact, monitorRequests, oomKill } from '../../../src/monitor/requests.ts';
import type { ReceivedFrame } from '../../../src/proto/monitor-codec.ts';
import { exchanges, frozenMonitor } from '../../recordings/frozen-monitor.ts';
import { type Recording, recordings } from '../../recordings/recording.ts';
import { until } from '../../helpers/until.ts';

type Request = NonNullable<ReceivedFrame['request']>;

const never = new AbortController().signal;

/** Today's side of one frozen monitor. */
async function setUp(t: ExecutionContext, recording: Recording) {
  const dir = mkdtempSync('/tmp/pw-frozen-');
  const awake = setInterval(() => undefined, 1000); // the daemon's timers do not keep a process alive
  const old = await frozenMonitor(recording, join(dir, 's'));
  const events: MonitorEvent[] = [];
  const monitors = new Monitors({
    native: {
      spawnMonitor: async () => ({ code: 0, stderr: '' }),
      processStartTime: () => null,
      processEnd: async () => true,
    },
    socketOf: (id) => join(dir, id),
    place: async () => ({ unifiedDir: '', v1Tasks: [] }),
    placed: async () => undefined,
    daemonVersion: '99.0.0',
    carrier: noCarrier,
    onEvent: (_, event) => void events.push(event),
    onState: () => undefined,
    onGone: () => undefined,
  });
  t.teardown(async () => {
    monitors.close();
    await old.end();
    clearInterval(awake);
    rmSync(dir, { recursive: true });
  });
  return { old, monitors, events, requests: monitorRequests(monitors) };
}

/** A recorded request of a kind that was granted, without its id. */
function recorded<K extends keyof Request>(recording: Recording, call: K, nth = 0): NonNullable<Request[K]> {
  const all = exchanges(recording).calls.filter(
    ({ request, response }) => request.call === call && response !== null && response.result !== 'failure',
  );
  return all[nth]?.request[call] as NonNullable<Request[K]>;
}

/** Which answer of a kind the n-th call of it gets. */
function answered(recording: Recording, call: keyof Request, nth = 0) {
  return exchanges(recording).calls.filter(({ request, response }) => request.call === call && response !== null)[nth]
    ?.response;
}

for (const recording of recordings()) {
  const title = (what: string): string => `${recording.facts.version}: ${what}`;

  test(title('it is greeted, and every container that it tells of is known with its life'), async (t) => {
    const { old, monitors } = await setUp(t, recording);
    const greetings = exchanges(recording).calls.filter(({ request }) => request.call === 'hello');
    let richest = 0;
    for (const { response } of greetings) {
      const hello = await monitors.adopt('s');
      t.is(hello.monitorVersion, recording.facts.version);
      t.is(hello.pid, response?.hello?.pid ?? -1);
      const told = response?.hello?.state?.containers ?? [];
      t.deepEqual(
        containerFacts(hello).map(({ containerId, pid, startedAt, exit }) => [
          containerId,
          pid,
          startedAt,
          exit && [exit.exitCode, exit.finishedAt, exit.oomKilled],
        ]),
        told.map(({ containerId, pid, startedAt, exit }) => [
          containerId,
          pid,
          BigInt(startedAt),
          exit && [exit.exitCode, BigInt(exit.finishedAt), exit.oomKilled],
        ]),
      );
      richest = Math.max(richest, told.length);
    }
    t.true(richest > 3, `${richest} containers at once`);
    t.true(monitors.isReachable('s'));
    t.deepEqual(new Set(old.asked.map(({ call }) => call)), new Set(['hello']));
  });

  test(title('the requests of today are to it what they were, the answers too'), async (t) => {
    const { old, monitors, requests } = await setUp(t, recording);
    await monitors.adopt('s');
    const last = (): unknown => {
      const request = old.asked.at(-1);
      return request?.call === undefined ? undefined : request[request.call];
    };
    const sandbox = recorded(recording, 'createSandbox');
    await requests.createSandbox('s', sandbox, never);
    t.deepEqual(last(), sandbox);
    const container = recorded(recording, 'createContainer');
    const made = await requests.createContainer('s', container, never);
    t.deepEqual(last(), container);
    t.is(made.pid, answered(recording, 'createContainer')?.createContainer?.pid ?? -1);
    const { containerId } = recorded(recording, 'startContainer');
    const began = await requests.startContainer('s', containerId, never);
    t.deepEqual(last(), { containerId });
    t.is(String(began.startedAt), answered(recording, 'startContainer')?.startContainer?.startedAt ?? '');
    const command = recorded(recording, 'execSync');
    const ran = await requests.execSync('s', command, never);
    t.deepEqual(last(), command);
    t.like(ran, { exitCode: 3, timedOut: false });
    t.deepEqual([ran.stdout.toString(), ran.stderr.toString()], ['out\n', 'err\n']);
    const stop = recorded(recording, 'stopContainer');
    const stopped = await requests.stopContainer('s', { ...stop, timeoutMs: Number(stop.timeoutMs) }, never);
    t.deepEqual(last(), stop);
    t.is(stopped.exit?.containerId, stop.containerId);
    await requests.removeContainer('s', containerId, never);
    await requests.reopenLog('s', containerId, never);
    await requests.cancelExec('s', 'none', never);
    t.deepEqual(last(), { execId: 'none' });
    const checkpoint = recorded(recording, 'checkpoint');
    await requests.checkpoint('s', checkpoint, never);
    t.deepEqual(last(), checkpoint);
    await monitors.shutdown('s', never);
    t.is(old.asked.at(-1)?.call, 'shutdown');
  });

  test(title('its failures and its events are what they were'), async (t) => {
    const { old, monitors, events, requests } = await setUp(t, recording);
    await monitors.adopt('s');
    const starts = exchanges(recording).calls.filter(({ request }) => request.call === 'startContainer');
    const failed = starts.findIndex(({ response }) => response?.failure);
    for (let n = 0; n < failed; n += 1) await requests.startContainer('s', 'any', never);
    await t.throwsAsync(requests.startContainer('s', 'any', never), { message: /executable|no such file/ });
    const { events: told } = exchanges(recording);
    for (const event of told) old.push(event);
    await until('all have come', () => events.length === told.length);
    for (const [at, { exit, oom }] of told.entries()) {
      if (exit) t.is(exitFact(events[at]?.exit ?? (t.fail() as never)).exitCode, exit.exitCode);
      if (oom) t.like(oomKill('s', events[at]?.oom ?? (t.fail() as never)), { limit: 'own', main: oom.main });
    }
    t.true(told.some(({ oom }) => oom));
  });

  test(title('a call that it does not know is told to be none of its'), async (t) => {
    const { monitors } = await setUp(t, recording);
    await monitors.adopt('s');
    await t.throwsAsync(monitors.call('s', {}, never), { message: /does not know the call/ });
  });
}
