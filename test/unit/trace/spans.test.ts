// Spans of calls and stages by the real packages, exported to a collector of the test.
import test, { type ExecutionContext } from 'ava';
import { parentOf } from '../../../src/trace/otel.ts';
import { noSpans, type SpanLog, type Spans } from '../../../src/trace/spans.ts';
import { startSpans } from '../../../src/trace/start-spans.ts';
import { trace } from '@opentelemetry/api';
import { Collector } from '../../helpers/otlp.ts';
import { until } from '../../helpers/until.ts';

const parent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const metadata = (values: Readonly<Record<string, string>>) => (key: string) => values[key] ?? '';
/** Exports begin at once: one that takes long is waited for, as the end of the program would not. */
const soon = { OTEL_BSP_SCHEDULE_DELAY: '10' };
const outcome = { code: 'OK', number: 0, message: '', subject: {} };

async function collected(t: ExecutionContext, more: Readonly<Record<string, string>> = {}) {
  const collector = new Collector();
  const endpoint = await collector.listenHttp();
  t.teardown(() => collector.close());
  const lines: string[] = [];
  const log: SpanLog = (level, fields, message) => void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  // the exporters read their own variables
  for (const [key, value] of Object.entries({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, ...more }))
    process.env[key] = value;
  t.teardown(() => Object.keys(process.env).forEach((key) => key.startsWith('OTEL_') && delete process.env[key]));
  const spans = await startSpans({ env: { ...process.env }, version: '1.2.3', log });
  return { collector, spans, lines };
}

/** One call with a stage that succeeds and one that fails. */
async function oneCall(spans: Spans, values: Readonly<Record<string, string>> = {}): Promise<void> {
  const call = spans.beginCall('/runtime.v1.RuntimeService/RunPodSandbox', metadata(values));
  await call?.run(async () => {
    const first = spans.beginStage({ rpc: 'RunPodSandbox', name: 'cgroup', subject: 'a'.repeat(64) });
    await Promise.resolve();
    first(null);
    const second = spans.beginStage({ rpc: 'RunPodSandbox', name: 'network', subject: 'a'.repeat(64) });
    second(new Error('no address is free'));
  });
  call?.end({
    code: 'INTERNAL',
    number: 13,
    message: 'no address is free',
    subject: { pod: 'web', namespace: 'default' },
  });
}

test.serial('a call continues its caller’s trace, and its stages are below it', async (t) => {
  const { collector, spans } = await collected(t, {
    OTEL_SERVICE_NAME: 'node-7',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=test,zone=b',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=seven',
    ...soon,
  });
  await oneCall(spans, { traceparent: parent, tracestate: 'vendor=value,other=1' });
  await until('the first export, which loads its transport', () => collector.spans.length === 3);
  await spans.close();
  const [call] = collector.named('runtime.v1.RuntimeService/RunPodSandbox');
  t.like(call, {
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    parentSpanId: '00f067aa0ba902b7',
    traceState: 'vendor=value,other=1',
    kind: 2,
    statusCode: 2,
    statusMessage: 'no address is free',
  });
  t.like(call?.attributes, {
    'rpc.system': 'grpc',
    'rpc.service': 'runtime.v1.RuntimeService',
    'rpc.method': 'RunPodSandbox',
    'rpc.grpc.status_code': '13',
    'k8s.pod.name': 'web',
    'k8s.namespace.name': 'default',
    'podwright.sandbox.id': 'a'.repeat(64),
  });
  t.like(call?.resource, {
    'service.name': 'node-7',
    'service.version': '1.2.3',
    'deployment.environment': 'test',
    zone: 'b',
  });
  for (const name of ['cgroup', 'network']) {
    const [stage] = collector.named(name);
    t.is(stage?.parentSpanId, call?.spanId);
    t.is(stage?.traceId, call?.traceId);
    t.is(stage?.attributes['podwright.sandbox.id'], 'a'.repeat(64));
  }
  t.deepEqual(
    collector.spans.map(({ name, statusCode }) => [name, statusCode]),
    [
      ['cgroup', 0],
      ['network', 2],
      ['runtime.v1.RuntimeService/RunPodSandbox', 2],
    ],
  );
  t.is(collector.headers['x-tenant'], 'seven');
});

test.serial(
  'without a valid parent a call is the first of its trace; what the caller got wrong is no error',
  async (t) => {
    const { collector, spans } = await collected(t, soon);
    const call = spans.beginCall('/runtime.v1.RuntimeService/Version', metadata({ traceparent: '00-zz' }));
    call?.end({ ...outcome, code: 'INVALID_ARGUMENT', number: 3, message: 'x is empty' });
    await until('the export', () => collector.spans.length === 1);
    await spans.close();
    t.like(collector.spans[0], { parentSpanId: '', statusCode: 0 });
    t.is(collector.spans[0]?.resource['service.name'], 'podwrightd');
  },
);

test.serial('a caller that does not sample is followed, unless the sampler is of another kind', async (t) => {
  const unsampled = { traceparent: parent.replace(/01$/, '00') };
  const first = await collected(t);
  await oneCall(first.spans, unsampled);
  await first.spans.close();
  t.deepEqual(first.collector.spans, []);
  const second = await collected(t, { OTEL_TRACES_SAMPLER: 'always_on', ...soon });
  await oneCall(second.spans, unsampled);
  await until('the export', () => second.collector.spans.length === 3);
  await second.spans.close();
  t.is(second.collector.spans.length, 3);
});

test.serial('exports over gRPC', async (t) => {
  const collector = new Collector();
  t.teardown(() => collector.close());
  const endpoint = await collector.listenGrpc();
  const grpc = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' };
  const { spans } = await collected(t, { ...grpc, ...soon });
  await oneCall(spans);
  await until('the first export, which loads its transport', () => collector.spans.length === 3);
  await spans.close();
  t.is(collector.spans.length, 3);
});

test.serial('a collector that refuses, or is not there: spans are dropped and one line says so', async (t) => {
  const { collector, spans, lines } = await collected(t, soon);
  collector.answer = 'refuse';
  for (let n = 0; n < 5; n += 1) {
    await oneCall(spans);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await until('it is told', () => lines.some((line) => line.includes('dropped')));
  await spans.close();
  t.is(lines.filter((line) => line.startsWith('warn')).length, 1, lines.join('\n'));
});

test.serial('the end waits for the last export no longer than its bound', async (t) => {
  const { collector, spans, lines } = await collected(t);
  collector.answer = 'hang';
  await oneCall(spans);
  await spans.close();
  t.true(
    lines.some((line) => line.includes('longer than 3000 ms')),
    lines.join('\n'),
  );
});

test.serial('without the variables nothing of it is there', async (t) => {
  const spans = await startSpans({ env: {}, version: '1', log: () => t.fail() });
  t.is(spans, noSpans);
  t.is(
    spans.beginCall('/a/b', () => ''),
    null,
  );
  t.notThrows(() => spans.beginStage({ rpc: 'a', name: 'b', subject: 'c' })(null));
});

test('traceparents by the specification', (t) => {
  const table: [string, boolean][] = [
    [parent, true],
    [`  ${parent} `, true],
    [parent.replace(/^00/, 'cc').concat('-more'), true],
    [parent.replace(/^00/, 'ff'), false],
    [parent.toUpperCase(), false],
    [`00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, false],
    [`00-4bf92f3577b34da6a3ce929d0e0e4736-${'0'.repeat(16)}-01`, false],
    ['', false],
  ];
  for (const [text, valid] of table) {
    t.is(trace.getSpanContext(parentOf(metadata({ traceparent: text }))) !== undefined, valid, text);
  }
});
