// Pods and containers as a kubelet would ask for them, and what tests look at in them.
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import type { ContainerConfig } from '../../src/proto/generated/cri/runtime/v1/ContainerConfig.ts';
import type { ContainerStatus__Output } from '../../src/proto/generated/cri/runtime/v1/ContainerStatus.ts';
import type { PodSandboxConfig } from '../../src/proto/generated/cri/runtime/v1/PodSandboxConfig.ts';
import type { TestDaemon } from './daemon.ts';
import { ref } from './registry.ts';
import { until } from './until.ts';

let serial = 0;

/** The image of most tests: busybox with a program that prints a lot. */
export const tools = ref('bench/tools');

/** Objects are merged, all else is replaced. */
function merge(base: object, over: object): object {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over) as [string, unknown][]) {
    const before = merged[key];
    const both = [before, value].every((each) => typeof each === 'object' && each !== null && !Array.isArray(each));
    merged[key] = both && !Buffer.isBuffer(value) ? merge(before as object, value as object) : value;
  }
  return merged;
}

/** A sandbox config: a network, an ipc and a pid namespace of its own per container, merged with what a test wishes. */
export function podConfig(daemon: Pick<TestDaemon, 'dir'>, wish: PodSandboxConfig = {}): PodSandboxConfig {
  const name = wish.metadata?.name ?? `pod-${(serial += 1)}`;
  const logs = join(daemon.dir, 'logs', name);
  mkdirSync(logs, { recursive: true });
  const base: PodSandboxConfig = {
    metadata: { name, namespace: 'test', uid: randomUUID(), attempt: 0 },
    hostname: name,
    log_directory: logs,
    linux: { security_context: { namespace_options: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } } },
  };
  return merge(base, wish) as PodSandboxConfig;
}

/** A container config of the tools image, merged with what a test wishes. */
export function containerConfig(wish: ContainerConfig = {}): ContainerConfig {
  const name = wish.metadata?.name ?? `c-${(serial += 1)}`;
  const base: ContainerConfig = {
    metadata: { name, attempt: 0 },
    image: { image: tools },
    command: ['sleep', '3600'],
    log_path: `${name}.log`,
    linux: { security_context: { namespace_options: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } } },
  };
  return merge(base, wish) as ContainerConfig;
}

/** Environment variables; CRI's values are bytes. */
export const env = (values: Readonly<Record<string, string>>): { key: string; value: Buffer }[] =>
  Object.entries(values).map(([key, value]) => ({ key, value: Buffer.from(value) }));

/** A command line of the shell. */
export const sh = (script: string): string[] => ['sh', '-c', script];

/** A container that runs a script. */
export const scripted = (script: string, wish: ContainerConfig = {}): ContainerConfig =>
  containerConfig({ ...wish, command: sh(script) });

/** A sandbox that runs. */
export interface Pod {
  readonly id: string;
  readonly config: PodSandboxConfig;
}

/** Pulls an image unless it is there; answers its id. */
export async function pull(daemon: TestDaemon, image = tools): Promise<string> {
  return (await daemon.image.PullImage({ image: { image } })).image_ref;
}

/** RunPodSandbox. */
export async function runPod(daemon: TestDaemon, wish: PodSandboxConfig = {}): Promise<Pod> {
  const config = podConfig(daemon, wish);
  const { pod_sandbox_id } = await daemon.runtime.RunPodSandbox({ config });
  return { id: pod_sandbox_id, config };
}

/** The first address of a pod. */
export async function podIp(daemon: TestDaemon, pod: Pod): Promise<string> {
  const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
  return status?.network?.ip ?? '';
}

/** CreateContainer; `config` is taken as it is. */
export async function create(daemon: TestDaemon, pod: Pod, config: ContainerConfig): Promise<string> {
  const request = { pod_sandbox_id: pod.id, config, sandbox_config: pod.config };
  return (await daemon.runtime.CreateContainer(request)).container_id;
}

/** CreateContainer and StartContainer. */
export async function start(daemon: TestDaemon, pod: Pod, config: ContainerConfig): Promise<string> {
  const id = await create(daemon, pod, config);
  await daemon.runtime.StartContainer({ container_id: id });
  return id;
}

/** ContainerStatus. */
export async function statusOf(daemon: TestDaemon, id: string): Promise<ContainerStatus__Output> {
  const { status } = await daemon.runtime.ContainerStatus({ container_id: id });
  if (status === null) throw new Error(`ContainerStatus of ${id} has no status`);
  return status;
}

/** Main process of a container that runs, as its verbose status tells it. */
export async function pidOf(daemon: TestDaemon, id: string): Promise<number> {
  const { info } = await daemon.runtime.ContainerStatus({ container_id: id, verbose: true });
  const { pid } = JSON.parse(info['info'] ?? '{}') as { pid?: number };
  if (pid === undefined || pid === 0) throw new Error(`container ${id} has no process`);
  return pid;
}

/** The status of a container once it has exited. */
export function exited(daemon: TestDaemon, id: string, timeoutMs?: number): Promise<ContainerStatus__Output> {
  return until(
    `container ${id} exits`,
    async () => {
      const status = await statusOf(daemon, id);
      return status.state === 'CONTAINER_EXITED' && status;
    },
    timeoutMs,
  );
}

/** A collected command. */
export interface Executed {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** ExecSync with its output as text. */
export async function exec(daemon: TestDaemon, id: string, ...cmd: string[]): Promise<Executed> {
  const answer = await daemon.runtime.ExecSync({ container_id: id, cmd });
  return { code: answer.exit_code, stdout: answer.stdout.toString(), stderr: answer.stderr.toString() };
}

/** ExecSync of a script; its trimmed output. */
export const shell = async (daemon: TestDaemon, id: string, script: string): Promise<string> =>
  (await exec(daemon, id, ...sh(script))).stdout.trim();

/** One record of a CRI log. */
export interface LogRecord {
  readonly time: string;
  readonly stream: 'stdout' | 'stderr';
  readonly tag: string;
  readonly text: string;
}

/** The records of a log file; throws for a line that has not the form of one. */
export function readLog(path: string): LogRecord[] {
  const lines = readFileSync(path, 'latin1').split('\n');
  if (lines.pop() !== '') throw new Error(`the last record of ${path} has no line break`);
  return lines.map((line) => {
    const [, time = '', stream, tag = '', text = ''] =
      /^(\S+) (stdout|stderr) ([FP](?::\S+)?) ?(.*)$/s.exec(line) ?? [];
    if (stream === undefined) throw new Error(`no record of a log: ${JSON.stringify(line.slice(0, 200))}`);
    return { time, stream: stream as LogRecord['stream'], tag, text };
  });
}

/** The log of a container. */
export const logOf = async (daemon: TestDaemon, id: string): Promise<LogRecord[]> =>
  readLog((await statusOf(daemon, id)).log_path);

/** What one stream of a log said, pieces joined to lines. */
export const textOf = (records: readonly LogRecord[], stream: LogRecord['stream'] = 'stdout'): string =>
  records
    .filter((record) => record.stream === stream)
    .map(({ tag, text }) => text + (tag.startsWith('P') ? '' : '\n'))
    .join('');

/** Runs a container to its end, removes it, and answers how it ended and what it said. */
export async function output(daemon: TestDaemon, pod: Pod, config: ContainerConfig) {
  const id = await start(daemon, pod, config);
  const status = await exited(daemon, id);
  const log = readLog(status.log_path);
  await daemon.runtime.RemoveContainer({ container_id: id });
  return { status, stdout: textOf(log), stderr: textOf(log, 'stderr') };
}

/** Asserts that a call fails with a gRPC code and a message; answers the message. */
export async function fails(
  t: ExecutionContext,
  call: Promise<unknown>,
  expected: { readonly code: keyof typeof grpcStatus; readonly message?: RegExp },
): Promise<string> {
  const error = await t.throwsAsync(call as Promise<never>, { any: true });
  const { code, details } = error as unknown as ServiceError;
  t.is(grpcStatus[code], expected.code, details);
  if (expected.message) t.regex(details, expected.message);
  return details ?? '';
}
