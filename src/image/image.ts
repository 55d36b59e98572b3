// PURE
// The image as a value: its record, and which record a name means.
// Must not read disks, registries or clocks.
import { createHash } from 'node:crypto';
import { invalidArgument } from '../lib/failure.ts';
import { type ChainId, type Digest, digestHex, type ImageId } from '../lib/id.ts';
import { type ImageQuery, parseImageQuery, repositoryName, repoTag, repoDigest } from './reference.ts';

/** The part of an OCI image config (image-spec, config.md) that containers use. */
export interface ImageConfig {
  /** `NAME=value`, in order. */
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly workingDir: string;
  /** `user`, `uid`, `user:group`, …, or "". */
  readonly user: string;
  /** As written ("SIGQUIT", "QUIT", "3"), or "". */
  readonly stopSignal: string;
  readonly volumes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** `port/protocol` or `port`. */
  readonly exposedPorts: readonly string[];
}

/** What an image was made for (image-spec, image-index.md `platform`); `variant` is "" for none. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

/** One layer of an image, bottom first in the record. */
export interface ImageLayer {
  readonly chainId: ChainId;
  readonly diffId: Digest;
  /** The blob as the registry or the archive had it. */
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes of the blob, and of the unpacked files. */
  readonly blobBytes: number;
  readonly unpackedBytes: number;
}

/** CRI Image.uid or Image.username: one of them, or neither where the image names no user. */
export interface ImageUser {
  readonly uid: number | null;
  readonly username: string;
}

/** What an image's policies were held against when it was pulled, so that a container needs no registry to be judged. */
export interface ImageProof {
  /** Null where they were never looked for. */
  readonly signatures: readonly { readonly payload: string; readonly signature: string }[] | null;
  /** What verifiers agreed to. */
  readonly verdicts: readonly string[];
}

/** One image that is complete here. Durable; replaced, never changed. */
export interface ImageRecord {
  readonly id: ImageId;
  /** Full names with tag; a tag belongs to one record only. */
  readonly repoTags: readonly string[];
  /** `repository@digest` of each reference it was pulled by. */
  readonly repoDigests: readonly string[];
  /** Those of `repository@digest` that somebody asked for by the digest; where there is none it is left out. */
  readonly askedDigests?: readonly string[];
  /** Chain ids of the layers, bottom first. */
  readonly chain: readonly ChainId[];
  readonly layers: readonly ImageLayer[];
  /** Bytes that its unpacked layers and its config take, above 0. CRI Image.size. */
  readonly sizeBytes: number;
  readonly user: ImageUser;
  readonly config: ImageConfig;
  readonly platform: Platform;
  /** The manifest of this platform, and its media type. */
  readonly manifestDigest: Digest;
  readonly mediaType: string;
  /** What the reference pointed to: an index, or the manifest itself. */
  readonly targetDigest: Digest;
  /** Whether the compressed layers are in the content store too. */
  readonly blobsKept: boolean;
  /**
   * Set for an OCI artifact, whose one layer has its files by their names; records of earlier releases have none.
   * `config` is its config's digest where that is kept.
   */
  readonly artifact?: { readonly type: string; readonly config?: Digest } | null;
  /** Records of images that were made while there was no policy have none. */
  readonly proof?: ImageProof | null;
  /** CRI ImageSpec of the latest pull. */
  readonly userSpecifiedImage: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Unix nanoseconds: when it became complete here, and when it last gained a name. */
  readonly pulledAt: bigint;
  readonly namedAt: bigint;
}

/** A record as the verbs hand it out. */
export interface Image extends ImageRecord {
  /** By a glob of the config: the kubelet's garbage collection leaves it. CRI Image.pinned. */
  readonly pinned: boolean;
  /** CRI ContainerStatus.image_ref of containers made from it: a digested name, or the id. */
  readonly ref: string;
}

/** ChainIDs of layers given bottom first by their diff ids (image-spec, config.md "Layer ChainID"). */
export function chainIds(diffIds: readonly Digest[]): ChainId[] {
  const chain: ChainId[] = [];
  for (const diff of diffIds) {
    const below = chain.at(-1);
    const id = below === undefined ? diff : `sha256:${createHash('sha256').update(`${below} ${diff}`).digest('hex')}`;
    chain.push(id as string as ChainId);
  }
  return chain;
}

/** The user of an image for the CRI: a number becomes `uid`, a name `username`; the group is not shown. */
export function imageUser(user: string): ImageUser {
  const name = user.split(':')[0] ?? '';
  const uid = /^[0-9]{1,10}$/.test(name) ? Number(name) : null;
  return uid !== null && uid <= 0xffffffff ? { uid, username: '' } : { uid: null, username: name };
}

/**
 * The record that a text names: by tag, by digest (a tag beside it is not looked at), by id, by a unique
 * beginning of an id, or by a bare manifest digest. Null when there is none.
 * Throws invalid-argument for text that can name nothing, and for an ambiguous beginning.
 */
export function findImage<R extends ImageRecord>(records: Iterable<R>, text: string): R | null {
  const all = [...records];
  const query = parseImageQuery(text);
  return byReference(all, query) ?? byHex(all, query.hexPrefix, text);
}

function byReference<R extends ImageRecord>(records: readonly R[], { reference }: ImageQuery): R | null {
  if (reference === null) return null;
  const tag = repoTag(reference);
  if (tag !== null) return records.find((r) => r.repoTags.includes(tag)) ?? null;
  const digest = reference.digest;
  if (digest === null) return null;
  const name = repoDigest(reference, digest);
  const named = records.find((r) => r.repoDigests.includes(name));
  if (named) return named;
  // the manifest of an image that was pulled through its index, or an id written behind the repository
  const repository = `${repositoryName(reference)}@`;
  return (
    records.find(
      (r) =>
        (r.manifestDigest === digest || r.id === (digest as string)) &&
        r.repoDigests.some((d) => d.startsWith(repository)),
    ) ?? null
  );
}

function byHex<R extends ImageRecord>(records: readonly R[], prefix: string | null, text: string): R | null {
  if (prefix === null) return null;
  const byId = records.filter((r) => digestHex(r.id).startsWith(prefix));
  if (byId.length > 1) throw invalidArgument(`image id ${JSON.stringify(text)} is the beginning of more than one id`);
  if (byId[0]) return byId[0];
  if (prefix.length < 64) return null;
  return records.find((r) => digestHex(r.targetDigest) === prefix || digestHex(r.manifestDigest) === prefix) ?? null;
}

/** Whether one of the image's names matches a glob of the config: `*` stands for any characters. */
export function isPinned(record: ImageRecord, globs: readonly string[]): boolean {
  if (globs.length === 0) return false;
  const names = [...record.repoTags, ...record.repoDigests, record.id];
  return globs.some((glob) => {
    const pattern = new RegExp(`^${glob.split('*').map(escapeRegExp).join('.*')}$`, 's');
    return names.some((name) => pattern.test(name));
  });
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** A record as it is handed out. */
export const imageView = (record: ImageRecord, pinnedGlobs: readonly string[]): Image => ({
  ...record,
  pinned: isPinned(record, pinnedGlobs),
  ref: record.repoDigests[0] ?? record.id,
});
