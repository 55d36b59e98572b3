// ListImages: from memory.
import { findImage, type Image, imageView } from './image.ts';
import type { ImageContext } from './ports.ts';

/** All images, or the one that `filter` names; "" for all. A filter that can name nothing finds nothing. */
export function list(ctx: Pick<ImageContext, 'records' | 'config'>, filter: string): Image[] {
  const { pinned } = ctx.config();
  const records = ctx.records.list();
  if (filter === '') return records.map((record) => imageView(record, pinned));
  const one = findImage(records, filter);
  return one ? [imageView(one, pinned)] : [];
}
