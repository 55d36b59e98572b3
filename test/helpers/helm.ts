// helm on the cluster of hack/cluster, with files of its own: what somebody else set it up with does not count.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cluster, type Ended, runToEnd } from './cluster.ts';

/** The chart of this repository. */
export const chart = join(import.meta.dirname, '../../charts/podwright');

/** Longest that one command takes: an upgrade waits until the node was changed. */
const longestMs = 600_000;

/** helm with its settings below a directory. */
export class Helm {
  readonly #home: string;
  readonly #program: string;
  readonly #env: readonly string[];

  constructor({ where }: Pick<Cluster, 'where'>, home: string) {
    this.#home = home;
    this.#program = join(where.BIN, 'helm');
    const places = ['cache', 'config', 'data'].map((name) => `HELM_${name.toUpperCase()}_HOME=${join(home, name)}`);
    this.#env = [`KUBECONFIG=${where.KUBECONFIG}`, ...places];
  }

  /** Runs helm to its end, whatever its exit status. */
  run(...args: readonly string[]): Promise<Ended> {
    return runToEnd('env', [...this.#env, this.#program, ...args], { timeoutMs: longestMs });
  }

  /** Writes values for `-f`; answers the file. */
  values(values: object): string {
    const file = join(this.#home, 'values.json');
    writeFileSync(file, JSON.stringify(values));
    return file;
  }

  /** Objects of the chart as YAML, those of hooks too; rejects when helm refuses the values. */
  async template(namespace: string, values: object, ...more: readonly string[]): Promise<string> {
    const args = ['template', 'pw', chart, '-n', namespace, '-f', this.values(values), ...more];
    const { stdout, stderr, code } = await this.run(...args);
    if (code !== 0) throw new Error(stderr);
    return stdout;
  }
}
