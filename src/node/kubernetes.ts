// The node as the API server has it: whether it takes pods, whether it is Ready and on what.
// Must not know why it is asked.
import type { ApiServer } from '../apiserver/apiserver.ts';
import { type ApiBounds, boundedServer } from '../apiserver/exchange.ts';
import { version } from '../config/version.ts';
import { failedPrecondition, unavailable } from '../lib/failure.ts';
import { until } from './wait.ts';

export type { ApiServer } from '../apiserver/apiserver.ts';

/** Bounds of one request. */
const bounds: ApiBounds = { timeoutMs: 15_000, maxBytes: 8 << 20, maxConnections: 2 };

/** The API server by a kubeconfig; the library that reads one is loaded with it. */
export async function apiByKubeconfig(file: string, nowMs: () => number): Promise<ApiServer> {
  const { kubeconfigAccess } = await import('../apiserver/kubeconfig.ts');
  try {
    return boundedServer(await kubeconfigAccess(file, nowMs), bounds, `podwright/${version}`);
  } catch (error) {
    throw failedPrecondition(`read the kubeconfig ${file}`, error);
  }
}

interface NodeObject {
  readonly spec?: { readonly unschedulable?: boolean };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message?: string;
      readonly lastHeartbeatTime?: string;
    }[];
    readonly nodeInfo?: { readonly containerRuntimeVersion?: string };
  };
}

/** One node of one cluster. */
export class KubernetesNode {
  readonly #api: Pick<ApiServer, 'exchange'>;
  readonly #name: string;

  constructor(api: Pick<ApiServer, 'exchange'>, name: string) {
    this.#api = api;
    this.#name = name;
  }

  async #exchange(method: 'GET' | 'PATCH', body: object | null, signal: AbortSignal): Promise<NodeObject> {
    const path = `/api/v1/nodes/${encodeURIComponent(this.#name)}`;
    const contentType = 'application/merge-patch+json';
    const request = { method, path, body, ...(body !== null && { contentType }) };
    const { status, body: answer } = await this.#api.exchange(request, signal);
    if (status >= 200 && status < 300) return answer as NodeObject;
    const { message = '' } = (answer ?? {}) as { readonly message?: string };
    const text = `${method === 'GET' ? 'read' : 'change'} node ${this.#name}: the API server answered ${status} ${message}`;
    throw status >= 500 || status === 429 ? unavailable(text.trim()) : failedPrecondition(text.trim());
  }

  /** Whether no new pods come to it. */
  async isCordoned(signal: AbortSignal): Promise<boolean> {
    return (await this.#exchange('GET', null, signal)).spec?.unschedulable === true;
  }

  /** Lets pods come, or not. */
  async setCordoned(cordoned: boolean, signal: AbortSignal): Promise<void> {
    await this.#exchange('PATCH', { spec: { unschedulable: cordoned ? true : null } }, signal);
  }

  /**
   * Waits until it is Ready on a runtime ("podwright://0.1.0", or what that begins with), by a heartbeat since the
   * given time; the kubelet's clock is this machine's.
   */
  async awaitReady(on: string, sinceMs: number, signal: AbortSignal): Promise<void> {
    const ask = async (): Promise<string | null> => readiness(await this.#exchange('GET', null, signal), on, sinceMs);
    const failure = (complaint: string): Error => failedPrecondition(`node ${this.#name} is not Ready: ${complaint}`);
    await until(ask, { signal, everyMs: 1000, failure });
  }
}

/** Why a node is not Ready on a runtime since a time; null when it is. Heartbeats have whole seconds. */
export function readiness({ status }: NodeObject, on: string, sinceMs: number): string | null {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  const heartbeat = Date.parse(ready?.lastHeartbeatTime ?? '');
  if (!(heartbeat >= Math.floor(sinceMs / 1000) * 1000))
    return 'the kubelet has not told its state since it was started';
  const runtime = status?.nodeInfo?.containerRuntimeVersion ?? 'nothing';
  if (!runtime.startsWith(on)) return `its kubelet is on ${runtime}, not on ${on}`;
  return ready?.status === 'True' ? null : (ready?.message ?? 'no reason is told');
}
