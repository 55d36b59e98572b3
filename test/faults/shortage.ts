// Has every verb of a pod's life meet a limit of the daemon, at many heights: what may happen then, and that it goes on.
import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import type { TestDaemon } from '../helpers/daemon.ts';
import type { LinuxPodSandboxConfig } from '../../src/proto/generated/cri/runtime/v1/LinuxPodSandboxConfig.ts';
import { containerConfig, create, podConfig, tools } from '../helpers/pods.ts';

/** Something that there can be too little of. */
export interface Shortage {
  /** From now on the daemon may have so much more than it has. */
  readonly limit: (more: number) => void;
  /** As much as before. */
  readonly lift: () => void;
  /** What a call says that fails for it. */
  readonly reason: RegExp;
}

/** What pods and their containers have that others have not. */
export interface Asked {
  readonly linux?: Pick<LinuxPodSandboxConfig, 'security_context'>;
}

/** A call and how often it failed. */
export type Failures = Record<string, number>;

/** Makes calls under a limit, and again without. */
export class Scarcity {
  readonly failures: Failures = {};
  readonly asked: Asked;
  readonly #t: ExecutionContext;
  readonly #shortage: Shortage;

  constructor(t: ExecutionContext, shortage: Shortage, asked: Asked = {}) {
    this.#t = t;
    this.#shortage = shortage;
    this.asked = asked;
  }

  /** Whether the call came out right under the limit; if not it gave the reason, and it comes out right without. */
  async call(name: string, more: number, call: () => Promise<unknown>): Promise<boolean> {
    const failed = await this.#under(more, call);
    this.failures[name] ??= 0;
    if (failed === null) return true;
    this.failures[name] += 1;
    this.#t.is(grpcStatus[failed.code], 'RESOURCE_EXHAUSTED', `${name} with ${more}: ${failed.details}`);
    this.#t.regex(failed.details, this.#shortage.reason, `${name} with ${more}`);
    await call();
    return false;
  }

  async #under(more: number, call: () => Promise<unknown>): Promise<ServiceError | null> {
    this.#shortage.limit(more);
    try {
      await call();
      return null;
    } catch (error) {
      return error as ServiceError;
    } finally {
      this.#shortage.lift();
    }
  }
}

/** The life of a pod with one container, each verb under a limit first. */
export async function livePod(daemon: TestDaemon, scarcity: Scarcity, more: number): Promise<void> {
  const { runtime } = daemon;
  const config = podConfig(daemon, scarcity.asked);
  const run = async (): Promise<string> => (await runtime.RunPodSandbox({ config })).pod_sandbox_id;
  let pod = '';
  // what was made under the limit has it still, where it is inherited: the rest is asked of another
  if (await scarcity.call('RunPodSandbox', more, async () => (pod = await run()))) {
    await daemon.removePod(pod);
    pod = await run();
  }
  const wish = containerConfig(scarcity.asked);
  let id = '';
  await scarcity.call('CreateContainer', more, async () => (id = await create(daemon, { id: pod, config }, wish)));
  const one = { container_id: id };
  const calls: Readonly<Record<string, () => Promise<unknown>>> = {
    StartContainer: () => runtime.StartContainer(one),
    ExecSync: () => runtime.ExecSync({ ...one, cmd: ['true'] }),
    ContainerStats: () => runtime.ContainerStats(one),
    ListPodSandboxStats: () => runtime.ListPodSandboxStats({}),
    UpdateContainerResources: () => runtime.UpdateContainerResources({ ...one, linux: { cpu_shares: '500' } }),
    ContainerStatus: () => runtime.ContainerStatus({ ...one, verbose: true }),
    Status: () => runtime.Status({ verbose: true }),
    ReopenContainerLog: () => runtime.ReopenContainerLog(one),
    StopContainer: () => runtime.StopContainer({ ...one, timeout: '0' }),
    RemoveContainer: () => runtime.RemoveContainer(one),
    StopPodSandbox: () => runtime.StopPodSandbox({ pod_sandbox_id: pod }),
    RemovePodSandbox: () => runtime.RemovePodSandbox({ pod_sandbox_id: pod }),
  };
  for (const [name, call] of Object.entries(calls)) await scarcity.call(name, more, call);
}

/** A pull of an image that is not there, under a limit first. */
export async function pullUnder(daemon: TestDaemon, scarcity: Scarcity, more: number): Promise<void> {
  await daemon.image.RemoveImage({ image: { image: tools } });
  await scarcity.call('PullImage', more, () => daemon.image.PullImage({ image: { image: tools } }));
}

/** That nothing is left, and that the daemon took no lack for a bug of its own. */
export async function endsWell(t: ExecutionContext, daemon: TestDaemon, pid: number): Promise<void> {
  t.is(daemon.pid, pid, 'it was not started anew');
  t.deepEqual(await daemon.leftOfPods(), []);
  const bugs = readFileSync(daemon.logFile, 'utf8')
    .split('\n')
    .filter((line) => /"msg":"(call hit a bug|a bug)/.test(line));
  t.deepEqual(bugs, []);
}
