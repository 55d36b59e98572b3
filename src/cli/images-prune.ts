// podwright images prune, podwright images df: what nobody needs, and what there is.
import type { Run } from './session.ts';
import { bytes, table } from './table.ts';

/** Removes images that no container stands on; with `--all` also those that have names. */
export const pruneImages: Run = async ({ client, print }, _, { all }) => {
  const { images } = await client.call('PruneImages', { all: all === true });
  const sum = images.reduce((total, image) => total + Number(image.bytes), 0);
  print(images, () =>
    [
      ...images.map(({ id, tags, bytes: size }) => `${tags.join(' ') || id} ${bytes(Number(size))}\n`),
      `${images.length} images removed, ${bytes(sum)} freed\n`,
    ].join(''),
  );
};

/** Prints what layers, blobs and writable layers take. */
export const imageUsage: Run = async ({ client, print }) => {
  const { rows } = await client.call('ImageUsage', {});
  print(rows, () =>
    table(
      ['TYPE', 'COUNT', 'SIZE', 'INODES', 'RECLAIMABLE', 'PATH'],
      rows.map((row) => [
        row.what,
        row.count > 0 ? String(row.count) : '',
        bytes(Number(row.bytes)),
        row.inodes,
        Number(row.reclaimableBytes) > 0 ? bytes(Number(row.reclaimableBytes)) : '',
        row.path,
      ]),
    ),
  );
};
