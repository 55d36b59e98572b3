// PullImage of an OCI artifact: its files come into one layer of their own, which containers can mount.
// Must not unpack anything: a file is its layer's bytes.
import { createHash } from 'node:crypto';
import { Failure } from '../lib/failure.ts';
import type { ChainId, Digest, ImageId } from '../lib/id.ts';
import { longestConfig } from '../registry/manifest.ts';
import type { Repository, ResolvedImage } from '../registry/repository.ts';
import { emptyDigest } from './artifact-blobs.ts';
import { type ArtifactFile, artifactFiles } from './artifact-files.ts';
import { eachBounded } from './bounded.ts';
import { nameImage, type Names } from './commit.ts';
import type { ImageConfig, ImageRecord } from './image.ts';
import type { ImageContext } from './ports.ts';
import type { PullProgress } from './progress.ts';

/** A pull whose reference turned out to be an artifact. */
export interface ArtifactPull {
  readonly label: string;
  readonly repository: Repository;
  readonly resolved: ResolvedImage;
  readonly names: Names;
  readonly progress: PullProgress;
}

const noConfig: ImageConfig = {
  env: [],
  entrypoint: [],
  cmd: [],
  workingDir: '',
  user: '',
  stopSignal: '',
  volumes: [],
  labels: {},
  exposedPorts: [],
};

/** The chain id of an artifact's layer: no image has it, whose layers are named by their contents. */
export const artifactChain = (manifest: Digest): ChainId =>
  `sha256:${createHash('sha256').update(`podwright artifact ${manifest}`).digest('hex')}` as string as ChainId;

/** Brings the files and writes the record. The manifest's digest is the id: configs of artifacts are mostly one and the same. */
export async function buildArtifact(ctx: ImageContext, job: ArtifactPull, signal: AbortSignal): Promise<ImageRecord> {
  const { label, names, progress } = job;
  const { manifest, target } = job.resolved;
  const files = artifactFiles(manifest.layers, label);
  const chainId = artifactChain(manifest.digest);
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const release = ctx.leases.hold([chainId, manifest.digest, target.digest, manifest.config.digest]);
  try {
    progress.expect([{ digest: manifest.digest, chainId, size }]);
    const present = ctx.storage.layers.has(chainId);
    const layer = await ctx.storage.layers.assemble({ chainId, size, label }, signal, (put, own) =>
      bring(ctx, { job, files, put }, own),
    );
    progress.arrived(chainId, present ? 'present' : 'done');
    signal.throwIfAborted();
    for (const { digest, bytes } of [manifest, target]) await ctx.storage.content.put(digest, bytes);
    const config = await keepConfig(ctx, job, signal);
    const now = ctx.clock.now();
    const record: ImageRecord = {
      id: manifest.digest as string as ImageId,
      repoTags: [],
      repoDigests: [],
      chain: [chainId],
      layers: [],
      sizeBytes: layer.bytes + manifest.bytes.length,
      user: { uid: null, username: '' },
      config: noConfig,
      platform: { os: '', architecture: '', variant: '' },
      manifestDigest: manifest.digest,
      mediaType: manifest.mediaType,
      targetDigest: target.digest,
      blobsKept: false,
      artifact: { type: manifest.artifactType ?? '', ...(config === null ? {} : { config }) },
      userSpecifiedImage: '',
      annotations: {},
      pulledAt: now,
      namedAt: now,
    };
    return await nameImage(ctx, record, names);
  } finally {
    release();
  }
}

/** Keeps the config, which saving and pushing need: null for none that has to be kept. Containers do without. */
async function keepConfig(ctx: ImageContext, job: ArtifactPull, signal: AbortSignal): Promise<Digest | null> {
  const { config } = job.resolved.manifest;
  if (config.digest === emptyDigest || config.size > longestConfig) return null;
  try {
    if (!ctx.storage.content.has(config.digest))
      await ctx.storage.content.put(config.digest, await job.repository.config(config, signal));
    return config.digest;
  } catch (error) {
    // registries have been seen that take a manifest without it
    if (!(error instanceof Failure) || error.kind !== 'not-found') throw error;
    return null;
  }
}

interface Bring {
  readonly job: ArtifactPull;
  readonly files: readonly ArtifactFile[];
  readonly put: Parameters<Parameters<ImageContext['storage']['layers']['assemble']>[2]>[0];
}

async function bring(ctx: ImageContext, { job, files, put }: Bring, signal: AbortSignal): Promise<void> {
  const limit = ctx.config().maxParallelDownloads;
  await eachBounded(files, { limit, signal }, (file, own) =>
    job.repository.blob(file.digest, own, (from) => put(file, from, own)),
  );
}
