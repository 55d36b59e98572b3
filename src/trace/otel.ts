// Spans by OpenTelemetry. Imported only when they are asked for: in the shipped program it is a file of its own.
// Must not throw into a call, nor hold one up: what cannot be exported is dropped and told once a minute.
import asyncHooks from 'node:async_hooks';
import {
  type Attributes,
  type Context,
  createTraceState,
  diag,
  type DiagLogger,
  DiagLogLevel,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as HttpExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  defaultResource,
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ConsoleSpanExporter,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { SamplerSettings, TraceSettings } from './settings.ts';
import type { CallOutcome, SpanLog, Spans } from './spans.ts';

/** How long the end of the program waits for the last export, in milliseconds. */
const closeMs = 3000;
/** How often trouble with exports is told, in milliseconds. */
const tellEveryMs = 60_000;

const exporters: Readonly<Record<NonNullable<TraceSettings['exporter']>, () => SpanExporter>> = {
  'otlp-http': () => new HttpExporter(),
  'otlp-grpc': () => new GrpcExporter(),
  console: () => new ConsoleSpanExporter(),
};

function samplerOf({ root, parentBased, ratio }: SamplerSettings): Sampler {
  const roots = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: () => new TraceIdRatioBasedSampler(ratio),
  };
  const sampler = roots[root]();
  return parentBased ? new ParentBasedSampler({ root: sampler }) : sampler;
}

/** Tells trouble at once and then at most once a minute, with how much there was in between. */
function trouble(log: SpanLog): (what: string, spans: number) => void {
  let toldAt = -tellEveryMs;
  let dropped = 0;
  return (what, spans) => {
    dropped += spans;
    const now = performance.now();
    if (now - toldAt < tellEveryMs) return;
    log('warn', { why: what.slice(0, 300), droppedSpans: dropped }, 'traces cannot be exported and are dropped');
    toldAt = now;
    dropped = 0;
  };
}

type Tell = ReturnType<typeof trouble>;

/** An exporter whose failures are told. */
const telling = (inner: SpanExporter, tell: Tell): SpanExporter => ({
  export: (spans, done) =>
    inner.export(spans, (result) => {
      if (result.error !== undefined) tell(result.error?.message ?? 'the export failed', spans.length);
      done(result);
    }),
  shutdown: () => inner.shutdown(),
  forceFlush: () => inner.forceFlush?.() ?? Promise.resolve(),
});

/** What the packages complain of by themselves: a full queue, a header that is none. */
const diagnostics = (tell: Tell): DiagLogger => {
  const loud = (message: string): void => tell(message, 0);
  const quiet = (): void => undefined;
  // an export that failed is told by the exporter above, with its number of spans
  return { error: quiet, warn: loud, info: quiet, debug: quiet, verbose: quiet };
};

const traceparentForm = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;

/** The caller's span (W3C Trace Context); none, or one that is not valid, makes ours the first. */
export function parentOf(metadata: (key: string) => string): Context {
  const [, traceId, spanId, flags] = traceparentForm.exec(metadata('traceparent').trim()) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return ROOT_CONTEXT;
  const state = metadata('tracestate');
  const parent = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & 1,
    isRemote: true,
    ...(state === '' ? {} : { traceState: createTraceState(state) }),
  };
  return isSpanContextValid(parent) ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
}

/** Names of OpenTelemetry's conventions for what our log calls by its own. */
const attributeNames: Readonly<Record<string, string>> = {
  pod: 'k8s.pod.name',
  namespace: 'k8s.namespace.name',
  container: 'k8s.container.name',
  containerId: 'container.id',
  sandboxId: 'podwright.sandbox.id',
  image: 'container.image.name',
};

const attributesOf = (subject: CallOutcome['subject']): Attributes =>
  Object.fromEntries(
    Object.entries(subject)
      .filter(([, value]) => value !== '')
      .map(([key, value]) => [attributeNames[key] ?? `podwright.${key}`, value]),
  );

/** Codes that are a server's error (OpenTelemetry conventions for gRPC); others are the caller's. */
const serverErrors = new Set(['UNKNOWN', 'DEADLINE_EXCEEDED', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS']);

function endCall(span: Span, { code, number, message, subject }: CallOutcome): void {
  span.setAttributes(attributesOf(subject));
  span.setAttribute('rpc.grpc.status_code', number);
  if (serverErrors.has(code)) span.setStatus({ code: SpanStatusCode.ERROR, message });
  span.end();
}

const objectId = /^[0-9a-f]{64}$/;

type On = Omit<TraceSettings, 'exporter'> & { readonly exporter: NonNullable<TraceSettings['exporter']> };

/** Sets OpenTelemetry up. Throws for settings that its packages refuse. */
export function createSpans(
  settings: On,
  { version, log }: { readonly version: string; readonly log: SpanLog },
): Spans {
  const tell = trouble(log);
  diag.setLogger(diagnostics(tell), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  const named = resourceFromAttributes({ 'service.name': 'podwrightd', 'service.version': version });
  const asked = detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] });
  const exporter = telling(exporters[settings.exporter](), tell);
  const provider = new TracerProvider({
    resource: defaultResource().merge(named).merge(asked),
    sampler: samplerOf(settings.sampler),
    spanProcessors: [new BatchSpanProcessor({ exporter, ...settings.batch })],
  });
  const tracer = provider.getTracer('podwright', version);
  const calls = new asyncHooks.AsyncLocalStorage<Span>();
  return {
    beginCall(path, metadata) {
      const [, service = '', method = ''] = path.split('/');
      const attributes = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method };
      const options = { kind: SpanKind.SERVER, attributes };
      const span = tracer.startSpan(`${service}/${method}`, options, parentOf(metadata));
      return { run: (work) => calls.run(span, work), end: (outcome) => endCall(span, outcome) };
    },
    beginStage({ rpc, name, subject }) {
      const call = calls.getStore();
      if (call === undefined) return () => undefined;
      const about = objectId.test(subject) ? { sandboxId: subject } : { image: subject };
      call.setAttributes(attributesOf(about));
      const options = { attributes: { ...attributesOf(about), 'podwright.rpc': rpc } };
      const span = tracer.startSpan(name, options, trace.setSpan(ROOT_CONTEXT, call));
      return (error) => {
        if (error !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
        span.end();
      };
    },
    close: () => within(closeMs, provider.shutdown(), tell),
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 1000);

/** Waits for the last export as long as the bound says; how it ends is told, not thrown. */
async function within(ms: number, work: Promise<void>, tell: Tell): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    tell(`the last export took longer than ${ms} ms`, 0);
    resolve();
  }, ms);
  await Promise.race([work.catch((error: unknown) => tell(messageOf(error), 0)), promise]);
  clearTimeout(timer);
}
