// CheckpointPod: containers of a pod frozen together, captured, and thawed, all or nothing.
import type { Container } from '../container/container.ts';
import { containerState, goesOn } from '../container/container.ts';
import { failedPrecondition, invalidArgument, notFound } from '../lib/failure.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import { directoryOf, encodeManifest, manifestVersion, type PodCheckpoint } from './checkpoint-manifest.ts';
import type { Captured } from '../oci/captured.ts';
import type { SandboxRecords } from './ports.ts';
import type { Sandbox } from './sandbox.ts';

/** How criu is asked. */
export interface CriuChoices {
  /** TCP connections are captured and brought back. */
  readonly tcpEstablished: boolean;
  /** TCP connections are brought back closed. */
  readonly tcpClose: boolean;
  /** Unix sockets may be connected to one outside of the container. */
  readonly externalUnixSockets: boolean;
  readonly fileLocks: boolean;
}

/** A container as the monitor is told to capture it (proto CheckpointTarget). */
export interface CheckpointTarget {
  readonly containerId: string;
  readonly directory: string;
  readonly bundle: string;
  readonly upper: string;
  readonly external: readonly string[];
  readonly files: readonly { readonly name: string; readonly content: Buffer }[];
}

/** proto Checkpoint. */
export interface CheckpointRequest {
  readonly targets: readonly CheckpointTarget[];
  readonly output: string;
  readonly staging: string;
  readonly criu: string;
  readonly choices: CriuChoices;
  readonly manifest: Buffer;
  readonly shm: boolean;
  readonly deadlineMs: number;
}

export interface CheckpointPodPorts {
  readonly records: Pick<SandboxRecords, 'find' | 'get'>;
  readonly containers: { readonly find: (idOrPrefix: string) => Container | undefined };
  readonly locks: KeyedLock;
  readonly monitors: {
    readonly isAlive: (sandboxId: string) => boolean;
    /** Answers when all run again; once the signal fires the checkpoint is given up. */
    readonly checkpoint: (
      sandboxId: string,
      request: CheckpointRequest,
      signal: AbortSignal,
    ) => Promise<{ readonly frozenMs: number }>;
  };
  /** What the monitor needs of a container, and what its processes carry with them. */
  readonly captureOf: (container: Container) => { readonly target: CheckpointTarget; readonly captured: Captured };
  readonly criu: string;
  readonly runtime: string;
  /** Wall clock in milliseconds. */
  readonly nowMs: () => number;
}

export interface CheckpointPodInput {
  readonly sandboxId: string;
  readonly outputPath: string;
  readonly containerIds: readonly string[];
  readonly choices: CriuChoices;
}

/** Captures running containers of a pod into an existing, empty directory. On failure nothing of it stays. */
export async function checkpointPod(
  ports: CheckpointPodPorts,
  input: CheckpointPodInput,
  signal: AbortSignal,
): Promise<void> {
  const sandbox = ports.records.find(input.sandboxId);
  if (!sandbox) throw notFound(`sandbox ${input.sandboxId} does not exist`);
  const { id } = sandbox.identity;
  await ports.locks.run(`checkpoint ${id}`, signal, async () => {
    checkSandbox(ports, sandbox);
    const parts = selected(ports, sandbox, input.containerIds).map((container) => ({
      container,
      ...ports.captureOf(container),
    }));
    const manifest: PodCheckpoint = {
      version: manifestVersion,
      runtime: ports.runtime,
      at: new Date(ports.nowMs()).toISOString(),
      sandbox: {
        id,
        metadata: sandbox.identity.config.metadata,
        namespaces: sandbox.identity.config.security.namespaces,
      },
      containers: parts.map(({ container, captured }) => ({ ...named(container), captured })),
    };
    const written = ports.monitors.checkpoint(
      id,
      {
        targets: parts.map(({ container, target }) => ({ ...target, directory: named(container).directory })),
        output: input.outputPath,
        staging: '',
        criu: ports.criu,
        choices: input.choices,
        manifest: encodeManifest(manifest),
        shm: sandbox.identity.config.security.namespaces.ipc !== 'node',
        deadlineMs: 0,
      },
      signal,
    );
    await written.catch((error: unknown) => {
      if (!signal.aborted) refuseEnding(ports, id, { containers: parts.map(({ container }) => container), error });
      throw error;
    });
  });
}

interface Written {
  readonly containers: readonly Container[];
  readonly error: unknown;
}

/** Who ends what is being captured gives its checkpoint up: that is why it failed, not what the step says. */
function refuseEnding(ports: CheckpointPodPorts, id: string, { containers, error }: Written): void {
  const status = ports.records.get(id)?.status;
  const ready = status?.phase === 'ready' && status.stopRequestedAt === 0n;
  if (ready && containers.every(({ identity }) => goesOn(ports.containers.find(identity.id)))) return;
  throw failedPrecondition(`sandbox ${id} or a container of it was ended while its checkpoint was made`, error);
}

const named = ({ identity }: Container) => {
  const { name } = identity.config.metadata;
  return { name, id: identity.id, directory: directoryOf(name, identity.id) };
};

function checkSandbox(ports: CheckpointPodPorts, { identity }: Sandbox): void {
  const status = ports.records.get(identity.id)?.status;
  if (status?.phase !== 'ready' || status.stopRequestedAt !== 0n || !ports.monitors.isAlive(identity.id))
    throw failedPrecondition(`sandbox ${identity.id} is not ready`);
  if (identity.runtime)
    throw failedPrecondition(
      `sandbox ${identity.id} is run by handler ${identity.runtimeHandler}, which has no checkpoints`,
    );
}

/** The containers named, each once, all running, all of this pod. */
function selected(ports: CheckpointPodPorts, sandbox: Sandbox, ids: readonly string[]): Container[] {
  if (ids.length === 0) throw invalidArgument('container_ids is empty');
  const found = ids.map((each, at) => {
    const container = ports.containers.find(each);
    if (!container) throw notFound(`container_ids[${at}]: container ${each} does not exist`);
    const { identity } = container;
    if (identity.sandboxId !== sandbox.identity.id)
      throw invalidArgument(`container_ids[${at}]: container ${identity.id} is not of sandbox ${sandbox.identity.id}`);
    const state = containerState(container);
    if (state !== 'running')
      throw failedPrecondition(`container_ids[${at}]: container ${identity.id} is ${state}, not running`);
    return container;
  });
  const twice = (key: (container: Container) => string): Container | undefined =>
    found.find((container, at) => found.findIndex((other) => key(other) === key(container)) !== at);
  const same = twice(({ identity }) => identity.id);
  if (same) throw invalidArgument(`container_ids: container ${same.identity.id} is named twice`);
  const namesake = twice(({ identity }) => identity.config.metadata.name);
  if (namesake)
    throw failedPrecondition(`container_ids: two containers are called ${namesake.identity.config.metadata.name}`);
  return found;
}
