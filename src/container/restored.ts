// PURE
// A container that is brought back: what it must have for that, and what a monitor is told.
import { failedPrecondition } from '../lib/failure.ts';
import { type Captured, mismatch } from '../oci/captured.ts';
import type { ContainerIdentity } from './container.ts';
import type { RestoreRequest } from './ports.ts';

/** Where a container's processes are brought back from, and what they carry with them. */
export interface ContainerRestore extends RestoreRequest {
  readonly captured: Captured;
}

/** Fails unless captured processes find what they carry with them. Names what differs, never a value. */
export function checkCaptured({ config }: ContainerIdentity, before: Captured, now: Captured): void {
  const what = mismatch(before, now);
  if (what === null) return;
  const { name } = config.metadata;
  throw failedPrecondition(`container ${name} cannot be restored: ${what} of its config and of its checkpoint differ`);
}

/** proto Restore. */
export const restoreRequest = (from: ContainerRestore | null): RestoreRequest | null =>
  from && { checkpoint: from.checkpoint, criu: from.criu, choices: from.choices };
