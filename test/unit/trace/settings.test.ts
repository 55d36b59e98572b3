import test from 'ava';
import { type Environment, type TraceSettings, traceSettings } from '../../../src/trace/settings.ts';

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };

test('traces are off until somebody says where they go', (t) => {
  const table: [Environment, TraceSettings['exporter']][] = [
    [{}, null],
    [{ OTEL_SERVICE_NAME: 'x', OTEL_TRACES_SAMPLER: 'always_on' }, null],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, null],
    [endpoint, 'otlp-http'],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://h/x' }, 'otlp-http'],
    [{ OTEL_TRACES_EXPORTER: 'otlp' }, 'otlp-http'],
    [{ OTEL_TRACES_EXPORTER: 'console' }, 'console'],
    [{ ...endpoint, OTEL_TRACES_EXPORTER: 'none' }, null],
    [{ ...endpoint, OTEL_SDK_DISABLED: 'true' }, null],
    [{ ...endpoint, OTEL_SDK_DISABLED: 'TRUE' }, null],
    [{ ...endpoint, OTEL_SDK_DISABLED: 'yes' }, 'otlp-http'],
    [{ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, 'otlp-grpc'],
    [
      { ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/protobuf' },
      'otlp-http',
    ],
  ];
  for (const [env, exporter] of table) {
    const settings = traceSettings(env);
    t.is(settings.exporter, exporter, JSON.stringify(env));
    t.deepEqual(settings.problems, []);
  }
});

test('samplers by their names, with a ratio where they take one', (t) => {
  const table: [Environment, object][] = [
    [{}, { root: 'always_on', parentBased: true, ratio: 1 }],
    [{ OTEL_TRACES_SAMPLER: 'always_off' }, { root: 'always_off', parentBased: false, ratio: 1 }],
    [
      { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' },
      { root: 'traceidratio', parentBased: false, ratio: 0.25 },
    ],
    [{ OTEL_TRACES_SAMPLER: 'parentbased_traceidratio' }, { root: 'traceidratio', parentBased: true, ratio: 1 }],
    [{ OTEL_TRACES_SAMPLER: 'parentbased_always_off' }, { root: 'always_off', parentBased: true, ratio: 1 }],
  ];
  for (const [env, sampler] of table) t.deepEqual(traceSettings(env).sampler, sampler as never, JSON.stringify(env));
});

test('what is not understood is told and its default holds', (t) => {
  const { exporter, sampler, batch, problems } = traceSettings({
    ...endpoint,
    OTEL_TRACES_EXPORTER: 'zipkin',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_TRACES_SAMPLER: 'sometimes',
    OTEL_BSP_MAX_QUEUE_SIZE: 'many',
    OTEL_BSP_SCHEDULE_DELAY: '-1',
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '64',
  });
  t.is(exporter, 'otlp-http');
  t.is(sampler.root, 'always_on');
  t.deepEqual(batch, {
    scheduledDelayMillis: 5000,
    exportTimeoutMillis: 30_000,
    maxQueueSize: 2048,
    maxExportBatchSize: 64,
  });
  t.is(problems.length, 5);
  for (const name of ['EXPORTER', 'PROTOCOL', 'SAMPLER', 'QUEUE', 'DELAY'])
    t.true(
      problems.some((p) => p.includes(name)),
      name,
    );
});
