// An image room on a temporary root, over a fake or the real addon, for tests of its verbs.
import { noStep } from '../../src/lib/steps.ts';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { ImageRecord } from '../../src/image/image.ts';
import { createImages, type Images } from '../../src/image/images.ts';
import type { ImageSettings, PullEvent, PullRequest, VerdictEvent } from '../../src/image/ports.ts';
import { readImageName } from '../../src/image/verify.ts';
import { monotonicClock } from '../../src/lib/clock.ts';
import { buildPaths, type Paths } from '../../src/paths.ts';
import { createRegistry, defaultRetry } from '../../src/registry/registry.ts';
import { ImageRecords } from '../../src/state/images.ts';
import { RecordWriter } from '../../src/state/record-writer.ts';
import type { StorageNative } from '../../src/storage/ports.ts';
import { createStorage, type Storage } from '../../src/storage/storage.ts';
import { listNames, readTextFile } from '../../src/storage/text-file.ts';
import type { PolicySettings } from '../../src/verification/policy-files.ts';
import { createVerification } from '../../src/verification/verification.ts';
import { patienceMs } from './until.ts';

export interface ImageRoom {
  readonly root: string;
  readonly paths: Paths;
  readonly images: Images;
  readonly storage: Storage;
  readonly records: ImageRecords<ImageRecord>;
  readonly events: PullEvent[];
  readonly settings: { -readonly [K in keyof ImageSettings]: ImageSettings[K] };
  /** Where its policies are: none at first. */
  readonly policies: { -readonly [K in keyof PolicySettings]: PolicySettings[K] };
  readonly verdicts: VerdictEvent[];
  /** Chain ids that containers stand on. */
  readonly inUse: Set<string>;
  readonly log: { readonly level: string; readonly fields: object; readonly message: string }[];
  /** Pulls a reference without credentials. */
  readonly pull: (reference: string, patch?: Partial<PullRequest>, signal?: AbortSignal) => Promise<string>;
  /** Names in a directory of the root that are not its fixtures. */
  readonly names: (dir: string) => string[];
  /** Waits until no layer is being made, and says whether that came to be. */
  readonly settled: () => Promise<boolean>;
}

const bounds = {
  stallMs: 5000,
  attempts: 2,
  limits: {
    maxEntries: 100_000,
    maxBytes: 2 ** 31,
    maxRatio: 500,
    maxDepth: 100,
    maxPathBytes: 4096,
    maxXattrBytes: 65_536,
  },
};

/** A root for one test, removed at its end. */
export function temporaryRoot(t: ExecutionContext): string {
  const root = mkdtempSync(join(tmpdir(), 'podwright-images-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  return root;
}

/** Opens an image room as a daemon's start does. */
export async function openImageRoom(t: ExecutionContext, native: StorageNative, root: string): Promise<ImageRoom> {
  const paths = buildPaths(root, `${root}/run`, `${root}/run/socket`);
  const clock = monotonicClock(() => Date.now());
  const log: ImageRoom['log'][number][] = [];
  const note = (level: string) => (fields: object, message: string) => void log.push({ level, fields, message });
  const onError = (error: unknown): void => t.fail(String(error));
  const records = new ImageRecords<ImageRecord>({
    dir: paths.imagesDir,
    quarantineDir: paths.quarantineDir,
    writer: new RecordWriter(onError),
  });
  records.load();
  const storage = createStorage({ paths, native, step: noStep, clock, bounds, firstProject: 1, onError });
  await storage.load();
  const registry = createRegistry({
    hostsDir: `${root}/certs.d`,
    registriesConf: `${root}/registries.conf`,
    authFiles: [`${root}/auth.json`],
    helperEnv: {},
    readText: readTextFile,
    listDir: listNames,
    onNote: () => undefined,
    proxies: { http: '', https: '', none: '' },
    userAgent: 'test/1',
    timeouts: { connectMs: 20_000, idleMs: 20_000, totalMs: 60_000, helperMs: 20_000 },
    retry: { ...defaultRetry, baseMs: 1, longestMs: 20 },
  });
  const events: PullEvent[] = [];
  const settings = { maxParallelDownloads: 2, keepBlobs: false, pinned: [] as readonly string[] };
  const policies = { policyFile: '', policyDir: '' };
  const verdicts: VerdictEvent[] = [];
  const inUse = new Set<string>();
  const images = createImages({
    registry,
    storage,
    records,
    clock,
    log: { debug: note('debug'), info: note('info'), warn: note('warn') },
    config: () => settings,
    platform: { os: 'linux', architecture: 'amd64', variant: '' },
    inUseChains: () => inUse,
    quarantineDir: paths.quarantineDir,
    onPull: (event) => void events.push(event),
    verification: createVerification({ settings: () => policies, readName: readImageName }),
    onVerdict: (event) => void verdicts.push(event),
  });
  await images.start();
  t.teardown(async () => {
    await images.stop();
    registry.close();
    await native.sweepTrash({ trashDir: paths.trashDir }); // or its removal would meet ours
  });
  const asked = { userSpecifiedImage: '', annotations: {}, runtimeHandler: '', auth: null, namespace: null };
  const request = { ...asked, authFile: null, skipVerify: false, platform: null };
  return {
    root,
    paths,
    images,
    storage,
    records,
    events,
    settings,
    policies,
    verdicts,
    inUse,
    log,
    pull: (reference, patch = {}, signal = new AbortController().signal) =>
      images.pull({ ...request, reference, ...patch }, signal),
    names: (dir) => readdirSync(dir).filter((name) => name !== 'empty'),
    settled: async () => {
      const busy = (): boolean => readdirSync(paths.layersDir).some((name) => name.startsWith('.'));
      const deadline = Date.now() + patienceMs;
      while (busy() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
      return !busy();
    },
  };
}
