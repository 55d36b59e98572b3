// What the chart's hooks ask of the whole cluster: that every node was given back, that every node is as wished.
// Must not change anything.
import { request } from 'node:https';
import type { ApiServer } from '../apiserver/apiserver.ts';
import { Failure, failedPrecondition, failureChain, internal, unavailable } from '../lib/failure.ts';
import { releaseLabel, runtimeLabel, statusAnnotation } from './labels.ts';
import { read } from './objects.ts';

interface Node {
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly status?: { readonly nodeInfo?: { readonly containerRuntimeVersion?: string } };
}

interface Pod {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: { readonly nodeName?: string };
  readonly status?: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

interface Listed<T> {
  readonly items?: readonly T[];
}

const listPath = (path: string, labels: Readonly<Record<string, string>>): string =>
  `${path}?labelSelector=${encodeURIComponent(
    Object.entries(labels)
      .map(([name, value]) => (value === '' ? name : `${name}=${value}`))
      .join(','),
  )}`;

async function list<T>(api: ApiServer, path: string, signal: AbortSignal): Promise<readonly T[]> {
  const found = await read<Listed<T>>(api, path, signal);
  if (found?.items === undefined) throw internal(`list ${path}: the API server answered without items`);
  return found.items;
}

/** Which chart: its namespace and the Helm release. */
export interface Chart {
  readonly namespace: string;
  readonly instance: string;
}

/** Nodes that still have something of podwright, with what each says of itself, or what is to be done when nobody will. */
export async function nodesLeft(api: ApiServer, chart: Chart, signal: AbortSignal): Promise<readonly string[]> {
  const nodes = await list<Node>(api, listPath('/api/v1/nodes', { [releaseLabel]: '' }), signal);
  if (nodes.length === 0) return [];
  const served = await nodesServed(api, chart, signal);
  return nodes.map(({ metadata: { name, annotations } }) => {
    const status = annotations?.[statusAnnotation] ?? 'says nothing';
    return `${name}: ${served?.has(name) === false ? `${lacking(name)} (${status})` : status}`;
  });
}

const lacking = (node: string): string =>
  'no installer is there to give it back: let the DaemonSet choose it again (installer.nodeSelector, affinity, tolerations), ' +
  `or on the node itself podwright uninstall, then kubectl label node ${node} ${releaseLabel}- ${runtimeLabel}-`;

/** Nodes that have an installer; null when that may not be asked. */
async function nodesServed(api: ApiServer, chart: Chart, signal: AbortSignal): Promise<ReadonlySet<string> | null> {
  try {
    const pods = await podsOf(api, { chart, component: 'installer' }, signal);
    return new Set(pods.map(({ spec }) => spec?.nodeName ?? ''));
  } catch (error) {
    if (error instanceof Failure && error.kind === 'permission-denied') return null;
    throw error;
  }
}

/** What `helm test` is about. */
export interface Check extends Chart {
  readonly switch: boolean;
  /** null: metrics are off. */
  readonly metricsPort: number | null;
  /** The token that metrics are asked for with. */
  readonly token: string;
}

/** Looks at every node that has an installer; answers a line for each, throws with all that is wrong. */
export async function checkCluster(api: ApiServer, check: Check, signal: AbortSignal): Promise<readonly string[]> {
  const pods = await podsOf(api, { chart: check, component: 'installer' }, signal);
  if (pods.length === 0) throw failedPrecondition(`no installer runs in namespace ${check.namespace}`);
  const nodes = new Map((await list<Node>(api, '/api/v1/nodes', signal)).map((node) => [node.metadata.name, node]));
  const metrics = check.metricsPort === null ? [] : await podsOf(api, { chart: check, component: 'metrics' }, signal);
  const wrong: string[] = [];
  const lines: string[] = [];
  for (const pod of pods) {
    const name = pod.spec?.nodeName ?? '';
    const faults = [
      ...nodeFaults(pod, nodes.get(name), check),
      ...(await metricsFaults(metrics, { name, check }, signal)),
    ];
    if (faults.length === 0) lines.push(`${name}: ${nodes.get(name)?.metadata.labels?.[releaseLabel] ?? ''} is right`);
    wrong.push(...faults.map((fault) => `${name}: ${fault}`));
  }
  if (wrong.length > 0) throw failedPrecondition(wrong.join('; '));
  return lines;
}

const podsOf = (
  api: ApiServer,
  { chart, component }: { readonly chart: Chart; readonly component: string },
  signal: AbortSignal,
): Promise<readonly Pod[]> => {
  const labels = { 'app.kubernetes.io/instance': chart.instance, 'app.kubernetes.io/component': component };
  return list<Pod>(api, listPath(`/api/v1/namespaces/${chart.namespace}/pods`, labels), signal);
};

const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True') === true;

function nodeFaults(pod: Pod, node: Node | undefined, check: Check): readonly string[] {
  if (node === undefined) return ['there is no such node'];
  const faults: string[] = [];
  if (!isReady(pod)) faults.push(`its installer is not ready: ${node.metadata.annotations?.[statusAnnotation] ?? ''}`);
  const runtime = node.status?.nodeInfo?.containerRuntimeVersion ?? '';
  if (check.switch && !runtime.startsWith('podwright://')) faults.push(`its kubelet uses ${runtime}`);
  if (check.switch && node.metadata.labels?.[runtimeLabel] !== 'podwright')
    faults.push(`it has no label ${runtimeLabel}`);
  return faults;
}

async function metricsFaults(
  pods: readonly Pod[],
  { name, check }: { readonly name: string; readonly check: Check },
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (check.metricsPort === null) return [];
  const pod = pods.find(({ spec }) => spec?.nodeName === name);
  if (pod?.status?.podIP === undefined) return ['nothing serves its metrics'];
  try {
    const text = await scrape({ host: pod.status.podIP, port: check.metricsPort, token: check.token }, signal);
    return /^podwright_build_info/m.test(text) ? [] : ['its metrics are not those of podwrightd'];
  } catch (error) {
    return [failureChain(error)];
  }
}

function scrape(
  { host, port, token }: { readonly host: string; readonly port: number; readonly token: string },
  signal: AbortSignal,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const doing = `read metrics of ${host}:${port}`;
  const options = {
    host,
    port,
    path: '/metrics',
    headers: { authorization: `Bearer ${token}` },
    // its certificate is of its own making, unless the values name one; what is tested here is not who it is
    rejectUnauthorized: false,
    signal: AbortSignal.any([signal, AbortSignal.timeout(20_000)]),
  };
  const sent = request(options, (answer) => {
    let text = '';
    answer.setEncoding('utf8');
    answer.on('data', (part: string) => void (text += part));
    answer.on('error', reject);
    answer.on('end', () => {
      if (answer.statusCode === 200) resolve(text);
      else reject(unavailable(`${doing}: answered ${answer.statusCode}`));
    });
  });
  sent.on('error', (error) => reject(unavailable(doing, error)));
  sent.end();
  return promise;
}
