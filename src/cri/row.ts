// The kinds of rows in the two service tables, and what each call is about in the log.
// Must not know verbs.
import type { Subject } from './rpc.ts';

/** Asked for at any time, also while recovering. */
export const answering = { whileRecovering: 'answers', level: 'debug' } as const;
/** A list: never partial, so it waits for recovery. */
export const listing = { whileRecovering: 'waits', level: 'debug' } as const;
/** A list in batches: as a list, and with an end. */
export const batching = { ...listing, endless: false } as const;
/** Tells about one object. */
export const reading = { whileRecovering: 'unavailable', level: 'debug' } as const;
/** Changes something. */
export const mutating = { whileRecovering: 'unavailable', level: 'info' } as const;

/** About nothing in particular. */
export const nothing = (): Subject => ({});
/** About one container. */
export const aContainer = (request: { readonly container_id: string }): Subject => ({
  containerId: request.container_id,
});
/** About one sandbox. */
export const aSandbox = (request: { readonly pod_sandbox_id: string }): Subject => ({
  sandboxId: request.pod_sandbox_id,
});
/** About one image. */
export const anImage = (request: { readonly image: { readonly image: string } | null }): Subject => ({
  image: request.image?.image ?? '',
});
