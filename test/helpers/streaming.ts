// The streaming server of the daemon in this process, in front of a played monitor.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import type { KeyPair } from '../../src/lib/certificate.ts';
import { type Carrier, noCarrier } from '../../src/monitor/carrier.ts';
import type { RawStream } from '../../src/monitor/raw-stream.ts';
import { openAttach, openExec, openPort, type StreamPlace } from '../../src/monitor/streams.ts';
import type { Ticket } from '../../src/streaming/requests.ts';
import type { SessionEnd } from '../../src/streaming/session.ts';
import { StreamingServer } from '../../src/streaming/server.ts';
import type { StreamTargets } from '../../src/streaming/sessions.ts';
import { StreamMonitor } from './stream-monitor.ts';

/** A server and what it told. */
export interface TestStreaming {
  readonly server: StreamingServer;
  readonly monitor: StreamMonitor;
  readonly ends: ({ readonly kind: string } & SessionEnd)[];
  readonly refused: string[];
  readonly lines: { readonly message: string; readonly fields: object }[];
  /** A URL of an exec of `cat` with these streams. */
  execUrl(streams?: Partial<Extract<Ticket, { kind: 'exec' }>>): string;
  attachUrl(streams?: Partial<Extract<Ticket, { kind: 'attach' }>>): string;
  forwardUrl(...ports: readonly number[]): string;
  close(): Promise<void>;
}

export interface TestStreamingOptions {
  readonly tls?: KeyPair;
  readonly creationTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  /** For a test that sends a terminal's size and must not lose it to a slow machine. */
  readonly firstSizeMs?: number;
  /** None: all input goes by the event loop. */
  readonly carrier?: Carrier;
}

/** What tickets lead to, at a monitor that listens on a path. */
export function targetsAt(path: string, carrier: Carrier = noCarrier): StreamTargets {
  const place: StreamPlace = { socket: path, greeting: { version: 1, daemonVersion: 'test' }, carrier };
  return {
    exec: ({ containerId, tty, stdin, stdout, stderr }, size, signal) => {
      const execId = randomBytes(8).toString('hex');
      return openExec(place, { containerId, execId, terminal: tty, stdin, stdout, stderr, size }, signal);
    },
    attach: async ({ containerId, stdin, stdout, stderr }, signal) => {
      const attachId = randomBytes(8).toString('hex');
      const attached = await openAttach(place, { containerId, attachId, stdin, stdout, stderr }, signal);
      return { ...attached, inputEndDetaches: containerId !== 'stdin-once' };
    },
    dial: async (_, port, signal) => {
      const stream: RawStream = await openPort(place, port, signal);
      return {
        sink: stream,
        source: stream,
        onClose: (then) => stream.onClose(then),
        release: () => stream.release(),
      };
    },
  };
}

/** Starts both. */
export async function testStreaming(options: TestStreamingOptions = {}): Promise<TestStreaming> {
  const dir = mkdtempSync('/tmp/pws-');
  const monitor = await StreamMonitor.listen(`${dir}/m`);
  const told: Pick<TestStreaming, 'ends' | 'refused' | 'lines'> = { ends: [], refused: [], lines: [] };
  const say = (fields: object, message: string): void => void told.lines.push({ fields, message });
  const server = await StreamingServer.listen({
    host: '127.0.0.1',
    port: 0,
    tls: options.tls ?? null,
    idleTimeoutMs: options.idleTimeoutMs ?? 60_000,
    creationTimeoutMs: options.creationTimeoutMs ?? 30_000,
    firstSizeMs: options.firstSizeMs,
    targets: targetsAt(monitor.path, options.carrier),
    random: () => randomBytes(24).toString('base64url'),
    observer: {
      log: { debug: say, info: say, warn: say },
      elapsedMs: () => performance.now(),
      began: () => undefined,
      ended: (kind, end) => void told.ends.push({ kind, ...end }),
      tokenRefused: (why) => void told.refused.push(why),
    },
  });
  const none = { containerId: 'c', tty: false, stdin: false, stdout: false, stderr: false };
  return {
    server,
    monitor,
    ...told,
    execUrl: (streams) => server.url({ kind: 'exec', command: ['cat'], ...none, ...streams }),
    attachUrl: (streams) => server.url({ kind: 'attach', ...none, ...streams }),
    forwardUrl: (...ports) => server.url({ kind: 'portforward', sandboxId: 'p', ports }),
    async close() {
      await server.stop();
      await monitor.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
