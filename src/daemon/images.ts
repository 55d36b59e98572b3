// The composition of images: storage, registry, records and the verbs over them. Wires, decides nothing.
import { listNames, readTextFile } from '../storage/text-file.ts';
import { randomUUID } from 'node:crypto';
import type { Config } from '../config/schema.ts';
import { version } from '../config/version.ts';
import type { ContainerImageFacts } from '../container/ports.ts';
import type { Image, ImageRecord } from '../image/image.ts';
import { createImages } from '../image/images.ts';
import type { Clock } from '../lib/clock.ts';
import type { Step } from '../lib/steps.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Native } from '../native/load.ts';
import type { Paths } from '../paths.ts';
import { platformOf } from '../registry/platform.ts';
import { helperEnvironment, proxySettings } from '../registry/proxy.ts';
import { createRegistry, defaultRetry, defaultTimeouts } from '../registry/registry.ts';
import { ImageRecords } from '../state/images.ts';
import type { RecordWriter } from '../state/record-writer.ts';
import { readImageName } from '../image/verify.ts';
import { createStorage } from '../storage/storage.ts';
import { createVerification } from '../verification/verification.ts';
import { imageAdminVerbs, imageVerbs, loadVerb } from './image-verbs.ts';
import { registryVerbs } from './registry-verbs.ts';

export interface ImageParts {
  readonly config: Config;
  /** The configuration as it is now: SIGHUP changes parts of it. */
  readonly current: () => Config;
  readonly paths: Paths;
  readonly native: Native;
  readonly step: Step;
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
  artifactType: image.artifact?.type ?? null,
  config: image.config,
});

/** The records of images; what cannot be read is told and left out. */
function loadRecords({ paths, writer, log, metrics }: ImageParts) {
  const records = new ImageRecords<ImageRecord>({ dir: paths.imagesDir, quarantineDir: paths.quarantineDir, writer });
  const loaded = records.load();
  const setAside = [...loaded.quarantined, ...loaded.left].map(({ id, why }) => ({ noun: 'image', id, why }));
  for (const { id, why } of setAside) {
    log.error({ image: id, why }, 'an image record could not be read; it was set aside');
    metrics.countQuarantined('image');
  }
  return { records, setAside };
}

const registryOf = ({ registry }: Config, log: Log) =>
  createRegistry({
    hostsDir: registry.configPath,
    registriesConf: registry.registriesConf,
    authFiles: registry.authFiles,
    helperEnv: helperEnvironment(process.env),
    readText: readTextFile,
    listDir: listNames,
    onNote: (note) => log.warn({ note }, 'a part of registries.conf has no effect'),
    proxies: proxySettings(process.env),
    userAgent: `podwright/${version}`,
    timeouts: defaultTimeouts,
    retry: defaultRetry,
  });

/** The stores, with what a start found in them. */
async function loadStorage({ config, paths, native, step, clock, onError, log }: ImageParts) {
  const { firstProject, writableLayerLimit } = config.container;
  const storage = createStorage({ paths, native, step, clock, bounds: fetchBounds(config), firstProject, onError });
  const report = await storage.load();
  const { enforced, missing } = storage.projects.support;
  if (writableLayerLimit > 0 && !enforced)
    log.error({ dir: paths.snapshotsDir, missing }, 'writable layers cannot be limited: no container can be made');
  return { storage, report };
}

/** Policies of images; what is wrong with them is told at once, not with the first image. */
async function loadVerification({ current, log }: ImageParts) {
  const verification = createVerification({ settings: () => current().verification, readName: readImageName });
  for (const why of await verification.trouble()) log.error({ why }, 'images it holds for are rejected');
  return verification;
}

/** Loads what is on disk and composes the room. */
export async function composeImages(parts: ImageParts) {
  const { config, paths, log, clock, metrics } = parts;
  const { records, setAside } = loadRecords(parts);
  const { storage, report } = await loadStorage(parts);
  const registry = registryOf(config, log);
  const verification = await loadVerification(parts);
  const images = createImages({
    registry,
    storage,
    records,
    clock,
    log,
    config: () => ({ ...parts.current().image, maxParallelDownloads: config.registry.maxParallelDownloads }),
    platform: platformOf(process.arch),
    inUseChains: parts.chainsInUse,
    quarantineDir: paths.quarantineDir,
    onPull: ({ outcome, bytes, durationMs }) =>
      metrics.observePull({ result: outcome === 'ok' ? 'ok' : 'error', bytes, seconds: durationMs / 1000 }),
    verification,
    onVerdict: ({ at, accepted }) => metrics.countVerdict(at, accepted),
  });
  const started = await images.start();
  log.debug({ ...report, ...started }, 'image store read');
  return {
    storage,
    verbs: imageVerbs(images),
    load: loadVerb(images),
    registry: registryVerbs(images),
    admin: (containersOn: (chainId: string) => string[]) =>
      imageAdminVerbs(images, {
        containersOn,
        newFile: () => `${paths.ingestDir}/save-${randomUUID()}.tar`,
        read: (path) => storage.exports.once(path),
      }),
    count: () => records.list().length,
    find: images.find,
    progress: images.progress,
    /** Paths of what was set aside, now and earlier: records, and layers that were repaired under containers. */
    quarantined: async () => (await listNames(paths.quarantineDir)).map((name) => `${paths.quarantineDir}/${name}`),
    /** Records that could not be read, for doctor. */
    setAside,
    hold: images.hold,
    admit: images.admit,
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
