// One verb after the other, killed in the middle: what the caller does next, as a kubelet does it, and how often it had to.
import type { ServiceError } from '@grpc/grpc-js';
import type { PodSandboxConfig } from '../../src/proto/generated/cri/runtime/v1/PodSandboxConfig.ts';
import { containerConfig, podConfig, tools } from '../helpers/pods.ts';
import type { Chance } from '../helpers/chance.ts';
import { ref } from '../helpers/registry.ts';
import { leftOf, type Left, mountPoints, parentOf } from './left.ts';
import type { Runtime } from './runtimes.ts';

/** What happens in the middle of a call: the daemon is killed, or its caller gives it up. */
export type How = 'killed' | 'given up';

/** What became of one verb's rounds. */
export interface VerbResult {
  readonly verb: string;
  readonly how: How;
  rounds: number;
  /** Calls that were cut off; the others had been answered before. */
  cut: number;
  /** Retries that failed, and the most that one round needed. */
  failedRetries: number;
  mostRetries: number;
  /** Retries that were refused because a name was held by what the killed daemon had begun. */
  reserved: number;
  /** Rounds that did not come right within the tries. */
  neverRight: number;
  /** First words of what retries failed with, and how often. */
  readonly said: Map<string, number>;
}

export interface KillResult {
  readonly runtime: string;
  readonly version: string;
  readonly verbs: readonly VerbResult[];
  /** What is left when all pods were stopped and removed, and half a minute has passed. */
  readonly left: Left;
  readonly removalFailures: number;
}

const callMs = 60_000;
const retryEveryMs = 1000;
const mostTries = 20;
const settleMs = 30_000;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A pod with all its cgroups below the run's own. */
const pod = (runtime: Runtime): PodSandboxConfig =>
  podConfig(runtime, { linux: { cgroup_parent: `${parentOf(runtime)}/pod${Math.random().toString(36).slice(2)}` } });

/** What is done in each round: the call, and the same once more as the kubelet would make it. */
interface Verb {
  readonly name: string;
  /** Makes what is needed; answers the call, how a retry is made, and what is looked at when it came right. */
  readonly round: () => Promise<{
    readonly call: (signal: AbortSignal) => Promise<unknown>;
    readonly retry: () => Promise<unknown>;
    readonly check: (made: unknown) => Promise<unknown>;
    readonly end: () => Promise<void>;
  }>;
}

interface Attempt {
  readonly of: PodSandboxConfig;
  readonly attempt: number;
}

const never = new AbortController().signal;

/** The verbs of a pod's start, on one runtime. */
function verbsOf(runtime: Runtime): readonly Verb[] {
  const cri = () => runtime.client();
  const runPod = async (config: PodSandboxConfig, signal = never): Promise<string> =>
    (await cri().runtime.RunPodSandbox({ config }, { deadlineMs: callMs, signal })).pod_sandbox_id;
  const create = async (id: string, { of, attempt }: Attempt, signal = never): Promise<string> => {
    const config = containerConfig({ metadata: { name: 'c', attempt } });
    const request = { pod_sandbox_id: id, config, sandbox_config: of };
    return (await cri().runtime.CreateContainer(request, { deadlineMs: callMs, signal })).container_id;
  };
  const works = async (container_id: string): Promise<void> => {
    await cri().runtime.StartContainer({ container_id }, { deadlineMs: callMs });
    const { exit_code } = await cri().runtime.ExecSync({ container_id, cmd: ['true'] }, { deadlineMs: callMs });
    if (exit_code !== 0) throw new Error(`exec in ${container_id} ended with ${exit_code}`);
  };
  const sandboxes = async (of: PodSandboxConfig) =>
    (await cri().runtime.ListPodSandbox({})).items.filter(({ metadata }) => metadata?.uid === of.metadata?.uid);
  const removePods = async (of: PodSandboxConfig): Promise<void> => {
    for (const { id } of await sandboxes(of)) await removePod(runtime, id);
  };
  return [
    {
      name: 'RunPodSandbox',
      round: async () => {
        const config = pod(runtime);
        return {
          call: (signal) => runPod(config, signal),
          // a ready sandbox is taken; beside others, which are stopped, a new one is made with the next attempt
          retry: async () => {
            const there = await sandboxes(config);
            const ready = there.find(({ state }) => state === 'SANDBOX_READY');
            if (ready) return ready.id;
            for (const { id } of there)
              await cri().runtime.StopPodSandbox({ pod_sandbox_id: id }, { deadlineMs: callMs });
            const attempt = Math.max(-1, ...there.map(({ metadata }) => metadata?.attempt ?? 0)) + 1;
            return runPod({ ...config, metadata: { ...config.metadata, attempt } });
          },
          check: async (id) => works(await create(id as string, { of: config, attempt: 0 })),
          end: () => removePods(config),
        };
      },
    },
    {
      name: 'CreateContainer',
      round: async () => {
        const config = pod(runtime);
        const id = await runPod(config);
        return {
          call: (signal) => create(id, { of: config, attempt: 0 }, signal),
          retry: async () => {
            const { containers } = await cri().runtime.ListContainers({ filter: { pod_sandbox_id: id } });
            const attempts = containers.map(({ metadata }) => metadata?.attempt ?? 0);
            return create(id, { of: config, attempt: Math.max(-1, ...attempts) + 1 });
          },
          check: (made) => works(made as string),
          end: () => removePods(config),
        };
      },
    },
    {
      name: 'PullImage',
      round: async () => {
        const image = { image: ref('test/many') };
        const pull = (signal = never) => cri().image.PullImage({ image }, { deadlineMs: callMs, signal });
        return {
          call: pull,
          retry: () => pull(),
          check: async () => {
            const { image: found } = await cri().image.ImageStatus({ image });
            if (!found) throw new Error('the image that was pulled is not there');
          },
          end: async () => void (await cri().image.RemoveImage({ image }, { deadlineMs: callMs })),
        };
      },
    },
  ];
}

async function removePod(runtime: Runtime, pod_sandbox_id: string): Promise<void> {
  const { runtime: cri } = runtime.client();
  await cri.StopPodSandbox({ pod_sandbox_id }, { deadlineMs: callMs });
  await cri.RemovePodSandbox({ pod_sandbox_id }, { deadlineMs: callMs });
}

const messageOf = (error: unknown): string => (error as ServiceError).details ?? (error as Error).message;

/** Without what differs from call to call. */
const kindOf = (message: string): string =>
  message
    .replaceAll(/[0-9a-f]{8,}(-[0-9a-f]{4,})*/g, 'ID')
    .replaceAll(/pod-\d+|c-\d+/g, 'NAME')
    .slice(0, 160);

/** Retries as the kubelet does until it comes right; counts what failed. */
async function converge(result: VerbResult, retry: () => Promise<unknown>): Promise<unknown> {
  let failed = 0;
  try {
    for (;;) {
      try {
        return await retry();
      } catch (error) {
        failed += 1;
        result.failedRetries += 1;
        const message = messageOf(error);
        if (/reserved|already in use|already exists/i.test(message)) result.reserved += 1;
        const kind = kindOf(message);
        result.said.set(kind, (result.said.get(kind) ?? 0) + 1);
        if (failed === mostTries) throw error;
        await wait(retryEveryMs);
      }
    }
  } finally {
    result.mostRetries = Math.max(result.mostRetries, failed);
  }
}

interface Plan {
  readonly rounds: number;
  readonly chance: Chance;
  readonly say: (text: string) => void;
}

/** How long a call takes that nobody breaks, in milliseconds: the median of three. */
async function typical({ round }: Verb): Promise<number> {
  const took: number[] = [];
  for (let n = 0; n < 3; n += 1) {
    const { call, check, end } = await round();
    const begun = performance.now();
    const made = await call(never);
    took.push(performance.now() - begun);
    await check(made);
    await end();
  }
  return took.toSorted((a, b) => a - b)[1] as number;
}

interface Round {
  readonly verb: Verb;
  readonly result: VerbResult;
  readonly how: How;
  readonly afterMs: number;
}

/** One call that is broken, what is done next, and the removal of what was made. Fails when it does not come right. */
async function oneRound(runtime: Runtime, { verb, result, how, afterMs }: Round): Promise<void> {
  const { call, retry, check, end } = await verb.round();
  const gone = new AbortController();
  const answered = call(gone.signal).then(
    () => true,
    () => false,
  );
  await wait(afterMs);
  if (how === 'killed') await runtime.kill();
  else gone.abort();
  if (!(await answered)) result.cut += 1;
  if (how === 'killed') await runtime.start();
  try {
    await check(await converge(result, retry));
  } finally {
    await end();
  }
}

async function breakVerb(
  runtime: Runtime,
  verb: Verb,
  { rounds, chance, say, how }: Plan & { how: How },
): Promise<VerbResult> {
  const zero = { rounds: 0, cut: 0, failedRetries: 0, mostRetries: 0, reserved: 0, neverRight: 0 };
  const result: VerbResult = { verb: verb.name, how, ...zero, said: new Map() };
  const typicalMs = await typical(verb);
  for (let n = 0; n < rounds; n += 1) {
    result.rounds += 1;
    try {
      await oneRound(runtime, { verb, result, how, afterMs: chance.next() * typicalMs });
    } catch (error) {
      result.neverRight += 1;
      say(`${runtime.name}: ${verb.name} ${how}, round ${n + 1}: ${messageOf(error)}`);
    }
  }
  say(
    `${runtime.name}: ${verb.name} ${how}: ${result.cut} of ${result.rounds} cut off, ${result.failedRetries} retries failed`,
  );
  return result;
}

/** Stops and removes every pod, as often as it takes, at most five times. Answers how many removals failed. */
async function removeAll(runtime: Runtime): Promise<number> {
  let failures = 0;
  for (let n = 0; n < 5; n += 1) {
    const { items } = await runtime.client().runtime.ListPodSandbox({});
    if (items.length === 0) break;
    for (const { id } of items) await removePod(runtime, id).catch(() => (failures += 1));
  }
  return failures;
}

/** Kills the daemon so many times in each verb; removes all pods and tells what is left. */
export async function killRounds(runtime: Runtime, plan: Plan): Promise<KillResult> {
  await runtime.start();
  const version = await runtime.version();
  await runtime.client().image.PullImage({ image: { image: tools } });
  const before = new Set(mountPoints(runtime));
  const verbs: VerbResult[] = [];
  for (const how of ['killed', 'given up'] as const)
    for (const verb of verbsOf(runtime)) verbs.push(await breakVerb(runtime, verb, { ...plan, how }));
  const removalFailures = await removeAll(runtime);
  const until = Date.now() + settleMs;
  let left = leftOf(runtime, before);
  while (Date.now() < until && Object.values(left).some((list: readonly string[]) => list.length > 0)) {
    await wait(500);
    left = leftOf(runtime, before);
  }
  return { runtime: runtime.name, version, verbs, left, removalFailures };
}
