// The streaming server over the composed pods: what its tickets lead to, its key pair, its place in log and metrics.
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config } from '../config/schema.ts';
import { startAttach } from '../container/attach.ts';
import { startExec } from '../container/exec.ts';
import { type KeyPair, selfSigned } from '../lib/certificate.ts';
import { failedPrecondition } from '../lib/failure.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { noteWork } from './idle.ts';
import type { RawStream } from '../monitor/raw-stream.ts';
import { dialPort } from '../sandbox/port-forward.ts';
import { readKeyPair, watchKeyPair } from '../state/key-pair-files.ts';
import { StreamingServer } from '../streaming/server.ts';
import type { StreamTargets } from '../streaming/sessions.ts';
import type { RemotePort } from '../streaming/streams.ts';
import type { Pods } from './live.ts';

export interface StreamingParts {
  readonly config: Config;
  readonly pods: Pods;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** The server as the daemon drives it. */
export interface Streaming {
  readonly url: StreamingServer['url'];
  /** Reads the key pair again, if it is in files. */
  reload(): void;
  stop(): Promise<void>;
}

/** How long a certificate of our own is good for, in milliseconds: longer than a daemon lives. */
const validMs = 10 * 365 * 86_400_000;

/** Listens; clients may come when this resolves. */
export async function startStreaming({ config, pods, log, metrics }: StreamingParts): Promise<Streaming> {
  const { address, tls, certFile, keyFile, idleTimeoutMs, creationTimeoutMs } = config.streaming;
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  if (tls === 'files' && (certFile === '' || keyFile === ''))
    throw failedPrecondition('streaming.tls is "files": streaming.cert_file and streaming.key_file must be set');
  const server = await StreamingServer.listen({
    host,
    port: Number(address.slice(at + 1)),
    tls: keyPairOf(config.streaming, host),
    idleTimeoutMs,
    creationTimeoutMs,
    targets: targetsOf(pods),
    random: () => randomBytes(24).toString('base64url'),
    observer: {
      log,
      elapsedMs: () => performance.now(),
      began: (kind) => metrics.streamBegan(kind),
      ended(kind, end) {
        noteWork();
        metrics.streamEnded(kind, end);
      },
      tokenRefused: (why) => metrics.countRefusedToken(why),
    },
  });
  const reload = (): void => {
    if (tls !== 'files') return;
    try {
      server.setKeyPair(readKeyPair({ certFile, keyFile }));
      log.info({ certFile }, 'the key pair of the streaming server was read again');
    } catch (error) {
      log.error({ error, certFile }, 'the new key pair of the streaming server was not taken; the old one stays');
    }
  };
  const onError = (error: unknown): void =>
    log.warn({ error, certFile }, 'the key pair of the streaming server is not watched; SIGHUP reads it');
  const unwatch =
    tls === 'files' ? watchKeyPair({ certFile, keyFile }, { onChange: reload, onError }) : () => undefined;
  return {
    url: (ticket) => server.url(ticket),
    reload,
    async stop() {
      unwatch();
      await server.stop();
    },
  };
}

function keyPairOf({ tls, certFile, keyFile }: Config['streaming'], host: string): KeyPair | null {
  if (tls === 'off') return null;
  if (tls === 'files') return readKeyPair({ certFile, keyFile });
  const now = Date.now();
  const hosts = [...new Set([hostname(), 'localhost', host, '127.0.0.1', '::1'])];
  const [notBefore, notAfter] = [new Date(now - 3_600_000), new Date(now + validMs)];
  return selfSigned({ commonName: 'podwright streaming', hosts, notBefore, notAfter });
}

function targetsOf({ containers, execPorts, sandboxes, requests }: Pods): StreamTargets {
  const { newExecId } = execPorts;
  const { openExec, openAttach, openPort } = requests;
  return {
    exec: (ticket, size, signal) => startExec({ ...execPorts, openExec }, { ticket, size }, signal),
    attach: async (ticket, signal) => startAttach({ records: containers, newExecId, openAttach }, ticket, signal),
    dial: async (sandboxId, port, signal) => {
      const ports = { records: sandboxes, monitors: requests, openPort };
      return asPort(await dialPort(ports, { sandboxId, port }, signal));
    },
  };
}

const asPort = (stream: RawStream): RemotePort => ({
  sink: stream,
  source: stream,
  onClose: (then) => stream.onClose(then),
  release: () => stream.release(),
});
