// `layer.json`: what is known of an unpacked layer. Must not judge whether anybody needs it.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ChainId, type Digest, digestHex, isDigest } from '../lib/id.ts';

/** What `layer.json` says of a layer. */
export interface Layer {
  readonly chainId: ChainId;
  readonly diffId: Digest;
  /** The blob it was unpacked from. */
  readonly blobDigest: Digest;
  readonly blobBytes: number;
  readonly mediaType: string;
  /** Bytes of file contents. */
  readonly bytes: number;
  /** Bytes and inodes that its directory takes on the disk; layers of earlier releases tell no bytes. */
  readonly diskBytes?: number;
  readonly inodes: number;
  /** Unix nanoseconds. */
  readonly committedAt: bigint;
}

const formatVersion = 1;

/** The text of a layer's file. */
export const encodeLayer = (layer: Layer): string =>
  `${JSON.stringify({ version: formatVersion, ...layer, committedAt: String(layer.committedAt) })}\n`;

type Read =
  | { readonly type: 'layer'; readonly value: Layer }
  | { readonly type: 'damaged' | 'newer'; readonly why: string };

/** Codes of read(2) that tell of the file, not of the host: it is not there, or is none. */
const ofFile: readonly unknown[] = [undefined, 'ENOENT', 'ENOTDIR', 'EISDIR'];

/**
 * Reads the file of the layer that lies in a directory of that name. Throws the error of read(2) when the host cannot read
 * now (EMFILE, EIO): a sound layer would be thrown away.
 */
export async function readLayer(dir: string, name: string): Promise<Read> {
  try {
    const { version, ...data } = JSON.parse(await readFile(join(dir, 'layer.json'), 'utf8')) as Record<string, unknown>;
    if (typeof version !== 'number') return { type: 'damaged', why: 'layer.json has no version' };
    if (version > formatVersion) return { type: 'newer', why: `layer.json has format version ${version}` };
    const layer = { ...data, committedAt: BigInt((data.committedAt as string | undefined) ?? '0') } as unknown as Layer;
    if (!isDigest(layer.chainId) || digestHex(layer.chainId) !== name) {
      return { type: 'damaged', why: 'layer.json is of another layer' };
    }
    return { type: 'layer', value: layer };
  } catch (error) {
    if (!ofFile.includes((error as NodeJS.ErrnoException).code)) throw error;
    return { type: 'damaged', why: (error as Error).message };
  }
}
