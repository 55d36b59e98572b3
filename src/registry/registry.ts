// Pulls from any OCI distribution registry: composes client, auth, retry and mirrors.
// Must not keep anything of a caller after its request, nor write to disk.
import type { Digest } from '../lib/id.ts';
import { AuthSession, withAuth } from './auth.ts';
import { createHttpClient } from './client.ts';
import { type AuthConfig, bindCredentials } from './credentials.ts';
import { createHelperRunner } from './credential-helper.ts';
import { findEndpoints } from './endpoints.ts';
import type { ListDir, ReadText } from './hosts.ts';
import { EndpointList } from './mirrors.ts';
import { nodeCredentials } from './node-credentials.ts';
import { proxyFor, type ProxySettings } from './proxy.ts';
import { openRepository, type Repository } from './repository.ts';
import { type RetryPolicy, withRetry } from './retry.ts';

/** An image at a registry, and who asks for it. */
export interface OpenRequest {
  /** Host of the reference: `docker.io`, `127.0.0.1:5000`. */
  readonly host: string;
  /** Repository within it: `library/busybox`. */
  readonly path: string;
  readonly tag: string | null;
  readonly digest: Digest | null;
  /** The reference written out, for failures. */
  readonly label: string;
  readonly auth: AuthConfig | null;
}

/** Port: the registries of the world. */
export interface Registry {
  /** Reads the host's settings and opens the repository for one request. Sends nothing yet. */
  open(request: OpenRequest): Promise<Repository>;
  /** Ends idle connections. */
  close(): void;
}

export interface RegistryOptions {
  /** Directory of `<host>/hosts.toml`, "" for none. */
  readonly hostsDir: string;
  /** A registries.conf, "" for none. */
  readonly registriesConf: string;
  /** auth.json or config.json files of the node. */
  readonly authFiles: readonly string[];
  /** The environment of credential helpers. */
  readonly helperEnv: Readonly<Record<string, string>>;
  readonly readText: ReadText;
  readonly listDir: ListDir;
  /** Told once of each part of registries.conf that has no effect. */
  readonly onNote: (note: string) => void;
  readonly proxies: ProxySettings;
  /** `podwright/0.1.0`. */
  readonly userAgent: string;
  readonly timeouts: RegistryTimeouts;
  readonly retry: RetryPolicy;
}

/** Milliseconds. */
export interface RegistryTimeouts {
  readonly connectMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
  /** For one run of a credential helper. */
  readonly helperMs: number;
}

/** For manifests, configs and tokens, which are small. */
export const defaultTimeouts: RegistryTimeouts = {
  connectMs: 10_000,
  idleMs: 30_000,
  totalMs: 60_000,
  helperMs: 30_000,
};

/** Three attempts within a few seconds; the kubelet itself tries again later. */
export const defaultRetry: RetryPolicy = {
  attempts: 3,
  baseMs: 250,
  longestMs: 5_000,
  random: Math.random,
  sleep: (ms, signal) => pause(ms, signal),
  nowMs: Date.now,
};

const mostNotes = 1000;

/** Composes the registry room. */
export function createRegistry(options: RegistryOptions): Registry {
  const client = createHttpClient({ userAgent: options.userAgent, ...options.timeouts });
  const { proxies, timeouts, retry, readText } = options;
  const askHelper = createHelperRunner({ env: options.helperEnv, timeoutMs: timeouts.helperMs });
  const onNote = once(options.onNote);
  const node = nodeCredentials({ files: options.authFiles, readText, askHelper });
  return {
    open: async (request) => {
      const bound = bindCredentials(request.auth, request.host);
      const endpoints = await findEndpoints({ ...options, onNote, connectMs: timeouts.connectMs }, request);
      const session = new AuthSession({
        send: client.send,
        bound,
        named: { host: request.host, repository: request.path },
        node,
        proxyFor: (url) => proxyFor(proxies, url),
      });
      return openRepository({
        label: request.label,
        tag: request.tag,
        digest: request.digest,
        endpoints: new EndpointList(endpoints),
        session,
        exchange: withRetry(withAuth(client.send, session), retry),
        retry,
      });
    },
    close: () => client.close(),
  };
}

/** Passes each text on the first time only. */
function once(tell: (text: string) => void): (text: string) => void {
  const told = new Set<string>();
  return (text) => {
    if (told.has(text)) return;
    if (told.size >= mostNotes) told.clear();
    told.add(text);
    tell(text);
  };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = (): void => reject(signal.reason as Error);
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', stop, { once: true });
  try {
    if (signal.aborted) stop();
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}
