// Spans as the environment asks for them: off unless it does, and then nothing of OpenTelemetry is loaded.
// Must not make spans itself: otel.ts does.
import { type Environment, traceSettings } from './settings.ts';
import { noSpans, type SpanLog, type Spans } from './spans.ts';

/** What spans say of this program. */
export interface SpanSource {
  readonly env: Environment;
  readonly version: string;
  readonly log: SpanLog;
}

/** Spans as the environment asks for them. What is wrong with its values is told, and never in the way. */
export async function startSpans({ env, version, log }: SpanSource): Promise<Spans> {
  const settings = traceSettings(env);
  for (const problem of settings.problems) log('warn', { problem }, 'a variable of OpenTelemetry is not understood');
  const { exporter } = settings;
  if (exporter === null) return noSpans;
  try {
    const { createSpans } = await import('./otel.ts');
    const spans = createSpans({ ...settings, exporter }, { version, log });
    log('info', { exporter, sampler: settings.sampler.root }, 'traces are exported');
    return spans;
  } catch (error) {
    log('warn', { error: String(error) }, 'traces are not exported: OpenTelemetry could not be set up');
    return noSpans;
  }
}
