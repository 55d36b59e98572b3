// Whether a transaction can begin: looks at everything that it will need, changes nothing, and tells all that is wrong at once.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { failedPrecondition, failureChain } from '../lib/failure.ts';
import { takeoverProblems } from '../release/release.ts';
import { readRelease, treeFaults } from '../release/tree.ts';
import { freeBytes, namesIn, readText, writeText } from './files.ts';
import type { Found, Journal, Settings, Side } from './journal.ts';
import { imageEndpoints, type KubeletHost } from './kubelet-images.ts';
import { readEndpoint, withEndpoint } from './kubelet-pointer.ts';
import type { RunProgram } from './programs.ts';
import { type DaemonPlaces, daemonPlaces } from './release-files.ts';

/** What the preflight asks of the outside beyond files. */
export interface PreflightPorts {
  readonly run: RunProgram;
  /** Name and version of the runtime at an endpoint; rejects when none answers. */
  readonly version: (endpoint: string) => Promise<{ readonly name: string; readonly version: string }>;
  /** Where settings of the kubelet are looked for. */
  readonly kubelet: KubeletHost;
  /** null without Kubernetes. */
  readonly isCordoned: ((signal: AbortSignal) => Promise<boolean>) | null;
}

type Podwright = Extract<Side, { readonly type: 'podwright' }>;

/** Answers what it found; everything that is wrong is in one failed-precondition Failure. */
export async function preflight(ports: PreflightPorts, journal: Journal, signal: AbortSignal): Promise<Found> {
  const { from, to, settings } = journal;
  const problems: string[] = [];
  const check = async <T>(what: () => Promise<T> | T): Promise<T | null> => {
    try {
      return await what();
    } catch (error) {
      signal.throwIfAborted();
      problems.push(failureChain(error));
      return null;
    }
  };
  const configBefore = readText(settings.configFile);
  const seen = await check(() => presentFrom(ports, journal, configBefore));
  if (to.type === 'podwright') await check(() => releaseProblems(ports, journal, { to, signal, problems }));
  if (to.type === 'runtime') await check(() => ports.version(to.endpoint));
  const { isCordoned } = ports;
  const wasCordoned = isCordoned === null ? false : await check(() => isCordoned(signal));
  const { kubelet } = settings;
  if (kubelet !== null && (from.type === 'runtime' || to.type === 'runtime'))
    // whether the file has a place for it
    await check(() => withEndpoint(kubelet, readText(kubelet.file), 'unix:///run/podwright/podwright.sock'));
  if (kubelet !== null && from.type === 'runtime' && to.type === 'podwright') {
    const images = (await check(() => imageEndpoints(kubelet, ports.kubelet))) ?? [];
    for (const { place, endpoint } of images.filter((one) => one.endpoint !== to.endpoint))
      problems.push(
        `${place} has the kubelet pull its images at ${endpoint}: take imageServiceEndpoint, or --image-service-endpoint, out of it`,
      );
  }
  if (problems.length > 0) throw failedPrecondition(problems.join('; '));
  return { wasCordoned: wasCordoned ?? false, configBefore, from: seen ?? from };
}

/** The side that the node is on, as it is now: what the way back must bring again. */
async function presentFrom(
  { version }: PreflightPorts,
  { from, settings }: Journal,
  config: string | null,
): Promise<Side> {
  if (from.type === 'none') return from;
  if (from.type === 'podwright') return { ...from, config };
  const { name, version: number } = await version(from.endpoint);
  if (name === 'podwright') throw failedPrecondition(`the runtime at ${from.endpoint} is podwright already`);
  if (settings.kubelet === null) return { ...from, name, version: number, pointer: null };
  const { form, file } = settings.kubelet;
  const pointerText = readText(file);
  return { ...from, name, version: number, pointer: readEndpoint(form, pointerText), pointerText };
}

interface ReleaseCheck {
  readonly to: Podwright;
  readonly signal: AbortSignal;
  readonly problems: string[];
}

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** The release is whole, for this machine, next to the one before, and takes its configuration; there is room for it. */
async function releaseProblems(
  { run, version }: PreflightPorts,
  { from, settings }: Journal,
  { to, signal, problems }: ReleaseCheck,
): Promise<void> {
  const release = await readRelease(to.release);
  const arch = architectures[process.arch] ?? process.arch;
  if (release.arch !== arch) problems.push(`${to.release} is for ${release.arch}, and this machine is ${arch}`);
  const damage = await treeFaults(to.release, release, 5);
  if (damage.length > 0) {
    problems.push(`${to.release} is not whole: ${damage.join(', ')}`);
    return;
  }
  if (from.type === 'podwright' && from.release !== to.release)
    problems.push(...takeoverProblems(await readRelease(from.release), release));
  const places = await placesWith(run, { settings, to }, signal);
  if (freeBytes(places.root) < settings.freeBytes)
    problems.push(`less than ${Math.round(settings.freeBytes / 2 ** 20)} MiB are free where ${places.root} lies`);
  if (from.type === 'podwright') {
    problems.push(...movedPlaces(await presentPlaces(run, { settings, from }, signal), places));
    return;
  }
  const { socket, metricsAddress } = places;
  const other = await version(`unix://${socket}`).catch(() => null);
  if (other !== null) problems.push(`${other.name} ${other.version} serves at ${socket} already`);
  else if (metricsAddress !== '' && !(await isFree(metricsAddress)))
    problems.push(`the address of metrics, ${metricsAddress}, is in use (metrics.address)`);
}

/** What a podwright that is in place has: by its release and the files as they are; its socket by what the kubelet was told. */
async function presentPlaces(
  run: RunProgram,
  { settings: { configDir }, from }: { readonly settings: Settings; readonly from: Podwright },
  signal: AbortSignal,
): Promise<DaemonPlaces> {
  const file = join(configDir, 'config.toml');
  const config = readText(file) === null ? null : file;
  const places = await daemonPlaces(run, { dir: from.release, config }, signal);
  return { ...places, socket: from.endpoint.replace(/^unix:\/\//, '') };
}

/** Live pods, their records and the kubelet stay where they are through an upgrade: so must what they lie in. */
export const movedPlaces = (present: DaemonPlaces, next: DaemonPlaces): readonly string[] =>
  (['root', 'state', 'socket'] as const)
    .filter((key) => present[key] !== next[key])
    .map(
      (key) =>
        `${key} would move from ${present[key]} to ${next[key]} under live pods: revert or uninstall first, or leave it`,
    );

/** What the configuration will come to, with the settings that the side brings in their place. */
export async function placesWith(
  run: RunProgram,
  { settings: { configDir, configFile }, to }: { readonly settings: Settings; readonly to: Podwright },
  signal: AbortSignal,
): Promise<DaemonPlaces> {
  const dir = mkdtempSync(join(tmpdir(), 'podwright-config-'));
  try {
    mkdirSync(join(dir, 'conf.d'));
    const names = ['config.toml', ...namesIn(join(configDir, 'conf.d')).map((name) => join('conf.d', name))];
    for (const name of names) writeText(join(dir, name), readText(join(configDir, name)) ?? '');
    if (to.config !== null) writeText(join(dir, relative(configDir, configFile)), to.config);
    return await daemonPlaces(run, { dir: to.release, config: join(dir, 'config.toml') }, signal);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Whether "host:port" can be listened on. */
function isFree(address: string): Promise<boolean> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen({ host, port: Number(address.slice(at + 1)) }, () => server.close(() => resolve(true)));
  return promise;
}
