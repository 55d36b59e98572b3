// A kubeconfig file as an access to the API server: by the client library of Kubernetes, which is loaded with this file
// alone. In the shipped programs it is a file of its own, so whoever has no kubeconfig never reads it.
// Must not speak HTTP: exchange.ts does, with bounds on everything.
import { readFile, stat } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { dirname, isAbsolute, join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { failedPrecondition } from '../lib/failure.ts';
import type { ApiAccess } from './exchange.ts';

/** Larger files are no kubeconfig. */
const maxBytes = 1024 * 1024;
/** How old what was read may become, in milliseconds: certificates and tokens are renewed in place. */
const freshMs = 300_000;

/** The parts of a kubeconfig that the library leaves out. */
interface Raw {
  readonly users?: readonly { readonly name?: string; readonly user?: { readonly tokenFile?: unknown } | null }[];
}

/** Reads the file. Throws failed-precondition. */
async function load(file: string): Promise<KubeConfig> {
  try {
    const { size } = await stat(file);
    if (size > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`);
    const text = await readFile(file, 'utf8');
    const raw = parse(text) as Raw | null;
    if (typeof raw !== 'object' || raw === null) throw new Error('it is no kubeconfig');
    const config = new KubeConfig();
    config.loadFromString(text);
    config.makePathsAbsolute(dirname(file));
    config.users = config.users.map((user) => withTokenFile(user, raw, dirname(file)));
    return config;
  } catch (error) {
    throw failedPrecondition(`read the kubeconfig ${file}`, error);
  }
}

/** The library knows `tokenFile` only of its own making. */
function withTokenFile(user: KubeConfig['users'][number], raw: Raw, dir: string): KubeConfig['users'][number] {
  const tokenFile = raw.users?.find(({ name }) => name === user.name)?.user?.tokenFile;
  if (typeof tokenFile !== 'string' || user.token) return user;
  const config = { tokenFile: isAbsolute(tokenFile) ? tokenFile : join(dir, tokenFile) };
  return { ...user, authProvider: { name: 'tokenFile', config } };
}

/** Where the file's current context leads. */
function serverOf(config: KubeConfig, file: string): URL {
  const cluster = config.getCurrentCluster();
  if (!cluster) throw failedPrecondition(`${file} has no cluster for its current context`);
  if (!config.getCurrentUser()) throw failedPrecondition(`${file} has no user for its current context`);
  const url = URL.canParse(cluster.server) ? new URL(cluster.server) : null;
  if (url?.protocol !== 'https:')
    throw failedPrecondition(`${file}: the server must be an https URL, not ${cluster.server}`);
  return url;
}

/** The access that a kubeconfig gives. The file is read at once, and again when it is old or was refused. */
export async function kubeconfigAccess(file: string, nowMs: () => number): Promise<ApiAccess> {
  let config: KubeConfig | null = await load(file);
  let readAtMs = nowMs();
  const url = serverOf(config, file);
  let pending: Promise<RequestOptions> | null = null;
  const make = async (): Promise<RequestOptions> => {
    if (config === null || nowMs() - readAtMs > freshMs) {
      config = await load(file);
      readAtMs = nowMs();
    }
    const made: RequestOptions = { headers: {} };
    await config.applyToHTTPSOptions(made);
    // its agent keeps no connection; one by a proxy it alone can make
    const { agent, ...options } = made;
    return config.getCurrentCluster()?.proxyUrl ? { ...options, ...(agent && { agent }) } : options;
  };
  return {
    url,
    refused: () => void (config = null),
    // one at a time: a credential program that hangs is not started again
    options: () => (pending ??= make().finally(() => (pending = null))),
  };
}
