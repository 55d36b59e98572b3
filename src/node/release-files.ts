// A release on disk: what it says of itself, whether it is whole, and what its own program makes of a configuration.
import { join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';
import { copyTree, digestOf, readText } from './files.ts';
import type { RunProgram } from './programs.ts';
import { parseRelease, type Release } from './release.ts';

/** Reads RELEASE.json of a directory. */
export function readRelease(dir: string): Release {
  const file = join(dir, 'RELEASE.json');
  const text = readText(file);
  if (text === null) throw failedPrecondition(`${dir} is no release of podwright: there is no RELEASE.json`);
  return parseRelease(text, file);
}

/** Files of a release that are missing or not what RELEASE.json says; at most five are named. */
export async function damageOf(dir: string, { files }: Release): Promise<readonly string[]> {
  const bad: string[] = [];
  for (const [path, sha256] of files) {
    const found = await digestOf(join(dir, path));
    if (found !== sha256) bad.push(found === null ? `${path} is missing` : `${path} is damaged`);
    if (bad.length === 5) break;
  }
  return bad;
}

/** Where a release lies on a host. */
export const releaseDir = (prefix: string, version: string): string => join(prefix, 'releases', version);

/**
 * Puts a release below the prefix, unless it is there; answers its directory. A directory that is not whole is
 * a failed-precondition Failure: it may be in use.
 */
export async function stageRelease(dir: string, prefix: string): Promise<string> {
  const release = readRelease(dir);
  const to = releaseDir(prefix, release.version);
  if (dir === to) return to;
  const there = readText(join(to, 'RELEASE.json'));
  if (there === null) await copyTree(dir, to);
  else if (there !== readText(join(dir, 'RELEASE.json')))
    throw failedPrecondition(`${to} is another build of ${release.version}: give each build a version of its own`);
  return to;
}

/** What a configuration comes to, by the program of a release. */
export interface DaemonPlaces {
  readonly root: string;
  readonly state: string;
  readonly socket: string;
  /** "host:port", "" for none. */
  readonly metricsAddress: string;
}

/** Has podwrightd of a release read a configuration, and answers what is of use of it; fails with what it says is wrong. */
export async function daemonPlaces(
  run: RunProgram,
  { dir, config }: { readonly dir: string; readonly config: string | null },
  signal: AbortSignal,
): Promise<DaemonPlaces> {
  const flags = config === null ? [] : ['--config', config];
  const text = await run([join(dir, 'bin/podwrightd'), ...flags, '--print-config'], { signal });
  const sections = text.split(/^\[/m);
  const value = (section: string | undefined, key: string): string =>
    new RegExp(`^${key} = "(.*)"$`, 'm').exec(section ?? '')?.[1] ?? '';
  const [head] = sections;
  const metrics = sections.find((one) => one.startsWith('metrics]'));
  const places = {
    root: value(head, 'root'),
    state: value(head, 'state'),
    socket: value(head, 'socket'),
    metricsAddress: value(metrics, 'address'),
  };
  if (places.root === '' || places.state === '' || places.socket === '')
    throw failedPrecondition(`podwrightd of ${dir} does not say where it keeps its state`);
  return places;
}
