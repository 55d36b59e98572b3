// RestorePod: a pod sandbox and its containers from a checkpoint, created and not started, or nothing left of them.
import type { ContainerConfig } from '../container/container.ts';
import { buildOrClearAway, type Caller } from '../lib/creation.ts';
import { failedPrecondition, invalidArgument } from '../lib/failure.ts';
import type { ContainerId, SandboxId } from '../lib/id.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import type { Captured } from '../oci/captured.ts';
import type { CriuChoices } from './checkpoint.ts';
import {
  type CheckpointedContainer,
  checkNames,
  checkNamespaces,
  decodeManifest,
  type PodCheckpoint,
} from './checkpoint-manifest.ts';
import { type RunSandboxInput, runtimeOf } from './run.ts';
import { type PodRuntime, sandboxKey } from './sandbox.ts';

/** Where a container is brought back from. */
export interface RestoreFrom {
  /** The container's directory in the checkpoint. */
  readonly checkpoint: string;
  readonly criu: string;
  readonly choices: CriuChoices;
  /** What its processes carry with them. */
  readonly captured: Captured;
}

export interface RestorePodPorts {
  readonly locks: KeyedLock;
  /** Handlers of other runtimes, by name. */
  readonly runtimes: Readonly<Record<string, PodRuntime>>;
  readonly runSandbox: (input: RunSandboxInput, caller: Caller) => Promise<SandboxId>;
  readonly createContainer: (
    input: { readonly sandboxId: string; readonly config: ContainerConfig; readonly restore: RestoreFrom },
    caller: Caller,
  ) => Promise<ContainerId>;
  readonly containersOf: (sandboxId: string) => readonly string[];
  readonly monitors: {
    /** The manifest's bytes; with `shm` the pod's /dev/shm is filled too. */
    readonly loadCheckpoint: (
      sandboxId: string,
      request: { readonly path: string; readonly shm: boolean },
      signal: AbortSignal,
    ) => Promise<Buffer>;
  };
  readonly teardown: (sandboxId: string) => Promise<void>;
  readonly criu: string;
}

export interface RestorePodInput extends RunSandboxInput {
  readonly checkpointPath: string;
  readonly containerConfigs: readonly ContainerConfig[];
  readonly tcpClose: boolean;
}

/** What RestorePod answers. */
export interface RestoredPod {
  readonly sandboxId: SandboxId;
  readonly containers: readonly { readonly name: string; readonly id: ContainerId }[];
}

const never = new AbortController().signal;

/** How long reading the manifest and filling /dev/shm may take, in milliseconds. */
const loadTimeoutMs = 90_000;

/**
 * Brings a pod back. Its containers are CREATED with their memory in place, and go on when they are started. Like
 * RunPodSandbox it is not its caller's to cancel: a retry finds what was made (ruling 13).
 */
export async function restorePod(ports: RestorePodPorts, input: RestorePodInput, caller: Caller): Promise<RestoredPod> {
  if (runtimeOf(ports.runtimes, input.runtimeHandler))
    throw failedPrecondition(`runtime_handler ${input.runtimeHandler} has no checkpoints`);
  checkConfigs(input.containerConfigs);
  const key = sandboxKey(input.config.metadata);
  const delivered: (() => void)[] = [];
  // what was made is delivered when all of it is
  const inner: Caller = { signal: never, onDelivered: (then) => void delivered.push(then) };
  const restored = await ports.locks.run(`restore ${key}`, caller.signal, async () => {
    const { config, runtimeHandler } = input;
    const sandboxId = await ports.runSandbox({ config, runtimeHandler }, inner);
    return buildOrClearAway(`sandbox ${sandboxId}`, {
      build: () => fill(ports, { ...input, sandboxId }, inner),
      teardown: () => ports.locks.run(`sandbox ${sandboxId}`, never, () => ports.teardown(sandboxId)),
    });
  });
  caller.onDelivered(() => {
    for (const then of delivered) then();
  });
  return restored;
}

function checkConfigs(configs: readonly ContainerConfig[]): void {
  if (configs.length === 0) throw invalidArgument('container_configs is empty');
  const names = configs.map(({ metadata }) => metadata.name);
  const bad = names.findIndex((name, at) => name === '' || names.indexOf(name) !== at);
  if (bad < 0) return;
  const why = names[bad] === '' ? 'is empty' : `${names[bad]} is there twice`;
  throw invalidArgument(`container_configs[${bad}].metadata.name ${why}`);
}

type Filling = RestorePodInput & { readonly sandboxId: SandboxId };

async function fill(ports: RestorePodPorts, input: Filling, caller: Caller): Promise<RestoredPod> {
  const { sandboxId, checkpointPath: path, config, containerConfigs } = input;
  // a retry of a call whose answer was lost finds memory that its processes use already
  const fresh = ports.containersOf(sandboxId).length === 0;
  const shm = fresh && config.security.namespaces.ipc !== 'node';
  const bytes = await ports.monitors.loadCheckpoint(sandboxId, { path, shm }, AbortSignal.timeout(loadTimeoutMs));
  const manifest = decodeManifest(bytes, path);
  checkNames(
    manifest,
    containerConfigs.map(({ metadata }) => metadata.name),
    path,
  );
  checkNamespaces(manifest, config);
  const containers: { name: string; id: ContainerId }[] = [];
  // one by one: their memory is read at the same disk, and a failure of one ends it all
  for (const each of containerConfigs) {
    const { name } = each.metadata;
    const restore = restoreFrom(ports, input, containerOf(manifest, name));
    containers.push({ name, id: await ports.createContainer({ sandboxId, config: each, restore }, caller) });
  }
  return { sandboxId, containers };
}

const containerOf = (manifest: PodCheckpoint, name: string): CheckpointedContainer =>
  manifest.containers.find((container) => container.name === name) as CheckpointedContainer;

const restoreFrom = (ports: RestorePodPorts, input: Filling, from: CheckpointedContainer): RestoreFrom => ({
  checkpoint: `${input.checkpointPath.replace(/\/+$/, '')}/${from.directory}`,
  criu: ports.criu,
  choices: { tcpEstablished: true, tcpClose: input.tcpClose, externalUnixSockets: true, fileLocks: true },
  captured: from.captured,
});
