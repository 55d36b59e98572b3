// Where metrics are served. An address that somebody else has keeps the metrics away, not the runtime: a pod of this node
// may have it, and would outlive every start.
import type { Config } from '../config/schema.ts';
import { Failure, failureChain } from '../lib/failure.ts';
import { pause } from '../lib/waiting.ts';
import type { Log } from '../log.ts';
import type { Metrics, MetricsSocketFiles } from '../metrics/metrics.ts';

export interface MetricListenerParts {
  readonly metrics: Pick<Metrics, 'listen' | 'listenUnix' | 'close'>;
  readonly config: { readonly metrics: Pick<Config['metrics'], 'address' | 'socket'> };
  readonly files: MetricsSocketFiles;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

/** The listeners of metrics. */
export interface MetricListeners {
  /** Begins to serve; what cannot be had is tried again. Throws for an address that can never be had. */
  start(): Promise<void>;
  /** Why metrics are not served, for each place where they should be and are not. */
  troubles(): readonly string[];
  /** Ends all of them. */
  stop(): Promise<void>;
}

/** How long until an address that could not be had is tried again, in milliseconds. */
const restMs = 10_000;

/** The listeners; none of them listens yet. */
export function metricListeners(parts: MetricListenerParts, againMs = restMs): MetricListeners {
  const { metrics, files, log } = parts;
  const { address, socket } = parts.config.metrics;
  const ending = new AbortController();
  const troubles = new Map<string, string>();
  const retries: Promise<void>[] = [];

  /** Whether it listens. */
  const attempt = async (where: string, listen: () => Promise<unknown>): Promise<boolean> => {
    try {
      await listen();
      if (troubles.delete(where)) log.info({ where }, 'metrics are served now');
      return true;
    } catch (error) {
      if (!(error instanceof Failure) || error.kind !== 'unavailable') throw error;
      const why = failureChain(error);
      // the same reason again is not told again
      if (troubles.get(where) !== why) log.warn({ where, error: why }, 'metrics are not served; this is tried again');
      troubles.set(where, why);
      return false;
    }
  };
  const again = async (where: string, listen: () => Promise<unknown>): Promise<void> => {
    try {
      do await pause(againMs, ending.signal, { quiet: true });
      while (!(await attempt(where, listen)));
    } catch (error) {
      if (!ending.signal.aborted) log.warn({ where, error }, 'metrics are not served');
    }
  };
  const keep = async (where: string, listen: () => Promise<unknown>): Promise<void> => {
    if (!(await attempt(where, listen))) retries.push(again(where, listen));
  };
  return {
    async start() {
      if (address !== '') await keep(address, () => metrics.listen(address));
      await keep(socket, () => metrics.listenUnix(socket, files));
    },
    troubles: () => [...troubles.values()],
    async stop() {
      ending.abort(new Error('podwrightd ends'));
      await Promise.all(retries); // one that has just begun to listen is closed with the others
      await metrics.close();
    },
  };
}
