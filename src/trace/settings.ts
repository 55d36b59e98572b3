// PURE
// What the standard OTEL_* variables ask for (OpenTelemetry specification, "Environment Variable Specification" and
// "OTLP Exporter Configuration"). Must not read the environment; endpoint, headers, timeout, compression and
// certificates of OTLP are read by the exporters themselves.

/** An environment: names to values. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Which calls are recorded. */
export interface SamplerSettings {
  readonly root: 'always_on' | 'always_off' | 'traceidratio';
  /** Whether a caller's decision counts before ours. */
  readonly parentBased: boolean;
  /** For traceidratio: 0 to 1. */
  readonly ratio: number;
}

/** The queue between calls and exports. Times in milliseconds, sizes in spans. */
export interface BatchSettings {
  readonly scheduledDelayMillis: number;
  readonly exportTimeoutMillis: number;
  readonly maxQueueSize: number;
  readonly maxExportBatchSize: number;
}

/** What is to be done. */
export interface TraceSettings {
  /** Null: no span is made, no package is loaded. */
  readonly exporter: 'otlp-http' | 'otlp-grpc' | 'console' | null;
  readonly sampler: SamplerSettings;
  readonly batch: BatchSettings;
  /** Values that are not understood; their defaults hold. */
  readonly problems: readonly string[];
}

/** Reads one variable; what is not understood is noted, and empty is as unset, as the specification has it. */
class Reader {
  readonly problems: string[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  text(...names: readonly string[]): string {
    for (const name of names) {
      const value = this.#env[name]?.trim() ?? '';
      if (value !== '') return value;
    }
    return '';
  }

  number(name: string, otherwise: number, [low, high]: readonly [number, number]): number {
    const text = this.text(name);
    if (text === '') return otherwise;
    const value = Number(text);
    if (Number.isFinite(value) && value >= low && value <= high) return value;
    this.problems.push(`${name} ${JSON.stringify(text)} is not between ${low} and ${high}: ${otherwise} is taken`);
    return otherwise;
  }

  among<T extends string>(names: readonly string[], values: readonly T[], otherwise: T): T {
    const text = this.text(...names);
    if (text === '') return otherwise;
    const found = values.find((value) => value === text);
    if (found === undefined) {
      this.problems.push(
        `${names.join(' or ')} ${JSON.stringify(text)} is none of ${values.join(', ')}: ${otherwise} is taken`,
      );
    }
    return found ?? otherwise;
  }
}

const endpoints = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'];
const protocols = ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL'];
const longestMs = 600_000;
const mostSpans = 1_000_000;

function exporterOf(read: Reader): TraceSettings['exporter'] {
  if (read.text('OTEL_SDK_DISABLED').toLowerCase() === 'true') return null;
  // without any wish there is nothing to send to: a collector is never assumed
  const usual = read.text(...endpoints) === '' ? 'none' : 'otlp';
  const kind = read.among(['OTEL_TRACES_EXPORTER'], ['otlp', 'console', 'none'], usual);
  if (kind !== 'otlp') return kind === 'none' ? null : kind;
  const protocol = read.among(protocols, ['http/protobuf', 'grpc'], 'http/protobuf');
  return protocol === 'grpc' ? 'otlp-grpc' : 'otlp-http';
}

const samplers = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

function samplerOf(read: Reader): SamplerSettings {
  const name = read.among(['OTEL_TRACES_SAMPLER'], samplers, 'parentbased_always_on');
  const ratio = name.endsWith('traceidratio') ? read.number('OTEL_TRACES_SAMPLER_ARG', 1, [0, 1]) : 1;
  const parentBased = name.startsWith('parentbased_');
  return { root: name.replace('parentbased_', '') as SamplerSettings['root'], parentBased, ratio };
}

/** The settings of an environment. */
export function traceSettings(env: Environment): TraceSettings {
  const read = new Reader(env);
  const exporter = exporterOf(read);
  const sampler = samplerOf(read);
  const batch = {
    scheduledDelayMillis: read.number('OTEL_BSP_SCHEDULE_DELAY', 5000, [0, longestMs]),
    exportTimeoutMillis: read.number('OTEL_BSP_EXPORT_TIMEOUT', 30_000, [1, longestMs]),
    maxQueueSize: read.number('OTEL_BSP_MAX_QUEUE_SIZE', 2048, [1, mostSpans]),
    maxExportBatchSize: read.number('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512, [1, mostSpans]),
  };
  return { exporter, sampler, batch, problems: read.problems };
}
