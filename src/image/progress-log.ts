// Long pulls tell the log how far they are, now and then. Must not say anything of short ones.
import type { Clock } from '../lib/clock.ts';
import type { FetchProgress } from '../storage/ports.ts';
import type { ImageLog } from './ports.ts';
import type { PullProgress } from './progress.ts';

/** Between two lines about one pull. */
export const tellEveryMs = 10_000;

interface Tell {
  readonly log: ImageLog;
  readonly clock: Clock;
  readonly running: () => readonly FetchProgress[];
}

/** Begins to tell of a pull; the returned function ends it. */
export function tellProgress(progress: PullProgress, { log, clock, running }: Tell): () => void {
  let before = { bytes: 0, at: progress.startedAt };
  const timer = setInterval(() => {
    const { layers } = progress.view(running());
    const bytes = layers.reduce((sum, layer) => sum + (layer.stage === 'present' ? 0 : layer.bytes), 0);
    const totalBytes = layers.reduce((sum, layer) => sum + (layer.stage === 'present' ? 0 : layer.totalBytes), 0);
    const at = clock.now();
    const seconds = Number(at - before.at) / 1e9;
    const bytesPerSecond = seconds > 0 ? Math.round(Math.max(0, bytes - before.bytes) / seconds) : 0;
    before = { bytes, at };
    const stages: Record<string, number> = {};
    for (const { stage } of layers) stages[stage] = (stages[stage] ?? 0) + 1;
    log.info({ image: progress.reference, bytes, totalBytes, bytesPerSecond, layers: stages }, 'image is being pulled');
  }, tellEveryMs);
  timer.unref();
  return () => clearInterval(timer);
}
