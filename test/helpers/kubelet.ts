// The cluster's kubelet as a test would have it: its settings, its own API, and kubectl's way there.
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cluster, hackCluster } from './cluster.ts';

/** The kubelet of the cluster. */
export class Kubelet {
  readonly #cluster: Cluster;
  readonly #dropIn: string;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#dropIn = join(cluster.where.DIR, 'kubelet.d/50-test.conf');
  }

  /** Restarts it with fields of its configuration changed; with null as it was. */
  async configure(settings: object | null): Promise<void> {
    const kind = { apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration' };
    if (settings === null) rmSync(this.#dropIn, { force: true });
    // YAML takes JSON
    else writeFileSync(this.#dropIn, JSON.stringify({ ...kind, ...settings }));
    await hackCluster('restart', 'kubelet');
  }

  /** As it was, if a test left it otherwise. */
  async restore(): Promise<void> {
    if (existsSync(this.#dropIn)) await this.configure(null);
  }

  /** What its HTTP API answers, through the API server. */
  async get(path: string): Promise<string> {
    const place = `/api/v1/nodes/${this.#cluster.where.NODE}/proxy/${path}`;
    const { stdout, stderr, code } = await this.#cluster.kubectl('get', '--raw', place);
    if (code !== 0) throw new Error(`${path}: ${stderr}`);
    return stdout;
  }

  /** Whether a condition of the node holds. */
  async condition(type: string): Promise<boolean> {
    const { status } = await this.#cluster.core.readNode({ name: this.#cluster.where.NODE });
    return status?.conditions?.find((one) => one.type === type)?.status === 'True';
  }
}
