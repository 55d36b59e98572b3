// A release on a node: put below the prefix, and what its own program makes of a configuration.
import { join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';
import { releaseDir, stageRelease } from '../release/stage.ts';
import { readRelease } from '../release/tree.ts';
import type { RunProgram } from './programs.ts';

/** Puts a release below the prefix, unless it is there; answers its directory. */
export async function placeRelease(dir: string, prefix: string): Promise<string> {
  const to = releaseDir(prefix, (await readRelease(dir)).version);
  const releases = join(prefix, 'releases');
  // one that is torn may be in use: the preflight names what is wrong with it
  if (dir !== to) await stageRelease(dir, { releases, called: releases, torn: 'left' });
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
