// ImageStatus: from memory; the raw config only when asked for.
import { failedPrecondition } from '../lib/failure.ts';
import { findImage, type Image, imageView } from './image.ts';
import type { ImageContext } from './ports.ts';

/** The image that a text names (findImage), null if there is none. */
export function status(ctx: Pick<ImageContext, 'records' | 'config'>, text: string): Image | null {
  const record = findImage(ctx.records.list(), text);
  return record === null ? null : imageView(record, ctx.config().pinned);
}

/** CRI ImageStatusResponse.info: `info` with the chain and the OCI config, as crictl and its users read it. */
export async function statusInfo(
  ctx: Pick<ImageContext, 'storage'>,
  image: Image,
): Promise<Readonly<Record<string, string>>> {
  const document = await ctx.storage.content.read(image.id as string as Image['manifestDigest']);
  const json = document === null ? null : parsed(document, image);
  // an artifact has no config that says anything: its id is the manifest's
  const described = image.artifact ? { artifactType: image.artifact.type, manifest: json } : { imageSpec: json };
  const { manifestDigest, targetDigest, mediaType, layers, blobsKept } = image;
  const info = {
    chainID: image.chain.at(-1) ?? '',
    ...described,
    manifestDigest,
    targetDigest,
    mediaType,
    layers,
    blobsKept,
  };
  return { info: JSON.stringify(info) };
}

function parsed(document: Buffer, image: Image): unknown {
  try {
    return JSON.parse(document.toString('utf8'));
  } catch (cause) {
    const what = image.artifact ? 'manifest' : 'config';
    throw failedPrecondition(`image ${image.repoTags[0] ?? image.id} has a damaged ${what}: pull it again`, cause);
  }
}
