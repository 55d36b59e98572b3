// PURE
// What a pod's checkpoint says of itself: written last, read first.
import { failedPrecondition } from '../lib/failure.ts';
import type { Captured } from '../oci/captured.ts';
import type { NamespaceOptions, SandboxConfig } from './sandbox.ts';

/** One container of a checkpoint. */
export interface CheckpointedContainer {
  readonly name: string;
  readonly id: string;
  /** Its directory in the checkpoint. */
  readonly directory: string;
  readonly captured: Captured;
}

/** A pod's checkpoint, as `pod.json` in it. */
export interface PodCheckpoint {
  /** Of this form; a reader takes its own and older ones. */
  readonly version: number;
  readonly runtime: string;
  /** RFC 3339. */
  readonly at: string;
  readonly sandbox: {
    readonly id: string;
    readonly metadata: SandboxConfig['metadata'];
    readonly namespaces: Pick<NamespaceOptions, 'network' | 'ipc' | 'pid'>;
  };
  readonly containers: readonly CheckpointedContainer[];
}

/** The newest form that this release writes and reads. */
export const manifestVersion = 1;

/** Names of directories that are the same as the container's: others go by its id. */
const plainName = /^[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?$/;

/** Names that a pod's checkpoint uses for other things. */
const taken: readonly string[] = ['pod.json', 'devshm-checkpoint.tar'];

/** The directory of a container in a checkpoint. */
export const directoryOf = (name: string, id: string): string =>
  plainName.test(name) && !taken.includes(name) ? name : id;

/** The manifest's bytes. */
export const encodeManifest = (manifest: PodCheckpoint): Buffer =>
  Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`, 'utf8');

/** Reads a manifest; fails with failed-precondition when it is none, or a newer one. */
export function decodeManifest(bytes: Buffer, path: string): PodCheckpoint {
  const refuse = (why: string) => failedPrecondition(`checkpoint ${path} cannot be restored: its pod.json ${why}`);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw refuse(`is no JSON (${(error as Error).message})`);
  }
  const found = value as Partial<PodCheckpoint> | null;
  if (typeof found?.version !== 'number') throw refuse('says no version');
  if (found.version > manifestVersion) throw refuse(`is of version ${found.version}, newer than ${manifestVersion}`);
  if (!isSandbox(found.sandbox)) throw refuse('says nothing of a sandbox');
  if (!Array.isArray(found.containers) || !found.containers.every(isContainer)) throw refuse('lists no containers');
  return found as PodCheckpoint;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

const isSandbox = (value: unknown): boolean => isObject(value) && isObject(value['namespaces']);

const isContainer = (value: unknown): boolean =>
  isObject(value) &&
  typeof value['name'] === 'string' &&
  typeof value['directory'] === 'string' &&
  !value['directory'].includes('/') &&
  value['directory'] !== '..' &&
  isObject(value['captured']);

/** Fails unless the names are those of the checkpoint's containers, no more and no less. */
export function checkNames(manifest: PodCheckpoint, names: readonly string[], path: string): void {
  const there = new Set(manifest.containers.map(({ name }) => name));
  const extra = names.find((name) => !there.has(name));
  if (extra !== undefined) throw failedPrecondition(`container_configs: checkpoint ${path} has no container ${extra}`);
  const missing = [...there].find((name) => !names.includes(name));
  if (missing !== undefined)
    throw failedPrecondition(`container_configs: container ${missing} of checkpoint ${path} is missing`);
}

/** Fails unless the pod has the namespaces that its processes were captured in. */
export function checkNamespaces(manifest: PodCheckpoint, config: SandboxConfig): void {
  for (const kind of ['network', 'ipc', 'pid'] as const) {
    const [before, now] = [manifest.sandbox.namespaces[kind], config.security.namespaces[kind]];
    if (before !== now)
      throw failedPrecondition(
        `config.linux.security_context.namespace_options.${kind} is ${now}, and the checkpointed pod had ${before}`,
      );
  }
}
