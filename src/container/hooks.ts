// PURE
// The hooks of a container: where they can be run, and what a monitor is told.
import { failedPrecondition, unimplemented } from '../lib/failure.ts';
import type { OciSpec } from '../oci/types.ts';
import type { HooksRequest } from './ports.ts';

/** What a container is besides its spec. */
export interface HookGround {
  /** The pod's user namespace; null: it has none. */
  readonly userNamespace: object | null;
  /** What it is brought back from; null: its program is started. */
  readonly restore: object | null;
}

/** Refuses hooks that cannot be run: unimplemented, or failed-precondition for a container that is brought back. */
export function checkHooks({ hooks }: OciSpec, { userNamespace, restore }: HookGround): void {
  if (!hooks) return;
  if (restore) throw failedPrecondition('a container with hooks cannot be restored: they would have to be run again');
  // they look for the root in the bundle, where a user of the namespace may not look
  const early = (['prestart', 'createRuntime', 'createContainer'] as const).find((kind) => hooks[kind]);
  if (userNamespace && early)
    throw unimplemented(`${early} hook ${hooks[early]?.[0]?.path} in a pod with a user namespace is not supported`);
}

/** Whose namespaces the hooks of another runtime's container are run in; 0: it has none. */
export const hooksPid = ({ hooks }: OciSpec, runtimePid: number): number => (hooks ? runtimePid : 0);

/** proto Hooks of a container that the monitor makes itself; null: it runs none. `runtimePid`: the daemon's. */
export function hooksRequest({ hooks }: OciSpec, runtimePid: number): HooksRequest | null {
  const has = (kind: keyof NonNullable<OciSpec['hooks']>): boolean => hooks?.[kind] !== undefined;
  const create = has('prestart') || has('createRuntime');
  const [started, stopped] = [has('poststart'), has('poststop')];
  return create || started || stopped ? { create, started, stopped, runtimePid } : null;
}
