// PURE
// What an image archive says of its images: docker's manifest.json, and the index.json of an OCI layout.
// Must not read the archive: its texts come in.
import { failedPrecondition } from '../lib/failure.ts';
import { parseReference, repoTag } from './reference.ts';

/** One image of a docker archive, by the names of its files there. */
export interface DockerArchiveImage {
  readonly config: string;
  /** Bottom first. */
  readonly layers: readonly string[];
  /** Full names with tag. */
  readonly tags: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const isStrings = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');

/** Reads the manifest.json of `docker save`. `archive` names it in failures. */
export function readDockerManifest(text: string, archive: string): DockerArchiveImage[] {
  const refuse = (why: string): never => {
    throw failedPrecondition(`manifest.json of image archive ${archive} is not usable: ${why}`);
  };
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    refuse('it is not JSON');
  }
  if (!Array.isArray(list) || list.length === 0) return refuse('it lists no image');
  return list.map((entry: unknown): DockerArchiveImage => {
    if (!isJson(entry) || typeof entry.Config !== 'string') return refuse('an image has no config');
    const layers = entry.Layers ?? [];
    const tags = entry.RepoTags ?? [];
    if (!isStrings(layers) || !isStrings(tags)) return refuse('Layers or RepoTags are not lists of strings');
    return { config: tidy(entry.Config), layers: layers.map(tidy), tags: tags.map(fullTag) };
  });
}

/** Entry names are listed without a leading "./". */
const tidy = (name: string): string => name.replace(/^(?:\.\/)+/, '');

function fullTag(text: string): string {
  const tag = repoTag(parseReference(text));
  if (tag === null) throw failedPrecondition(`name ${JSON.stringify(text)} in an image archive has no tag`);
  return tag;
}

/** Where a digest's bytes are in an OCI layout (image-spec, image-layout.md). */
export const layoutPath = (digest: string): string => `blobs/${digest.replace(':', '/')}`;

/**
 * The names that an OCI layout's index gives an entry: containerd's full name, else `ref.name` where it is
 * a whole reference. A bare tag ("latest") names no repository and is left out.
 */
export function layoutTags(annotations: Readonly<Record<string, string>>): string[] {
  const full = annotations['io.containerd.image.name'] ?? '';
  const short = annotations['org.opencontainers.image.ref.name'] ?? '';
  const text = full !== '' ? full : /[/:]/.test(short) ? short : '';
  return text === '' ? [] : [fullTag(text)];
}
