// The installer's loop with what it works with: files of the pod, the host, the API server.
// Must not decide what is done: node.ts does.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiServer } from '../apiserver/apiserver.ts';
import { failureChain } from '../lib/failure.ts';
import { Backoff } from './backoff.ts';
import { attemptName } from './decide.ts';
import { Host, type RunProgram } from './host.ts';
import { said, say } from './labels.ts';
import { type Looked, lookOnce, type NodePorts } from './node.ts';
import { listing, type Release } from '../release/release.ts';
import { stageRelease, sweepReleases } from '../release/stage.ts';
import { readRelease } from '../release/tree.ts';
import { putText } from './put-text.ts';
import { Turn } from './turn.ts';
import { type InstallerSettings, waitingConfig, wishOf } from './words.ts';

/** Where things are: in the image, in the pod's volumes, on the host. */
export interface InstallerPaths {
  /** The release tree of the image. */
  readonly release: string;
  /** Volume with config.toml, revision and perhaps cni.conflist. */
  readonly config: string;
  /** Volume with the revision that is to be retired; empty until `helm uninstall`. */
  readonly retire: string;
  /** File that is there while the node is as wished. */
  readonly ready: string;
  /** "/opt/podwright" of the host as this pod sees it. */
  readonly prefixSeen: string;
  /** Directory of CNI configurations as this pod sees it; "" when there is none to put. */
  readonly cniSeen: string;
  /** Directories that the chart's pods mount, as the host has them: the kubelet makes those that are not there. */
  readonly mountPoints: readonly string[];
}

/** What the loop is given. */
export interface InstallerParts {
  readonly api: ApiServer;
  readonly run: RunProgram;
  readonly paths: InstallerPaths;
  readonly settings: InstallerSettings;
  readonly lease: { readonly namespace: string; readonly name: string; readonly seconds: number };
  readonly nowMs: () => number;
  readonly log: (message: string) => void;
}

/** Between looks: while something goes on, and while all is quiet. */
const busyMs = 2000;
const quietMs = 10_000;
/** What is resumed is not tried again at once. */
const retryMs = 20_000;

const cniName = '99-podwright.conflist';

const textOrNull = (path: string): Promise<string | null> =>
  readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });

/** Brings the node to what is wished and keeps it there until the signal fires. */
export async function runInstaller(parts: InstallerParts, signal: AbortSignal): Promise<void> {
  const { paths, settings, log } = parts;
  const release = await readRelease(paths.release);
  const ports = portsOf(parts, release.version);
  const backoff = new Backoff();
  let told = '';
  let retired = false;
  while (!signal.aborted) {
    let pauseMs = quietMs;
    try {
      // once said, it holds for the life of this pod: the chart goes next, and takes the word with it
      retired ||= await isRetired(paths);
      const task = await taskOf({ paths, settings, release, retired });
      const trial = backoff.trial(attemptName(task.wish), parts.nowMs());
      const looked = await lookOnce(ports, { ...task, trial }, signal);
      backoff.looked(looked.next, trial, parts.nowMs());
      if (looked.status !== told) log(`${looked.next}: ${looked.status}`);
      told = looked.status;
      pauseMs = pauseAfter(looked);
    } catch (error) {
      if (signal.aborted) return;
      log(`could not go on: ${failureChain(error)}`);
      told = '';
    }
    await pause(pauseMs, signal);
  }
}

const pauseAfter = ({ next }: Looked): number => {
  if (next === 'resume') return retryMs;
  return next === 'begin' || next === 'wait' ? busyMs : quietMs;
};

async function isRetired({ config, retire }: InstallerPaths): Promise<boolean> {
  const [now, wanted] = await Promise.all([textOrNull(join(config, 'revision')), textOrNull(join(retire, 'revision'))]);
  return wanted !== null && wanted === now;
}

async function taskOf({
  paths,
  settings,
  release,
  retired,
}: {
  readonly paths: InstallerPaths;
  readonly settings: InstallerSettings;
  readonly release: Release;
  readonly retired: boolean;
}) {
  const config = await readFile(join(paths.config, 'config.toml'), 'utf8');
  const directory = join(settings.host.prefix, 'releases', release.version);
  const wish = wishOf(settings, { retire: retired, release: directory, digest: release.digest, config });
  return { wish, settings, version: release.version };
}

function portsOf({ api, run, paths, settings, lease, nowMs, log }: InstallerParts, version: string): NodePorts {
  const { node } = settings;
  const host = new Host(run, { ...settings.host, seen: paths.prefixSeen });
  const turn = new Turn(api, { ...lease, node }, nowMs);
  let looked = false;
  let holds = true; // perhaps, from before this pod was made
  return {
    look: (release, signal) => host.look(release, signal),
    anyRelease: (preferred) => host.release(preferred),
    begin: (release, words, signal) => {
      log(`podwright ${words.join(' ')}`);
      return host.begin(release, words, signal);
    },
    async stage(config) {
      // looked at whole once; after that only whether a change took it away
      const there = looked && (await textOrNull(join(paths.prefixSeen, 'releases', version, listing))) !== null;
      await stage({ paths, prefix: settings.host.prefix, log }, { config, copy: !there });
      looked = true;
    },
    async restage() {
      if (await host.isTorn()) await stageCopy({ paths, prefix: settings.host.prefix, log });
    },
    unstage: () => rm(join(paths.prefixSeen, waitingConfig), { force: true }),
    removeNetwork: async () => {
      if (paths.cniSeen !== '') await rm(join(paths.cniSeen, cniName), { force: true });
    },
    removeMountPoints: (signal) => host.removeEmpty(paths.mountPoints, log, signal),
    lastWords: () => host.lastWords(),
    said: (signal) => said(api, node, signal),
    say: async (before, now, signal) => void (await say(api, { node, before, now }, signal)),
    async takeTurn(signal) {
      holds = true;
      return turn.take(signal);
    },
    async giveTurnBack(signal) {
      if (holds) await turn.giveBack(signal);
      holds = false;
    },
    setReady: (ready) => (ready ? writeFile(paths.ready, '') : rm(paths.ready, { force: true })),
  };
}

interface StagePlace {
  readonly paths: InstallerPaths;
  readonly prefix: string;
  readonly log: InstallerParts['log'];
}

/** Puts the release on the host's disk unless it is there whole. */
async function stageCopy({ paths, prefix, log }: StagePlace): Promise<void> {
  const releases = join(paths.prefixSeen, 'releases');
  const called = join(prefix, 'releases');
  // before too: what was left may be what the disk is full of
  await sweepReleases(releases);
  const { copied, release } = await stageRelease(paths.release, { releases, called, torn: 'replaced' });
  await sweepReleases(releases);
  if (copied) log(`staged ${join(called, release.version)}`);
}

async function stage(
  place: StagePlace,
  { config, copy }: { readonly config: string; readonly copy: boolean },
): Promise<void> {
  const { paths, log } = place;
  if (copy) await stageCopy(place);
  await putText(join(paths.prefixSeen, waitingConfig), config);
  const network = paths.cniSeen === '' ? null : await textOrNull(join(paths.config, 'cni.conflist'));
  if (network !== null && (await putText(join(paths.cniSeen, cniName), network))) log(`put ${cniName}`);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const end = (): void => resolve();
  signal.addEventListener('abort', end, { once: true });
  await promise;
  signal.removeEventListener('abort', end);
  clearTimeout(timer);
}
