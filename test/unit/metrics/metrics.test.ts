import test from 'ava';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Failure } from '../../../src/lib/failure.ts';
import { createMetrics, type Metrics } from '../../../src/metrics/metrics.ts';
import { socketFiles } from '../../../src/state/socket-files.ts';

const make = (): Metrics => createMetrics({ version: '1.2.3', node: 'v24.0.0', onError: () => undefined });

/** Lines of a scrape whose name starts with podwright_, without the comments. */
async function own(metrics: Metrics): Promise<readonly string[]> {
  return (await metrics.scrape()).split('\n').filter((line) => line.startsWith('podwright_'));
}

test('RPCs are counted by method and code, errors apart', async (t) => {
  const metrics = make();
  metrics.observeRpc('Version', 'OK', 0.0004);
  metrics.observeRpc('Version', 'OK', 0.02);
  metrics.observeRpc('Version', 'NOT_FOUND', 500);
  const lines = await own(metrics);
  const bucket = (le: string, code = 'OK'): string =>
    `podwright_rpc_duration_seconds_bucket{method="Version",code="${code}",le="${le}"}`;
  for (const line of [
    `${bucket('0.0005')} 1`,
    `${bucket('0.01')} 1`,
    `${bucket('0.025')} 2`,
    `${bucket('+Inf')} 2`,
    `${bucket('120', 'NOT_FOUND')} 0`,
    `${bucket('+Inf', 'NOT_FOUND')} 1`,
    'podwright_rpc_duration_seconds_sum{method="Version",code="OK"} 0.0204',
    'podwright_rpc_duration_seconds_count{method="Version",code="OK"} 2',
    'podwright_rpc_errors_total{method="Version",code="NOT_FOUND"} 1',
    'podwright_build_info{version="1.2.3",node="v24.0.0"} 1',
  ]) {
    t.true(lines.includes(line), line);
  }
  t.false(lines.some((line) => line.startsWith('podwright_rpc_errors_total{method="Version",code="OK"}')));
});

test('pulls, stages, recovery and gauges', async (t) => {
  const metrics = make();
  metrics.observePull({ result: 'ok', bytes: 1000, seconds: 3 });
  metrics.observePull({ result: 'error', bytes: 10, seconds: 0.1 });
  metrics.observeStage('RunPodSandbox', 'network', 0.002);
  metrics.countRecovered('adopt');
  metrics.countQuarantined('sandbox');
  metrics.countExit('OOMKilled');
  metrics.countExit('OOMKilled');
  t.false((await own(metrics)).some((line) => line.startsWith('podwright_sandboxes')));
  metrics.setSources({
    sandboxes: () => ({ ready: 2, notready: 1 }),
    containers: () => ({ running: 3 }),
    images: () => 4,
    pulls: () => 1,
    pullLayers: () => ({ downloading: 2, done: 1 }),
    pullRemainingBytes: () => 77,
    unreachableMonitors: () => 0,
    owedReleases: () => 5,
    owedRemovals: () => 6,
    owedLeftovers: () => 8,
    owedWrites: () => 7,
    oomKills: () => [{ process: 'main', limit: 'own', count: 3 }],
    nriPlugins: () => 1,
    eventSubscribers: () => 2,
    events: () => 9,
    eventOverflows: () => 1,
    droppedLogBytes: () => 123,
  });
  const lines = await own(metrics);
  for (const line of [
    'podwright_image_pulls_total{result="ok"} 1',
    'podwright_image_pulls_total{result="error"} 1',
    'podwright_image_pull_bytes_total 1010',
    'podwright_image_pull_duration_seconds_bucket{result="ok",le="5"} 1',
    'podwright_pod_start_stage_seconds_count{rpc="RunPodSandbox",stage="network"} 1',
    'podwright_recovered_total{action="adopt"} 1',
    'podwright_log_dropped_bytes_total 123',
    'podwright_quarantined_records_total{noun="sandbox"} 1',
    'podwright_sandboxes{state="ready"} 2',
    'podwright_sandboxes{state="notready"} 1',
    'podwright_containers{state="running"} 3',
    'podwright_images 4',
    'podwright_image_pulls_running 1',
    'podwright_image_pull_layers{state="downloading"} 2',
    'podwright_image_pull_remaining_bytes 77',
    'podwright_unreachable_monitors 0',
    'podwright_owed_network_releases 5',
    'podwright_owed_removals 6',
    'podwright_owed_leftovers 8',
    'podwright_owed_record_writes 7',
    'podwright_container_exits_total{reason="OOMKilled"} 2',
    'podwright_container_oom_kills_total{process="main",limit="own"} 3',
    'podwright_nri_plugins 1',
    'podwright_event_subscribers 2',
    'podwright_events_total 9',
    'podwright_event_overflows_total 1',
  ]) {
    t.true(lines.includes(line), line);
  }
});

test('label values are escaped, process metrics are there, every series has help and type', async (t) => {
  const metrics = make();
  metrics.observeRpc('A"B\\C\n', 'OK', 1);
  const text = await metrics.scrape();
  t.true(text.includes('method="A\\"B\\\\C\\n"'));
  t.regex(text, /^process_resident_memory_bytes \d+/m);
  t.regex(text, /^nodejs_eventloop_lag_seconds /m);
  const names = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
  const helped = new Set([...text.matchAll(/^# HELP (\S+) \S/gm)].map(([, name]) => name));
  t.deepEqual(helped, names);
});

test('the listener serves metrics only, and ends', async (t) => {
  const metrics = make();
  const address = await metrics.listen('127.0.0.1:0');
  const answer = await fetch(`http://${address}/metrics`);
  t.is(answer.status, 200);
  t.regex(answer.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  t.regex(await answer.text(), /podwright_build_info/);
  t.is((await fetch(`http://${address}/`)).status, 404);
  const early = await fetch(`http://${address}/metrics/cadvisor`);
  t.is(early.status, 500);
  t.regex(await early.text(), /podwrightd is starting/);
  const one = { name: 'container_x', type: 'gauge' } as const;
  const tell = (take: (metric: typeof one, labels: readonly string[], value: number) => void) => take(one, ['a"b'], 3);
  metrics.setPods({
    families: () => [
      { name: 'container_x', help: 'Some x', labelKeys: ['pod', 'own'] },
      { name: 'container_none', help: 'Nothing', labelKeys: ['pod'] },
    ],
    read: async () => [{ base: ['p'], tell, containers: [{ base: ['q'], tell }] }],
  });
  const pods = await fetch(`http://${address}/metrics/cadvisor`);
  t.is(
    await pods.text(),
    '# HELP container_x Some x\n# TYPE container_x gauge\n' +
      'container_x{pod="p",own="a\\"b"} 3\ncontainer_x{pod="q",own="a\\"b"} 3\n',
  );
  t.is((await fetch(`http://${address}/metrics`, { method: 'POST' })).status, 405);
  const error = await t.throwsAsync(() => make().listen(address), {
    instanceOf: Failure,
    message: /could not serve metrics on/,
  });
  t.is(error.kind, 'unavailable');
  await metrics.close();
  await t.throwsAsync(() => fetch(`http://${address}/metrics`));
  await t.throwsAsync(() => make().listen('nowhere'), { message: /is not host:port/ });
});

test('the unix socket serves the same, is for its owner alone, and replaces one that was left', async (t) => {
  const dir = mkdtempSync('/tmp/pwt-metrics-');
  const path = join(dir, 'metrics.sock');
  writeFileSync(path, 'left by a daemon that was killed');
  const ask = async (): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const sent = request({ socketPath: path, path: '/metrics', agent: false }, (answer) => {
      text(answer).then(resolve, reject);
    });
    sent.on('error', reject).end();
    return promise;
  };
  const metrics = make();
  await metrics.listenUnix(path, socketFiles);
  t.true(statSync(path).isSocket());
  t.is(statSync(path).mode & 0o777, 0o600);
  t.regex(await ask(), /podwright_build_info/);
  await metrics.close();
  t.deepEqual(readdirSync(dir), []);
  const below = join(dir, 'made', 'metrics.sock');
  const other = make();
  await other.listenUnix(below, socketFiles);
  t.is(statSync(join(dir, 'made')).mode & 0o777, 0o700, 'its directory is made, for root alone');
  await other.close();
  writeFileSync(join(dir, 'file'), '');
  await t.throwsAsync(() => make().listenUnix(join(dir, 'file', 'metrics.sock'), socketFiles), {
    instanceOf: Failure,
    message: /could not serve metrics on .*file/,
  });
  await t.throwsAsync(() => make().listenUnix(join(dir, 'x'.repeat(100)), socketFiles), { message: /longer than/ });
  rmSync(dir, { recursive: true });
});
