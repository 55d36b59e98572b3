// The API server as a pod reaches it: by its service account (kubernetes.io: "Accessing the API from within a Pod").
import { readFile } from 'node:fs/promises';
import { failedPrecondition } from '../lib/failure.ts';
import type { ApiAccess } from './exchange.ts';

/** Where the kubelet puts the service account. */
export const serviceAccountDir = '/var/run/secrets/kubernetes.io/serviceaccount';

/** How long a token is used before its file is read again: the kubelet renews it in time. */
const tokenMs = 60_000;

/** What is needed of the surroundings. */
export interface PodSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly dir: string;
  readonly nowMs: () => number;
}

/** The access of this pod. Throws failed-precondition outside of one. */
export function inCluster({ env, dir, nowMs }: PodSurroundings): ApiAccess {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' } = env;
  if (host === '')
    throw failedPrecondition('this is no pod (KUBERNETES_SERVICE_HOST is not set), and no kubeconfig was given');
  const read = async (name: string): Promise<string> => {
    try {
      return await readFile(`${dir}/${name}`, 'utf8');
    } catch (error) {
      throw failedPrecondition(`read the service account: ${dir}/${name}`, error);
    }
  };
  let known: { readonly token: string; readonly ca: string; readonly atMs: number } | null = null;
  return {
    url: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    refused: () => void (known = null),
    async options() {
      if (known === null || nowMs() - known.atMs > tokenMs) {
        const [token, ca] = await Promise.all([read('token'), read('ca.crt')]);
        known = { token: token.trim(), ca, atMs: nowMs() };
      }
      return { ca: known.ca, headers: { authorization: `Bearer ${known.token}` } };
    },
  };
}
