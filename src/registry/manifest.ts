// PURE
// Manifests and indexes of OCI image-spec and Docker schema 2: media types, reading, checking.
// Must not fetch anything.
import { failedPrecondition, unimplemented } from '../lib/failure.ts';
import { type Digest, isDigest } from '../lib/id.ts';

/** OCI descriptor as far as it is used. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

/** An entry of an index. `platform` is null where the index does not say. */
export interface IndexEntry extends Descriptor {
  readonly platform: { readonly os: string; readonly architecture: string; readonly variant: string } | null;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A layer. */
export interface LayerDescriptor extends Descriptor {
  /** Annotation `org.opencontainers.image.title`: the name of an artifact's file; "" for none. */
  readonly title: string;
}

/** A manifest of one platform's image, or of an artifact. Layers bottom first. */
export interface ImageManifest {
  readonly type: 'manifest';
  readonly mediaType: string;
  /** What kind of artifact it is, null for an image: an artifact's config is no image config (image-spec, manifest.md). */
  readonly artifactType: string | null;
  readonly config: Descriptor;
  readonly layers: readonly LayerDescriptor[];
}

/** A list of manifests, or of more indexes. */
export interface ImageIndex {
  readonly type: 'index';
  readonly mediaType: string;
  readonly manifests: readonly IndexEntry[];
}

/** Bytes that a manifest or an index may have. */
export const longestManifest = 4 * 1024 * 1024;
/** Bytes that a config may have. */
export const longestConfig = 8 * 1024 * 1024;
const mostLayers = 500;

export const mediaTypes = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
} as const;

/** The Accept header of manifest requests. */
export const acceptManifests = [
  mediaTypes.ociIndex,
  mediaTypes.dockerList,
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
  '*/*;q=0.1',
].join(', ');

const indexTypes: readonly string[] = [mediaTypes.ociIndex, mediaTypes.dockerList];
const manifestTypes: readonly string[] = [mediaTypes.ociManifest, mediaTypes.dockerManifest];
const configTypes: readonly string[] = [mediaTypes.ociConfig, mediaTypes.dockerConfig];
const schema1 = /^application\/(vnd\.docker\.distribution\.manifest\.v1\+(json|prettyjws)|json)$/;
const layerType =
  /^application\/vnd\.(?:oci\.image\.layer\.(?:nondistributable\.)?v1\.tar(?:\+gzip|\+zstd)?|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.gzip|\.zstd|\.gz|\.zst)?)$/;

/** Whether a descriptor of this type is an index. */
export const isIndexType = (mediaType: string): boolean => indexTypes.includes(mediaType);
/** Whether a descriptor of this type is an image manifest. */
export const isManifestType = (mediaType: string): boolean => manifestTypes.includes(mediaType);

type Json = Readonly<Record<string, unknown>>;
type Refuse = (why: string) => never;

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Reads a manifest or an index. `declared` is the Content-Type or the descriptor's media type, "" if unknown;
 * `label` names the document in failures. Docker schema 1 is refused by name.
 */
export function parseManifest(bytes: Uint8Array, declared: string, label: string): ImageManifest | ImageIndex {
  const refuse: Refuse = (why) => {
    throw failedPrecondition(`manifest of ${label} is not usable: ${why}`);
  };
  const json = parseJson(bytes, refuse);
  const mediaType = documentType(json, declared.split(';')[0]?.trim().toLowerCase() ?? '', label);
  if (isIndexType(mediaType)) {
    if ('layers' in json || 'config' in json) refuse('it is an index and a manifest at once');
    return readIndex(json, mediaType, refuse);
  }
  if ('manifests' in json) refuse('it is a manifest and an index at once');
  return { mediaType, ...readManifest(json, { mediaType, label }, refuse) };
}

function parseJson(bytes: Uint8Array, refuse: Refuse): Json {
  if (bytes.length > longestManifest) refuse(`it is larger than ${longestManifest} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    refuse('it is not JSON');
  }
  return isJson(value) ? value : refuse('it is not a JSON object');
}

function documentType(json: Json, declared: string, label: string): string {
  if (json.schemaVersion === 1 || (schema1.test(declared) && 'fsLayers' in json)) {
    throw unimplemented(
      `${label} is a docker schema 1 image, which is no longer supported: push it again with a newer client`,
    );
  }
  const own = typeof json.mediaType === 'string' ? json.mediaType : '';
  const known = (type: string): boolean => isIndexType(type) || isManifestType(type);
  // the document's own word counts; registries often send a generic Content-Type
  if (own !== '' && known(declared) && known(own) && own !== declared) {
    throw failedPrecondition(`manifest of ${label} is not usable: it says ${own}, the registry ${declared}`);
  }
  if (own !== '') {
    if (!known(own)) throw unimplemented(`${label} has media type ${printable(own)}, which is not an image`);
    return own;
  }
  if (known(declared)) return declared;
  if (Array.isArray(json.manifests)) return mediaTypes.ociIndex;
  if (Array.isArray(json.layers) && isJson(json.config)) return mediaTypes.ociManifest;
  throw unimplemented(`${label} has media type ${printable(declared) || 'unknown'}, which is not an image`);
}

function readIndex(json: Json, mediaType: string, refuse: Refuse): ImageIndex {
  if (!Array.isArray(json.manifests)) return refuse('it has no list of manifests');
  if (json.manifests.length > 1000) refuse('it lists more than 1000 manifests');
  const manifests = json.manifests.map((entry: unknown): IndexEntry => {
    return {
      ...readDescriptor(entry, 'an entry', refuse),
      platform: readPlatform(entry),
      annotations: annotationsOf(entry),
    };
  });
  return { type: 'index', mediaType, manifests };
}

/** The annotations that are texts, as all of them should be. */
function annotationsOf(value: unknown): Record<string, string> {
  const all = isJson(value) && isJson(value.annotations) ? value.annotations : {};
  return Object.fromEntries(
    Object.entries(all).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  );
}

function readPlatform(entry: unknown): IndexEntry['platform'] {
  const platform = isJson(entry) && isJson(entry.platform) ? entry.platform : null;
  if (platform === null) return null;
  const text = (key: string): string => (typeof platform[key] === 'string' ? platform[key] : '');
  return { os: text('os'), architecture: text('architecture'), variant: text('variant') };
}

interface About {
  readonly mediaType: string;
  readonly label: string;
}

function readManifest(json: Json, { mediaType, label }: About, refuse: Refuse): Omit<ImageManifest, 'mediaType'> {
  const config = readDescriptor(json.config, 'the config', refuse);
  const artifactType = configTypes.includes(config.mediaType) ? null : artifactTypeOf(json, config);
  if (artifactType !== null && mediaType !== mediaTypes.ociManifest) {
    throw unimplemented(`${label} has a config of type ${artifactType}, which is not an image's`);
  }
  if (!Array.isArray(json.layers)) return refuse('it has no list of layers');
  if (json.layers.length > mostLayers) refuse(`it has more than ${mostLayers} layers`);
  const layers = json.layers.map((layer: unknown) => ({
    ...readDescriptor(layer, 'a layer', refuse),
    title: titleOf(layer),
  }));
  const strange = artifactType === null && layers.find((layer) => !layerType.test(layer.mediaType));
  if (strange)
    throw unimplemented(`${label} has a layer of media type ${printable(strange.mediaType)}, which is not supported`);
  return { type: 'manifest', artifactType, config, layers };
}

/** `artifactType`, or what stood in its place before image-spec 1.1: the config's type. */
const artifactTypeOf = (json: Json, config: Descriptor): string =>
  printable(typeof json.artifactType === 'string' && json.artifactType !== '' ? json.artifactType : config.mediaType);

const titleOf = (layer: unknown): string => annotationsOf(layer)['org.opencontainers.image.title'] ?? '';

function readDescriptor(value: unknown, what: string, refuse: Refuse): Descriptor {
  if (!isJson(value)) return refuse(`${what} is not a descriptor`);
  const { digest, size } = value;
  const mediaType = typeof value.mediaType === 'string' ? value.mediaType : '';
  if (typeof digest !== 'string' || !isDigest(digest)) return refuse(`${what} has no sha256 digest`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return refuse(`${what} has no valid size`);
  return { mediaType, digest, size };
}

/** Text from outside for a message: short, printable ASCII. */
const printable = (text: string): string => text.slice(0, 120).replace(/[^\x20-\x7e]/g, '?');
