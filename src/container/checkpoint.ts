// CheckpointContainer: one running container captured into an archive; it goes on.
import { failedPrecondition, notFound } from '../lib/failure.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import { type Container, containerState, goesOn } from './container.ts';
import type { ContainerRecords, SandboxIndex } from './ports.ts';

/** How criu is asked for a container alone: what it is connected to goes on without it. */
const choices = { tcpEstablished: true, tcpClose: false, externalUnixSockets: false, fileLocks: true } as const;

/** What a monitor needs of a container (proto CheckpointTarget). */
export interface CaptureTarget {
  readonly containerId: string;
  readonly directory: string;
  readonly bundle: string;
  readonly upper: string;
  readonly external: readonly string[];
  readonly files: readonly { readonly name: string; readonly content: Buffer }[];
}

export interface CheckpointContainerPorts {
  readonly records: Pick<ContainerRecords, 'find' | 'get'>;
  readonly sandboxes: Pick<SandboxIndex, 'get'>;
  readonly locks: KeyedLock;
  readonly monitors: {
    readonly isAlive: (sandboxId: string) => boolean;
    readonly checkpoint: (
      sandboxId: string,
      request: {
        readonly targets: readonly CaptureTarget[];
        readonly output: string;
        readonly staging: string;
        readonly criu: string;
        readonly choices: typeof choices;
        readonly manifest: Buffer;
        readonly shm: boolean;
        readonly deadlineMs: number;
      },
      signal: AbortSignal,
    ) => Promise<{ readonly frozenMs: number }>;
  };
  readonly captureOf: (container: Container) => { readonly target: CaptureTarget };
  /** A directory that does not exist, for putting the archive together. */
  readonly newStaging: () => string;
  readonly criu: string;
}

export interface CheckpointContainerInput {
  readonly id: string;
  /** Absolute path of the archive. */
  readonly location: string;
  /** Milliseconds; 0: the default. */
  readonly timeoutMs: number;
}

/** How long a checkpoint may take that nobody has set a time for: what the kubelet gives a call, in milliseconds. */
const defaultTimeoutMs = 120_000;

/** Writes a container's checkpoint to `location`; what is there under that name is replaced when it is whole. */
export async function checkpointContainer(
  ports: CheckpointContainerPorts,
  input: CheckpointContainerInput,
  signal: AbortSignal,
): Promise<void> {
  const id = ports.records.find(input.id)?.identity.id;
  if (id === undefined) throw notFound(`container ${input.id} does not exist`);
  const sandboxId = ports.records.get(id)?.identity.sandboxId ?? '';
  await ports.locks.run(`checkpoint ${sandboxId}`, signal, async () => {
    const container = ports.records.get(id);
    if (!container) throw notFound(`container ${id} does not exist`);
    const state = containerState(container);
    if (state !== 'running') throw failedPrecondition(`container ${id} is ${state}, not running`);
    if (!ports.monitors.isAlive(sandboxId)) throw failedPrecondition(`sandbox ${sandboxId} is not ready`);
    const pod = ports.sandboxes.get(sandboxId)?.identity;
    if (container.identity.runtime)
      throw failedPrecondition(`container ${id} is run by handler ${pod?.runtimeHandler}, which has no checkpoints`);
    const { target } = ports.captureOf(container);
    const written = ports.monitors.checkpoint(
      sandboxId,
      {
        targets: [target],
        output: input.location,
        staging: ports.newStaging(),
        criu: ports.criu,
        choices,
        manifest: Buffer.alloc(0),
        shm: pod?.config.security.namespaces.ipc !== 'node',
        deadlineMs: input.timeoutMs > 0 ? input.timeoutMs : defaultTimeoutMs,
      },
      signal,
    );
    await written.catch((error: unknown) => {
      if (signal.aborted || goesOn(ports.records.get(id))) throw error;
      throw failedPrecondition(`container ${id} was ended while its checkpoint was made`, error);
    });
  });
}
