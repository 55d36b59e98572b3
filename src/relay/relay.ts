// The metrics relay: a node's metrics, which podwrightd serves on a unix socket, over HTTPS to whom the API server allows.
// It runs in a pod, so that the host never listens in public. Must not keep metrics, or let anybody read them unasked.
import { readKeyPair, watchKeyPair } from '../state/key-pair-files.ts';
import { boundedServer } from '../apiserver/exchange.ts';
import type { ApiServer } from '../apiserver/apiserver.ts';
import { inCluster, serviceAccountDir } from '../apiserver/in-cluster.ts';
import { type KeyPair, selfSigned } from '../lib/certificate.ts';
import { Gatekeeper } from './gatekeeper.ts';
import { type RelayLog, RelayServer, scrapeBounds } from './server.ts';

/** What a relay is told. */
export interface RelaySettings {
  /** Unix socket on which podwrightd serves metrics. */
  readonly metricsSocket: string;
  /** "host:port", or ":port" for every address. */
  readonly listen: string;
  /** Key pair in PEM; both "" for one of our own making. */
  readonly certFile: string;
  readonly keyFile: string;
  /** Names and addresses in a certificate of our own making. */
  readonly hosts: readonly string[];
  /** "" for the pod's own service account. */
  readonly kubeconfig: string;
  /** Tokens must be for one of these; none: for the API server itself. */
  readonly audiences: readonly string[];
  /** How long a yes of the API server holds, in milliseconds; a no holds a tenth of it. */
  readonly cacheMs: number;
  readonly version: string;
}

/** What a relay needs of the process. */
export interface RelaySurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly nowMs: () => number;
  readonly log: RelayLog;
}

/** A relay that serves. */
export interface Relay {
  /** "host:port" in use. */
  readonly address: string;
  /** Ends it; scrapes under way are cut off. */
  stop(): Promise<void>;
}

/** Of each question to the API server. */
const bounds = { timeoutMs: 5000, maxBytes: 256 * 1024, maxConnections: 8 };
/** How long a certificate of our own is good for: longer than a pod lives. */
const validMs = 10 * 365 * 86_400_000;

async function apiOf(settings: RelaySettings, { env, nowMs }: RelaySurroundings): Promise<ApiServer> {
  const { kubeconfig, version } = settings;
  const fromFile = async () => (await import('../apiserver/kubeconfig.ts')).kubeconfigAccess(kubeconfig, nowMs);
  const access = kubeconfig === '' ? inCluster({ env, dir: serviceAccountDir, nowMs }) : await fromFile();
  return boundedServer(access, bounds, `podwright-metrics-relay/${version}`);
}

function keyPairOf({ certFile, keyFile, hosts }: RelaySettings, nowMs: number): KeyPair {
  if (certFile !== '') return readKeyPair({ certFile, keyFile });
  const [notBefore, notAfter] = [new Date(nowMs - 3_600_000), new Date(nowMs + validMs)];
  return selfSigned({ commonName: 'podwright metrics', hosts, notBefore, notAfter });
}

/**
 * Starts a relay; it serves when this resolves. Throws a Failure for a key pair that cannot be read, an address that
 * cannot be had, a missing service account.
 */
export async function startRelay(settings: RelaySettings, surroundings: RelaySurroundings): Promise<Relay> {
  const { log, nowMs } = surroundings;
  const { certFile, keyFile } = settings;
  const api = await apiOf(settings, surroundings);
  const gatekeeper = new Gatekeeper({ api, nowMs, audiences: settings.audiences, allowMs: settings.cacheMs });
  const server = await RelayServer.listen({
    listen: settings.listen,
    keyPair: keyPairOf(settings, nowMs()),
    metricsSocket: settings.metricsSocket,
    gatekeeper,
    log,
    bounds: scrapeBounds,
  });
  const reload = (): void => {
    try {
      server.setKeyPair(readKeyPair({ certFile, keyFile }));
      log('info', 'the key pair was read again');
    } catch (error) {
      log('error', 'the new key pair was not taken; the old one stays', error);
    }
  };
  const onError = (error: unknown): void => log('error', 'the key pair is not watched yet', error);
  const unwatch =
    certFile === '' ? () => undefined : watchKeyPair({ certFile, keyFile }, { onChange: reload, onError });
  log(
    'info',
    `serving the metrics of ${settings.metricsSocket} on https://${server.address}; asking ${api.url} for leave`,
  );
  return {
    address: server.address,
    async stop() {
      unwatch();
      await server.close();
      api.close();
    },
  };
}
