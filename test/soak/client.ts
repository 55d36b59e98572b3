// One client of the soak: pods and containers of its own, random verbs, and a model of what must be so after each.
import { status } from '@grpc/grpc-js';
import type { ContainerConfig } from '../../src/proto/generated/cri/runtime/v1/ContainerConfig.ts';
import type { PodSandboxConfig } from '../../src/proto/generated/cri/runtime/v1/PodSandboxConfig.ts';
import type { TestDaemon } from '../helpers/daemon.ts';
import { containerConfig, podConfig, sh } from '../helpers/pods.ts';
import { type Calling, codeOf, make, persist } from './calls.ts';

interface ModelContainer {
  readonly id: string;
  readonly config: ContainerConfig;
  state: 'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED';
}

interface ModelPod {
  readonly id: string;
  readonly config: PodSandboxConfig;
  ready: boolean;
  readonly containers: ModelContainer[];
}

/** Pods of one client at once, and containers of one pod. */
const most = { pods: 2, containers: 3 };

/** What a soak's clients share. */
export interface Shared {
  readonly daemon: TestDaemon;
  /** References that may be pulled and removed by everybody; nobody runs them. */
  readonly images: readonly string[];
  readonly verbs: Map<string, number>;
  readonly complaints: string[];
}

/** A client with its model. */
export class SoakClient {
  readonly #name: string;
  readonly #shared: Shared;
  readonly #calling: Calling;
  readonly #pods: ModelPod[] = [];
  #serial = 0;

  constructor(name: string, shared: Shared, calling: Calling) {
    this.#name = name;
    this.#shared = shared;
    this.#calling = calling;
  }

  #call<T>(call: Parameters<typeof persist<T>>[1]): Promise<T> {
    return persist(this.#calling, call);
  }

  get #runtime(): TestDaemon['runtime'] {
    return this.#shared.daemon.runtime;
  }

  #complain(text: string): void {
    this.#shared.complaints.push(`${this.#name}: ${text}`);
  }

  /** Does something that is possible now. */
  async step(): Promise<void> {
    const { chance } = this.#calling;
    const pod = this.#pods.length > 0 ? chance.pick(this.#pods) : null;
    const container = pod !== null && pod.containers.length > 0 ? chance.pick(pod.containers) : null;
    const verbs: [string, () => Promise<void>][] = [
      ['pull', () => this.#pull()],
      ['remove image', () => this.#removeImage()],
      ['list', () => this.check()],
    ];
    if (this.#pods.length < most.pods) verbs.push(['run', () => this.#run()], ['run', () => this.#run()]);
    if (pod !== null) {
      verbs.push(['stop pod', () => this.#stopPod(pod)], ['remove pod', () => this.#removePod(pod)]);
      if (pod.ready && pod.containers.length < most.containers)
        for (let n = 0; n < 4; n += 1) verbs.push(['create', () => this.#create(pod)]);
    }
    if (pod !== null && container !== null) {
      if (pod.ready && container.state === 'CONTAINER_CREATED')
        for (let n = 0; n < 6; n += 1) verbs.push(['start', () => this.#start(container)]);
      if (container.state === 'CONTAINER_RUNNING')
        for (let n = 0; n < 3; n += 1) verbs.push(['exec', () => this.#exec(container)]);
      verbs.push(['stop', () => this.#stop(container)], ['remove', () => this.#remove(pod, container)]);
    }
    const [name, run] = chance.pick(verbs);
    this.#shared.verbs.set(name, (this.#shared.verbs.get(name) ?? 0) + 1);
    try {
      await run();
    } catch (error) {
      this.#complain(`${name}: ${status[codeOf(error)]} ${(error as Error).message}`);
    }
  }

  async #run(): Promise<void> {
    const name = `${this.#name}-${(this.#serial += 1)}`;
    const config = podConfig(this.#shared.daemon, {
      metadata: { name, namespace: 'soak', uid: name, attempt: 0 },
      labels: { client: this.#name },
    });
    const id = await make(this.#calling, async (options) => ({
      id: (await this.#runtime.RunPodSandbox({ config }, options)).pod_sandbox_id,
    }));
    this.#pods.push({ id, config, ready: true, containers: [] });
  }

  async #create(pod: ModelPod): Promise<void> {
    const config = containerConfig({
      metadata: { name: `c${(this.#serial += 1)}`, attempt: 0 },
      labels: { client: this.#name },
      command: sh('trap "exit 0" TERM; echo up; while :; do sleep 1000 & wait; done'),
    });
    const request = { pod_sandbox_id: pod.id, config, sandbox_config: pod.config };
    const id = await make(this.#calling, async (options) => ({
      id: (await this.#runtime.CreateContainer(request, options)).container_id,
    }));
    pod.containers.push({ id, config, state: 'CONTAINER_CREATED' });
  }

  async #start(container: ModelContainer): Promise<void> {
    try {
      await this.#call((options) => this.#runtime.StartContainer({ container_id: container.id }, options));
    } catch (error) {
      // an earlier try of the same call had started it
      if (codeOf(error) !== status.FAILED_PRECONDITION || !/running/i.test((error as Error).message)) throw error;
    }
    container.state = 'CONTAINER_RUNNING';
  }

  async #exec({ id }: ModelContainer): Promise<void> {
    const word = `w${this.#calling.chance.below(1e6)}`;
    const request = { container_id: id, cmd: ['echo', word], timeout: '60' };
    const { exit_code, stdout } = await this.#call((options) => this.#runtime.ExecSync(request, options));
    if (exit_code !== 0 || stdout.toString() !== `${word}\n`)
      this.#complain(`exec said ${stdout.toString()} and ${exit_code}`);
  }

  async #stop(container: ModelContainer): Promise<void> {
    const request = { container_id: container.id, timeout: String(this.#calling.chance.below(3)) };
    await this.#call((options) => this.#runtime.StopContainer(request, options));
    if (container.state === 'CONTAINER_RUNNING') container.state = 'CONTAINER_EXITED';
  }

  async #remove(pod: ModelPod, container: ModelContainer): Promise<void> {
    await this.#call((options) => this.#runtime.RemoveContainer({ container_id: container.id }, options));
    pod.containers.splice(pod.containers.indexOf(container), 1);
  }

  async #stopPod(pod: ModelPod): Promise<void> {
    await this.#call((options) => this.#runtime.StopPodSandbox({ pod_sandbox_id: pod.id }, options));
    pod.ready = false;
    for (const container of pod.containers) container.state = 'CONTAINER_EXITED';
  }

  async #removePod(pod: ModelPod): Promise<void> {
    await this.#stopPod(pod);
    await this.#call((options) => this.#runtime.RemovePodSandbox({ pod_sandbox_id: pod.id }, options));
    this.#pods.splice(this.#pods.indexOf(pod), 1);
  }

  async #pull(): Promise<void> {
    const image = { image: this.#calling.chance.pick(this.#shared.images) };
    await this.#call((options) => this.#shared.daemon.image.PullImage({ image }, options));
  }

  async #removeImage(): Promise<void> {
    const image = { image: this.#calling.chance.pick(this.#shared.images) };
    await this.#call((options) => this.#shared.daemon.image.RemoveImage({ image }, options));
  }

  /** Holds what the daemon lists of this client against the model: nothing more, nothing less, each in its state. */
  async check(): Promise<void> {
    const label_selector = { client: this.#name };
    const { items } = await this.#call((options) =>
      this.#runtime.ListPodSandbox({ filter: { label_selector } }, options),
    );
    const { containers } = await this.#call((options) =>
      this.#runtime.ListContainers({ filter: { label_selector } }, options),
    );
    const found = [
      ...items.map(({ id, state }) => `${id} ${state}`),
      ...containers.map(({ id, state }) => `${id} ${state}`),
    ].toSorted();
    const expected = this.#pods
      .flatMap(({ id, ready, containers: own }) => [
        `${id} SANDBOX_${ready ? 'READY' : 'NOTREADY'}`,
        ...own.map((container) => `${container.id} ${container.state}`),
      ])
      .toSorted();
    const odd = [
      ...found.filter((each) => !expected.includes(each)).map((each) => `is ${each}`),
      ...expected.filter((each) => !found.includes(each)).map((each) => `should be ${each}`),
    ];
    if (odd.length > 0) this.#complain(odd.join(', '));
  }

  /** Removes all that it has. */
  async end(): Promise<void> {
    await this.check();
    for (const pod of this.#pods.slice()) await this.#removePod(pod);
    await this.check();
  }
}
