// PURE
// The files of an OCI artifact as a volume shows them: a layer each, by the name its title gives.
import { failedPrecondition } from '../lib/failure.ts';
import { type Digest, digestHex } from '../lib/id.ts';
import type { LayerDescriptor } from '../registry/manifest.ts';

/** One file. */
export interface ArtifactFile {
  /** Relative, with `/` between its parts. */
  readonly path: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

/** The descriptor that stands for "no content" (image-spec, manifest.md "Guidance for an empty descriptor"). */
const emptyType = 'application/vnd.oci.empty.v1+json';
const longestName = 255;
/** The kernel's PATH_MAX, without what comes before it on the host. */
const longestPath = 2048;
/** Directories cost an inode each, and a look. */
const mostParts = 64;

/**
 * The files of an artifact. A layer without a title is named by its digest (`sha256-<hex>`); the empty one is none.
 * Throws failed-precondition for a title that is no path inside a directory, and for names that exclude each other.
 */
export function artifactFiles(layers: readonly LayerDescriptor[], label: string): ArtifactFile[] {
  const refuse = (path: string, why: string): never => {
    throw failedPrecondition(`artifact ${label} has a file named ${JSON.stringify(path.slice(0, 200))}, ${why}`);
  };
  const files = new Map<string, ArtifactFile>();
  for (const { mediaType, title, digest, size } of layers) {
    if (title === '' && mediaType === emptyType) continue;
    const path = title === '' ? `sha256-${digestHex(digest)}` : title;
    if (!isPathInside(path)) refuse(path, 'which is not a path inside a directory');
    if ((files.get(path)?.digest ?? digest) !== digest) refuse(path, 'twice and with different content');
    files.set(path, { path, digest, size });
  }
  for (const path of files.keys()) {
    const above = parents(path).find((directory) => files.has(directory));
    if (above !== undefined) refuse(path, `but ${JSON.stringify(above)} is a file`);
  }
  return [...files.values()];
}

const isPathInside = (path: string): boolean =>
  Buffer.byteLength(path) <= longestPath &&
  !path.includes('\0') &&
  path.split('/').length <= mostParts &&
  path
    .split('/')
    .every((part) => part !== '' && part !== '.' && part !== '..' && Buffer.byteLength(part) <= longestName);

/** The directories above a path, the nearest last. */
export const parents = (path: string): string[] =>
  path
    .split('/')
    .slice(0, -1)
    .map((_, at, parts) => parts.slice(0, at + 1).join('/'));
