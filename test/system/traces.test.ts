// OpenTelemetry of a real daemon: spans of calls and stages at a collector, nothing of it when nobody asks.
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { dist, TestDaemon } from '../helpers/daemon.ts';
import { Collector } from '../helpers/otlp.ts';
import { containerConfig, env, podConfig, pull, runPod, start } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;
const collector = new Collector();
const daemons: TestDaemon[] = [];

test.after.always('everything is swept away', async () => {
  for (const daemon of daemons) await daemon.destroy();
  collector.close();
});

function daemonWith(options: ConstructorParameters<typeof TestDaemon>[0]): TestDaemon {
  const daemon = new TestDaemon(options);
  daemons.push(daemon);
  return daemon;
}

test.serial('a pod’s start is one trace with its caller’s, and tells no secrets', async (t) => {
  const endpoint = await collector.listenHttp();
  const daemon = daemonWith({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_BSP_SCHEDULE_DELAY: '200' } });
  await daemon.start();
  await pull(daemon);
  const config = podConfig(daemon);
  const metadata = { traceparent, tracestate: 'kubelet=1' };
  const { pod_sandbox_id: id } = await daemon.runtime.RunPodSandbox({ config }, { metadata });
  const secret = 'the-password-of-somebody';
  const container = await start(daemon, { id, config }, containerConfig({ envs: env({ SECRET: secret }) }));
  await t.throwsAsync(
    daemon.image.PullImage({ image: { image: '127.0.0.1:1/x:1' }, auth: { username: 'somebody', password: secret } }),
  );
  await t.throwsAsync(daemon.runtime.ContainerStatus({ container_id: 'f'.repeat(64) }));
  await until(
    'spans arrive by themselves',
    () => collector.named('runtime.v1.RuntimeService/StartContainer').length > 0,
  );
  await daemon.removePod(id);
  await daemon.stop();

  const [run] = collector.named('runtime.v1.RuntimeService/RunPodSandbox');
  t.like(run, { traceId, parentSpanId: '00f067aa0ba902b7', traceState: 'kubelet=1', kind: 2, statusCode: 0 });
  t.like(run?.attributes, { 'podwright.sandbox.id': id, 'k8s.pod.name': config.metadata?.name });
  const stages = collector.spans.filter(({ parentSpanId }) => parentSpanId === run?.spanId).map(({ name }) => name);
  for (const stage of ['cgroup', 'monitor', 'namespaces', 'network']) t.true(stages.includes(stage), stages.join(' '));
  const created = collector.named('runtime.v1.RuntimeService/CreateContainer')[0];
  t.not(created?.traceId, traceId);
  t.is(collector.named('init')[0]?.parentSpanId, created?.spanId);
  t.is(collector.named('runtime.v1.RuntimeService/StartContainer')[0]?.attributes['container.id'], container);
  t.like(collector.named('runtime.v1.RuntimeService/ContainerStatus')[0], { statusCode: 0 });
  // the last calls were exported by the end of the daemon
  t.is(collector.named('runtime.v1.RuntimeService/RemovePodSandbox').length, 1);
  const said = JSON.stringify(collector.spans, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  t.false(said.includes(secret));
});

test.serial('a collector that never answers: calls go on, and the daemon ends', async (t) => {
  const silent = new Collector();
  silent.answer = 'hang';
  t.teardown(() => silent.close());
  const endpoint = await silent.listenHttp();
  const daemon = daemonWith({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_BSP_SCHEDULE_DELAY: '50' } });
  await daemon.start();
  await pull(daemon);
  const pod = await runPod(daemon);
  for (let n = 0; n < 200; n += 1) await daemon.runtime.ListContainers({}, { deadlineMs: 60_000 });
  await daemon.removePod(pod.id);
  await daemon.stop();
  t.deepEqual(await daemon.leftOfPods(), []);
  t.regex(daemon.log(10_000_000), /traces cannot be exported/);
});

test.serial('when nobody asks for traces, their part of the program is not even read', async (t) => {
  const build = mkdtempSync('/tmp/pwt-dist-');
  t.teardown(() => rmSync(build, { recursive: true }));
  cpSync(dist, build, { recursive: true });
  symlinkSync(process.execPath, join(build, 'node'));
  rmSync(join(build, 'podwrightd.traces.js'));
  const off = daemonWith({ dist: build, env: { OTEL_SERVICE_NAME: 'x' } });
  await off.start();
  await off.runtime.Version({});
  await off.stop();
  t.notRegex(off.log(), /traces/);
  const on = daemonWith({ dist: build, env: { OTEL_TRACES_EXPORTER: 'otlp' } });
  await on.start();
  await on.runtime.Version({});
  await on.stop();
  t.regex(on.log(), /traces are not exported/);
});
