// The blobs of an artifact that is here, as its manifest names them: what saving and pushing one needs.
// Must not fetch: what is not here makes it fail.
import { createHash } from 'node:crypto';
import { failedPrecondition } from '../lib/failure.ts';
import { type Digest, digestHex } from '../lib/id.ts';
import { type LayerDescriptor, parseManifest } from '../registry/manifest.ts';
import type { ExportSource } from '../storage/exports.ts';
import { artifactFiles } from './artifact-files.ts';
import type { ImageRecord } from './image.ts';
import type { ImageContext } from './ports.ts';

/** A blob and where its bytes are. */
export interface ArtifactBlob {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly source: ExportSource;
}

/** All of an artifact. */
export interface ArtifactBlobs {
  readonly manifest: Buffer;
  readonly config: ArtifactBlob;
  /** In the order of the manifest. */
  readonly layers: readonly ArtifactBlob[];
}

/** The bytes that stand for "no content" (image-spec, manifest.md "Guidance for an empty descriptor"). */
const emptyText = '{}';
export const emptyDigest: string = `sha256:${createHash('sha256').update(emptyText).digest('hex')}`;

/** Finds them. Throws failed-precondition for what is damaged or was not kept. */
export async function artifactBlobs(ctx: ImageContext, record: ImageRecord): Promise<ArtifactBlobs> {
  const name = record.repoTags[0] ?? record.id;
  const lacks = (what: string) => failedPrecondition(`artifact ${name} lacks ${what}: pull it again`);
  const manifest = await ctx.storage.content.read(record.manifestDigest);
  const own = manifest && createHash('sha256').update(manifest).digest('hex');
  if (manifest === null || own !== digestHex(record.manifestDigest)) throw lacks('an undamaged manifest');
  const parsed = parseManifest(manifest, record.mediaType, name);
  if (parsed.type !== 'manifest') throw lacks('a manifest');
  const kept = ({ digest, size }: { digest: Digest; size: number }): ArtifactBlob | null => {
    const path = ctx.storage.content.path(digest);
    if (ctx.storage.content.has(digest)) return { digest, size, source: { type: 'file', path, digest, size } };
    return digest === emptyDigest ? { digest, size, source: { type: 'text', text: emptyText } } : null;
  };
  const config = kept(parsed.config);
  if (config === null) throw lacks('its config');
  const [chainId] = record.chain;
  if (chainId === undefined || !ctx.storage.layers.has(chainId)) throw lacks('its files');
  const dir = ctx.storage.layers.diffDir(chainId);
  const files = new Map(artifactFiles(parsed.layers, name).map((file) => [file.digest, file.path]));
  const layerOf = ({ digest, size }: LayerDescriptor): ArtifactBlob => {
    const path = files.get(digest);
    if (path !== undefined) return { digest, size, source: { type: 'file', path: `${dir}/${path}`, digest, size } };
    const other = kept({ digest, size });
    if (other === null) throw lacks(`blob ${digest}`);
    return other;
  };
  return { manifest, config, layers: parsed.layers.map(layerOf) };
}
