// RemoveImage: all names of an image go at once, its space later.
// Must not wait for containers: layers in use stay until the last of them is gone.
import { findImage } from './image.ts';
import type { ImageContext } from './ports.ts';

const never = new AbortController().signal;

/** Removes the image that a text names, with all its tags and digests. None is success; pinned is no reason. */
export async function remove(ctx: ImageContext, text: string): Promise<void> {
  const removed = await ctx.lock.run('images', never, async () => {
    const record = findImage(ctx.records.list(), text);
    if (record !== null) await ctx.records.remove(record.id);
    return record;
  });
  if (removed === null) return;
  ctx.log.info({ id: removed.id, tags: removed.repoTags }, 'image removed');
  ctx.sweeper.release(removed.chain);
}
