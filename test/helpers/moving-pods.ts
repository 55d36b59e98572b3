// Pods of a node that changes its runtime: two Deployments, one behind a port of the host, and what can be seen of them.
import type { V1Pod } from '@kubernetes/client-node';
import { type Cluster, container, isReady, type Manifest, podSpec, restartsOf, runToEnd, scripted } from './cluster.ts';
import { until } from './until.ts';

/** How long a test waits for a node to be moved: its pods end, images are pulled, pods are made again. */
export const movingMs = 240_000;

const deployment = (name: string, replicas: number, spec: Parameters<typeof podSpec>[0]): Manifest => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas,
    strategy: { type: 'Recreate' },
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: podSpec(spec) },
  },
});

/** Rules of the packet filter that lead to pods of a network, such as "10.77.". */
export const rulesTo = async (prefix: string): Promise<readonly string[]> =>
  (await runToEnd('iptables-save', [])).stdout
    .split('\n')
    .filter((line) => line.includes(`--to-destination ${prefix}`));

/** Which containers the pods have, and how often those were restarted: the same as long as nobody touched them. */
export const identity = (pods: readonly V1Pod[]): unknown =>
  pods.map((pod) => [pod.metadata?.name, pod.status?.containerStatuses?.[0]?.containerID, restartsOf(pod)]).sort();

/** One pod of `web`, which answers "hello" on the host's port, and two of `many`. */
export class MovingPods {
  readonly #cluster: Cluster;
  readonly #hostPort: number;

  constructor(cluster: Cluster, hostPort: number) {
    this.#cluster = cluster;
    this.#hostPort = hostPort;
  }

  make(): Promise<void> {
    const ports = [{ containerPort: 8080, hostPort: this.#hostPort }];
    const serve = 'mkdir -p /tmp/w; echo hello > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w';
    return this.#cluster.make(
      deployment('web', 1, { containers: [scripted(serve, { ports })] }),
      deployment('many', 2, { containers: [container()] }),
    );
  }

  /** All three once they are Ready with containers of the runtime. */
  readyOn(runtime: string): Promise<V1Pod[]> {
    const look = async (): Promise<V1Pod[] | null> => {
      const pods = await this.#cluster.pods('app in (web,many)').catch(() => []);
      const there = pods.filter(
        (pod) => isReady(pod) && pod.status?.containerStatuses?.[0]?.containerID?.startsWith(`${runtime}://`),
      );
      if (pods.length === 3 && there.length === 3) return there;
      await new Promise((resolve) => setTimeout(resolve, 500));
      return null;
    };
    return until(`all pods are Ready on ${runtime}`, look, movingMs);
  }

  /** As readyOn, and the host's port leads there too. */
  async serveOn(runtime: string): Promise<V1Pod[]> {
    const pods = await this.readyOn(runtime);
    await until('the host port answers', async () => (await this.answer()) === 'hello', movingMs);
    return pods;
  }

  /** What the port of the host answers; null when nothing does. */
  answer(): Promise<string | null> {
    const place = `http://${this.#cluster.where.NODE_IP}:${this.#hostPort}/`;
    return fetch(place, { signal: AbortSignal.timeout(3000) }).then(
      async (response) => (await response.text()).trim(),
      () => null,
    );
  }
}
