// The composition of images: storage, registry, records and the verbs over them. Wires, decides nothing.
import { readTextFile } from '../storage/text-file.ts';
import type { AdminVerbs } from '../admin/verbs.ts';
import type { Config } from '../config/schema.ts';
import { version } from '../config/version.ts';
import type { ContainerImageFacts } from '../container/ports.ts';
import type { ImageVerbs } from '../cri/verbs.ts';
import type { Image, ImageRecord } from '../image/image.ts';
import { createImages } from '../image/images.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Native } from '../native/load.ts';
import type { Paths } from '../paths.ts';
import { platformOf } from '../registry/platform.ts';
import { proxySettings } from '../registry/proxy.ts';
import { createRegistry, defaultRetry, defaultTimeouts } from '../registry/registry.ts';
import { ImageRecords } from '../state/images.ts';
import type { RecordWriter } from '../state/record.ts';
import { createStorage } from '../storage/storage.ts';

export interface ImageParts {
  readonly config: Config;
  /** The configuration as it is now: SIGHUP changes parts of it. */
  readonly current: () => Config;
  readonly paths: Paths;
  readonly native: Native;
  readonly log: Log;
  readonly clock: Clock;
  readonly writer: RecordWriter;
  readonly metrics: Metrics;
  readonly onError: (error: unknown) => void;
  readonly chainsInUse: () => Iterable<string>;
}

/** Connections at most for one blob before its pull fails. */
const blobAttempts = 5;
/** A path may be as long and as deep as the kernel takes it (PATH_MAX), with attributes of one page's worth each. */
const pathLimits = { maxDepth: 1024, maxPathBytes: 4096, maxXattrBytes: 1024 * 1024 };

const fetchBounds = ({ registry, image }: Config) => ({
  stallMs: registry.stallTimeoutMs,
  attempts: blobAttempts,
  limits: { maxEntries: image.maxEntries, maxBytes: image.maxLayerBytes, maxRatio: image.maxRatio, ...pathLimits },
});

/** What a container is made from. */
const containerFacts = (image: Image): ContainerImageFacts => ({
  id: image.id,
  ref: image.repoDigests[0] ?? image.id,
  chain: image.chain,
  config: image.config,
});

/** Loads what is on disk and composes the room. */
export async function composeImages(parts: ImageParts) {
  const { config, paths, native, log, clock, writer, metrics } = parts;
  const records = new ImageRecords<ImageRecord>({ dir: paths.imagesDir, quarantineDir: paths.quarantineDir, writer });
  const loaded = records.load();
  for (const { id, why } of [...loaded.quarantined, ...loaded.left]) {
    log.error({ image: id, why }, 'an image record could not be read; it was set aside');
    metrics.countQuarantined('image');
  }
  const storage = createStorage({ paths, native, clock, bounds: fetchBounds(config), onError: parts.onError });
  const report = await storage.load();
  const registry = createRegistry({
    hostsDir: config.registry.configPath,
    readText: readTextFile,
    proxies: proxySettings(process.env),
    userAgent: `podwright/${version}`,
    timeouts: defaultTimeouts,
    retry: defaultRetry,
  });
  const images = createImages({
    registry,
    storage,
    records,
    clock,
    log,
    config: () => ({ ...parts.current().image, maxParallelDownloads: config.registry.maxParallelDownloads }),
    platform: platformOf(process.arch),
    inUseChains: parts.chainsInUse,
    onPull: ({ outcome, bytes, durationMs }) =>
      metrics.observePull({ result: outcome === 'ok' ? 'ok' : 'error', bytes, seconds: durationMs / 1000 }),
  });
  const started = await images.start();
  log.debug({ ...report, ...started }, 'image store read');

  const verbs: ImageVerbs = {
    pullImage: ({ image, credentials, pod }, { signal }) =>
      images.pull(
        {
          reference: image.image,
          userSpecifiedImage: image.userSpecifiedImage,
          annotations: image.annotations,
          runtimeHandler: '',
          auth: credentials,
          namespace: pod?.namespace ?? null,
        },
        signal,
      ),
    listImages: async ({ image }) => images.list(image),
    async imageStatus({ image, verbose }) {
      const found = images.status(image);
      return { image: found, info: found && verbose ? await images.statusInfo(found) : {} };
    },
    removeImage: ({ image }) => images.remove(image),
    async imageFsInfo() {
      const { images: own, containers } = await images.fsInfo();
      return { images: own, containers };
    },
  };
  const load: AdminVerbs['load'] = async ({ path, reference }, onStep, signal) => {
    const found = await images.load({ path, reference, onStep }, signal);
    return found.map(({ id, repoTags }) => ({ id, tags: repoTags }));
  };
  return {
    storage,
    verbs,
    load,
    count: () => records.list().length,
    find: images.find,
    progress: images.progress,
    hold: images.hold,
    facts: (reference: string): ContainerImageFacts | null => {
      const image = images.find(reference);
      return image && containerFacts(image);
    },
    /** Sweeps what nothing needs, when the containers are known. */
    afterRecovery: images.collect,
    collect: images.collect,
    async stop(): Promise<void> {
      await images.stop();
      registry.close();
    },
  };
}

export type Images = Awaited<ReturnType<typeof composeImages>>;

