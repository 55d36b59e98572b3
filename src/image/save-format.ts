// PURE
// The documents of a saved image: manifests written anew, an OCI layout's index, docker's manifest.json.
// Must not read or write anything.
import type { Digest } from '../lib/id.ts';
import { mediaTypes } from '../registry/manifest.ts';
import { layoutPath } from './archive.ts';

/** A blob of a saved image. */
export interface SavedBlob {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

/** An image whose blobs are written. Layers bottom first; `diffIds` in the same order. */
export interface SavedParts {
  readonly config: SavedBlob;
  readonly layers: readonly SavedBlob[];
  readonly manifest: SavedBlob;
  readonly tags: readonly string[];
  /** An OCI manifest of the same config and layers, for readers of layouts that know no other; null where `manifest` is one. */
  readonly twin: SavedBlob | null;
}

/** The type of an image's layer in an OCI manifest, by how it is compressed. */
export const layerMediaTypes = {
  none: 'application/vnd.oci.image.layer.v1.tar',
  gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
} as const;

/** The OCI type of a layer that is written as it came, whatever it was called there. */
export function ociLayerType(mediaType: string): string {
  if (/gzip$|\.gz$/.test(mediaType)) return layerMediaTypes.gzip;
  return /zstd$|\.zst$/.test(mediaType) ? layerMediaTypes.zstd : layerMediaTypes.none;
}

/** An OCI manifest over blobs that are not all the original's; what the original was annotated with stays. */
export function newManifest(config: SavedBlob, layers: readonly SavedBlob[], original: string): string {
  const { annotations } = JSON.parse(original) as { annotations?: unknown };
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { ...config, mediaType: mediaTypes.ociConfig },
    layers,
    ...(annotations === undefined ? {} : { annotations }),
  });
}

/** The file that makes a directory an OCI layout (image-spec, image-layout.md). */
export const ociLayout = JSON.stringify({ imageLayoutVersion: '1.0.0' });

const refName = 'org.opencontainers.image.ref.name';
const containerdName = 'io.containerd.image.name';

/**
 * A layout's index: one entry for each name, with the name as skopeo, umoci and containerd look for it. A manifest of
 * Docker's type has containerd's name only, and its twin the other: skopeo 1.9 passes over that type, and umoci wants a
 * name once.
 */
export function layoutIndex(images: readonly Pick<SavedParts, 'manifest' | 'tags' | 'twin'>[]): string {
  const manifests = images.flatMap(({ manifest, tags, twin }): object[] => {
    if (tags.length === 0) return [manifest];
    return tags.flatMap((tag): object[] =>
      twin === null
        ? [{ ...manifest, annotations: { [containerdName]: tag, [refName]: tag } }]
        : [
            { ...manifest, annotations: { [containerdName]: tag } },
            { ...twin, annotations: { [refName]: tag } },
          ],
    );
  });
  return JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests });
}

/** docker's manifest.json (moby image spec v1.2, "Combined Image JSON + Filesystem Changeset Format"). */
export const dockerManifest = (images: readonly SavedParts[]): string =>
  JSON.stringify(
    images.map(({ config, layers, tags }) => ({
      Config: layoutPath(config.digest),
      RepoTags: tags,
      Layers: layers.map(({ digest }) => layoutPath(digest)),
    })),
  );

/** docker's older file of names: repository → tag → topmost layer. */
export function dockerRepositories(images: readonly SavedParts[]): string {
  const repositories: Record<string, Record<string, string>> = {};
  for (const { layers, tags } of images) {
    const top = layers.at(-1)?.digest.replace('sha256:', '');
    if (top === undefined) continue;
    for (const tag of tags) {
      const colon = tag.lastIndexOf(':');
      (repositories[tag.slice(0, colon)] ??= {})[tag.slice(colon + 1)] = top;
    }
  }
  return JSON.stringify(repositories);
}
