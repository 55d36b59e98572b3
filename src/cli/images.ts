// podwright images: what is on disk.
import type { Run } from './session.ts';
import { bytes, shortId, table } from './table.ts';

/** Prints one line per tag; an image without a tag has one line with its digest. */
export const listImages: Run = async ({ client, print }) => {
  const { images } = await client.call('ListImages', {});
  print(images, () =>
    table(
      ['IMAGE', 'ID', 'SIZE', 'PINNED'],
      images
        .flatMap(({ repo_tags: tags, repo_digests: digests, id, size, pinned }) =>
          (tags.length > 0 ? tags : [digests[0] ?? '<none>']).map((name) => [
            name,
            shortId(id),
            bytes(Number(size)),
            pinned ? 'yes' : '',
          ]),
        )
        .sort(([a = ''], [b = '']) => a.localeCompare(b)),
    ),
  );
};
