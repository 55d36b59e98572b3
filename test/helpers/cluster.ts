// The one-node cluster of hack/cluster, as the tests of test/cluster use it: its API, kubectl, and a namespace per file.
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  CoreV1Api,
  KubeConfig,
  KubernetesObjectApi,
  type V1Container,
  type V1ObjectMeta,
  type V1Pod,
  type V1PodSpec,
} from '@kubernetes/client-node';
import type { TestFn } from 'ava';
import { ref } from './registry.ts';
import { until } from './until.ts';

const run = promisify(execFile);
const script = join(import.meta.dirname, '../../hack/cluster');

/** How long tests of the cluster wait: between cause and effect are watches, periods of ten seconds and back-offs. */
export const patientMs = 120_000;

/** The image of most containers: busybox. */
export const tools = ref('bench/tools');

/** An object of the API as a test writes it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

/** What a program said and how it ended. */
export interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** Runs a program to its end, input given whole; resolves whatever its exit status. */
export function runToEnd(
  file: string,
  args: readonly string[],
  { input = '', timeoutMs = patientMs }: { readonly input?: string; readonly timeoutMs?: number } = {},
): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  const child = execFile(file, args, { maxBuffer: 256 << 20, timeout: timeoutMs }, (error, stdout, stderr) => {
    if (error !== null && typeof error.code !== 'number') reject(error);
    else resolve({ stdout, stderr, code: error === null ? 0 : Number(error.code) });
  });
  child.stdin?.on('error', () => undefined); // a command that does not read its input
  child.stdin?.end(input);
  return promise;
}

/** `hack/cluster VERB...`; rejects when it fails. */
export const hackCluster = async (...args: string[]): Promise<string> =>
  (await run(script, args, { timeout: 2 * patientMs })).stdout;

/** Where the cluster is: what `hack/cluster env` prints. */
export interface Whereabouts {
  readonly KUBECONFIG: string;
  readonly DIR: string;
  readonly NODE: string;
  readonly NODE_IP: string;
  readonly BIN: string;
  readonly RUNTIME_SOCKET: string;
  /** `A=true,B=true`: the feature gates it was brought up with. */
  readonly GATES: string;
}

const whereabouts = (): Whereabouts => {
  const lines = execFileSync(script, ['env'], { encoding: 'utf8' }).trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2))) as unknown as Whereabouts;
};

/** What a class of the API's holds, to be written as a literal. */
type Plain<T> = { -readonly [K in keyof T]: T[K] };
/** A pod's spec. */
export type PodSpec = Plain<V1PodSpec>;
/** One of its containers. */
export type Container = Plain<V1Container>;
type Metadata = Plain<V1ObjectMeta>;

let serial = 0;

/** A container of the tools image that sleeps, merged with what a test wishes. */
export const container = (wish: Partial<Container> = {}): Container => ({
  name: 'main',
  image: tools,
  command: ['sleep', '3600'],
  ...wish,
});

/** A container that runs a script. */
export const scripted = (line: string, wish: Partial<Container> = {}): Container =>
  container({ command: ['sh', '-c', line], ...wish });

/** A pod's spec: it ends quickly when deleted, for the shell as process 1 ignores SIGTERM. */
export const podSpec = (wish: Partial<PodSpec> = {}): PodSpec => ({
  terminationGracePeriodSeconds: 1,
  containers: [container()],
  ...wish,
});

/** The cluster with a namespace of its own. */
export class Cluster {
  readonly where = whereabouts();
  readonly namespace = `t-${randomBytes(4).toString('hex')}`;
  readonly core: CoreV1Api;
  readonly objects: KubernetesObjectApi;
  readonly #kubectl = join(this.where.BIN, 'kubectl');
  readonly #flags = ['--kubeconfig', this.where.KUBECONFIG, '-n', this.namespace];
  readonly #children: ChildProcess[] = [];

  constructor() {
    const config = new KubeConfig();
    config.loadFromFile(this.where.KUBECONFIG);
    this.core = config.makeApiClient(CoreV1Api);
    this.objects = KubernetesObjectApi.makeApiClient(config);
  }

  /** Makes the namespace and waits until pods can be made in it. */
  async open(): Promise<void> {
    await this.core.createNamespace({ body: { metadata: { name: this.namespace } } });
    await this.until('the service account is there', () =>
      this.core
        .readNamespacedServiceAccount({ name: 'default', namespace: this.namespace })
        .then(() => this.core.readNamespacedConfigMap({ name: 'kube-root-ca.crt', namespace: this.namespace })),
    );
  }

  /** Deletes the namespace with everything in it and waits until it is gone; ends what kubectl still runs. */
  async close(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await this.core.deleteNamespace({ name: this.namespace }).catch(() => undefined); // it was never made
    const gone = (): Promise<boolean> =>
      this.core.readNamespace({ name: this.namespace }).then(
        () => false,
        () => true,
      );
    await until(`namespace ${this.namespace} is gone`, gone, patientMs);
  }

  /** Waits, asking a few times a second; an error of the probe is not there yet. */
  until<T>(what: string, probe: () => Promise<T | false | null | undefined>): Promise<T> {
    let last: unknown = 'nothing';
    const paced = async (): Promise<T | false | null | undefined> => {
      const answer = await probe().catch((error: unknown) => {
        last = error;
        return null;
      });
      if (!answer) await new Promise((resolve) => setTimeout(resolve, 200));
      return answer;
    };
    return until(what, paced, patientMs).catch((error: Error) => {
      throw new Error(`${error.message}; the last error was ${String(last).slice(0, 500)}`, { cause: error });
    });
  }

  /** Makes objects in the namespace. */
  async make(...manifests: readonly Manifest[]): Promise<void> {
    for (const manifest of manifests)
      await this.objects.create({ ...manifest, metadata: { ...manifest.metadata, namespace: this.namespace } });
  }

  /** Makes a pod; answers its name. */
  async pod(spec: Partial<PodSpec> = {}, metadata: Metadata = {}): Promise<string> {
    const name = metadata.name ?? `p-${(serial += 1)}`;
    const body: V1Pod = { metadata: { ...metadata, name }, spec: podSpec(spec) };
    await this.core.createNamespacedPod({ namespace: this.namespace, body });
    return name;
  }

  /** Makes a pod and waits until it is Ready. */
  async readyPod(spec: Partial<PodSpec> = {}, metadata: Metadata = {}): Promise<string> {
    const name = await this.pod(spec, metadata);
    await this.ready(name);
    return name;
  }

  /** A pod as the API has it. */
  read(name: string): Promise<V1Pod> {
    return this.core.readNamespacedPod({ name, namespace: this.namespace });
  }

  /** Pods by label, those that are being deleted left out. */
  async pods(labelSelector: string): Promise<V1Pod[]> {
    const { items } = await this.core.listNamespacedPod({ namespace: this.namespace, labelSelector });
    return items.filter((pod) => pod.metadata?.deletionTimestamp === undefined);
  }

  /** Waits until a pod is as wished and answers it; what it is like in the end is in the error. */
  async podThat(name: string, what: string, holds: (pod: V1Pod) => boolean | undefined): Promise<V1Pod> {
    try {
      return await this.until(`pod ${name} ${what}`, async () => {
        const pod = await this.read(name);
        return holds(pod) ? pod : null;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${(await this.kubectl('describe', 'pod', name)).stdout}`, {
        cause: error,
      });
    }
  }

  ready(name: string): Promise<V1Pod> {
    return this.podThat(name, 'is ready', isReady);
  }

  /** Waits until a pod has run to its end, and answers its phase. */
  async ended(name: string): Promise<string> {
    const over = ['Succeeded', 'Failed'];
    const pod = await this.podThat(name, 'has ended', ({ status }) => over.includes(status?.phase ?? ''));
    return pod.status?.phase ?? '';
  }

  /** Deletes a pod and waits until it is gone. */
  async remove(name: string): Promise<void> {
    await this.core.deleteNamespacedPod({ name, namespace: this.namespace });
    await this.until(`pod ${name} is gone`, () =>
      this.read(name).then(
        () => false,
        (error: { code?: number }) => error.code === 404,
      ),
    );
  }

  /** kubectl in the namespace, whatever its exit status. */
  kubectl(...args: string[]): Promise<Ended> {
    return this.kubectlWith('', ...args);
  }

  /** As kubectl, with input. */
  kubectlWith(input: string, ...args: string[]): Promise<Ended> {
    return runToEnd(this.#kubectl, [...this.#flags, ...args], { input });
  }

  /** Output of a script in a pod's container; rejects when it fails. */
  async sh(pod: string, line: string, name = ''): Promise<string> {
    const { stdout, stderr, code } = await this.kubectl(
      'exec',
      pod,
      ...(name ? ['-c', name] : []),
      '--',
      'sh',
      '-c',
      line,
    );
    if (code !== 0) throw new Error(`${line} in ${pod} ended with ${code}: ${stderr}`);
    return stdout.trim();
  }

  async logs(pod: string, ...flags: string[]): Promise<string> {
    const { stdout, stderr, code } = await this.kubectl('logs', pod, ...flags);
    if (code !== 0) throw new Error(`logs of ${pod} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** kubectl that goes on running; ended with the namespace. */
  kubectlLasting(...args: string[]): ChildProcess {
    const child = spawn(this.#kubectl, [...this.#flags, ...args]);
    this.#children.push(child);
    return child;
  }
}

/** Condition Ready of a pod. */
export const isReady = ({ status }: V1Pod): boolean =>
  status?.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True') === true;

/** How often a pod's container was restarted. */
export const restartsOf = ({ status }: V1Pod, name = 'main'): number =>
  status?.containerStatuses?.find((each) => each.name === name)?.restartCount ?? 0;

/** A cluster with a namespace for all tests of a file. */
export function useCluster(test: TestFn): Cluster {
  const cluster = new Cluster();
  test.before('a namespace', () => cluster.open());
  test.after.always('the namespace is gone', () => cluster.close());
  return cluster;
}
