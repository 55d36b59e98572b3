// Pulls from and pushes to any OCI distribution registry: composes client, auth, retry and mirrors.
// Must not keep anything of a caller after its request, nor write to disk.
import type { Digest } from '../lib/id.ts';
import { pause } from '../lib/waiting.ts';
import { type AuthOptions, AuthSession, withAuth } from './auth.ts';
import { createHttpClient } from './client.ts';
import { type AuthConfig, bindCredentials } from './credentials.ts';
import { createHelperRunner } from './credential-helper.ts';
import { findEndpoints, findPushEndpoints } from './endpoints.ts';
import type { ListDir, ReadText } from './hosts.ts';
import { EndpointList } from './mirrors.ts';
import { type NodeCredentials, nodeCredentials } from './node-credentials.ts';
import { proxyFor, type ProxySettings } from './proxy.ts';
import { openPushRepository, type PushRepository } from './push-repository.ts';
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
  /** An auth.json or config.json in place of the node's own, absolute; null for those. */
  readonly authFile: string | null;
  /** Whether the caller takes any certificate of the registry, whatever hosts.toml says. */
  readonly skipVerify: boolean;
}

/** Port: the registries of the world. */
export interface Registry {
  /** Reads the host's settings and opens the repository for one request. Sends nothing yet. */
  open(request: OpenRequest): Promise<Repository>;
  /** The same for pushing to it. */
  openPush(request: OpenRequest): Promise<PushRepository>;
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
  const nodeOf = (authFile: string | null): NodeCredentials =>
    authFile === null
      ? nodeCredentials({ files: options.authFiles, mustExist: false, readText, askHelper })
      : nodeCredentials({ files: [authFile], mustExist: true, readText, askHelper });
  const settings = { ...options, onNote, connectMs: timeouts.connectMs };
  const sessionOf = ({ auth, host, path, authFile }: OpenRequest, actions: AuthOptions['actions']): AuthSession =>
    new AuthSession({
      send: client.send,
      bound: bindCredentials(auth, host),
      named: { host, repository: path },
      node: nodeOf(authFile),
      actions,
      proxyFor: (url) => proxyFor(proxies, url),
    });
  return {
    open: async (request) => {
      const session = sessionOf(request, 'pull');
      const endpoints = new EndpointList(await findEndpoints(settings, request));
      const { label, tag, digest } = request;
      const exchange = withRetry(withAuth(client.send, session), retry);
      return openRepository({ label, tag, digest, endpoints, session, exchange, retry });
    },
    openPush: async (request) => {
      const session = sessionOf(request, 'pull,push');
      const endpoints = new EndpointList(await findPushEndpoints(settings, request));
      const exchange = withRetry(withAuth(client.send, session), retry);
      const { label } = request;
      return openPushRepository({
        label,
        endpoints,
        session,
        exchange,
        retry,
        proxyFor: (url) => proxyFor(proxies, url),
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
