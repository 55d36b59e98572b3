// PURE
// Images as volumes: which image each mount means, and what of it init stacks.
import { imageVolumeMountFailed, invalidArgument, notFound } from '../lib/failure.ts';
import type { RequestedMount } from '../oci/mounts.ts';
import type { ContainerConfig, ImageVolume } from './container.ts';
import type { ContainerImageFacts } from './ports.ts';

/** The images among the mounts, as they are now. Throws not-found for one that is not present. */
export function findImageVolumes(
  config: ContainerConfig,
  find: (reference: string) => ContainerImageFacts | null,
): ImageVolume[] {
  return config.mounts.flatMap(({ image, imageSubPath }, at) => {
    if (image === null) return [];
    checkSubPath(`config.mounts[${at}].image_sub_path`, imageSubPath);
    const found = find(image.image);
    if (!found) throw notFound(`config.mounts[${at}].image: image ${image.image} is not present: pull it first`);
    if (found.chain.length === 0) throw imageVolumeMountFailed(`image ${image.image} has no layers to mount`);
    return [{ mount: at, imageId: found.id, imageRef: found.ref, chain: found.chain }];
  });
}

/** A path that climbs above the image is refused here; links are resolved by init, inside the image. */
function checkSubPath(field: string, path: string): void {
  let depth = 0;
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    depth += part === '..' ? -1 : 1;
    if (depth < 0) throw imageVolumeMountFailed(`${field} ${JSON.stringify(path)} leads out of the image`);
  }
}

/** The mounts with the layers of their images. `lowerDirs` gives a chain's directories, topmost first. */
export const withLayers = (
  config: ContainerConfig,
  volumes: readonly ImageVolume[],
  lowerDirs: (chain: readonly string[]) => readonly string[],
): RequestedMount[] =>
  config.mounts.map((mount, at) => {
    const volume = volumes.find((one) => one.mount === at);
    if (!volume) return { ...mount, image: null };
    const layers = lowerDirs(volume.chain);
    // overlayfs without a writable directory takes two layers at least: an empty one goes below
    const lower = layers.length > 1 ? layers : [...layers, ...lowerDirs([])];
    return { ...mount, image: { lower, subPath: mount.imageSubPath } };
  });

/** Refuses to run an artifact: it has files, but is no root file system. */
export function refuseArtifact({ artifactType }: ContainerImageFacts, reference: string): void {
  if (artifactType === null) return;
  throw invalidArgument(
    `config.image: ${reference} is an artifact of type ${artifactType}: it can be mounted as a volume, not run`,
  );
}
