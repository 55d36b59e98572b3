// Takes the files of podwright off a host on which nothing of it runs any more.
// Must not end anything: a transaction has done so.
import { existsSync, lstatSync } from 'node:fs';
import { basename, join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';
import {
  isMountPoint,
  namesIn,
  readLink,
  readText,
  refuseMounts,
  removeIfEmpty,
  removeTree,
  writeText,
} from './files.ts';
import type { Settings } from './journal.ts';
import { isLockName } from './lock.ts';
import { rootNames } from '../paths.ts';
import { listing } from '../release/release.ts';
import { staging } from '../release/stage.ts';
import type { RunProgram } from './programs.ts';
import { daemonPlaces } from './release-files.ts';

export interface Installed {
  readonly run: RunProgram;
  readonly settings: Settings;
  readonly journalDir: string;
  /** Images, records, configuration and the journal too. */
  readonly purge: boolean;
  /** Removes one tree; `removeTree` when it is not given. */
  readonly take?: (path: string) => Promise<void>;
}

/** Removes releases, and with `purge` everything; answers what was removed. Can be repeated. */
export async function removeInstalled({
  run,
  settings,
  journalDir,
  purge,
  take = removeTree,
}: Installed): Promise<readonly string[]> {
  const { prefix, daemon } = settings;
  if (readLink(join(prefix, 'current')) !== null)
    throw failedPrecondition(
      `${join(prefix, 'current')} is there: podwright runs this node's pods, or a change was interrupted`,
    );
  const root = purge ? await rootToPurge(run, settings) : null;
  const removed: string[] = [];
  const remove = async (path: string): Promise<void> => {
    if (!existsSync(path)) return;
    await take(path);
    removed.push(path);
  };
  // first what only a release tells, and a release that is there can be asked to go on; the journal is last
  if (root !== null) {
    // a disk of its own stays where it is mounted, empty
    const ownMount = isMountPoint(root);
    const kept = ownMount ? ['lock', ofFileSystems] : ['lock'];
    if (existsSync(root)) await takeAllBut(kept, root, { take, ownMount });
    await remove(ownMount ? join(root, 'lock') : root);
    await removeConfiguration(settings, remove);
  }
  for (const release of releasesIn(prefix)) {
    await takeAllBut([listing], release, { take });
    await remove(release);
  }
  removeIfEmpty(join(prefix, 'releases'));
  removeIfEmpty(prefix);
  if (daemon.by === 'self' && existsSync(daemon.log)) {
    writeText(daemon.log, null);
    removed.push(daemon.log);
  }
  if (root === null) return removed;
  for (const name of namesIn(journalDir).filter(isOfJournal)) await remove(join(journalDir, name));
  removeIfEmpty(journalDir);
  return removed;
}

async function removeConfiguration(settings: Settings, remove: (path: string) => Promise<void>): Promise<void> {
  const { prefix, configDir } = settings;
  const defaults = releasesIn(prefix).map((release) => readText(join(release, 'etc/podwright/config.toml')));
  if (basename(configDir).includes('podwright')) await remove(configDir);
  else for (const file of placedIn(settings, defaults)) await remove(file);
  removeIfEmpty(join(configDir, 'conf.d'));
  removeIfEmpty(configDir);
}

/** Takes all of a directory but names by which one that repeats what was cut short knows it again, and that are not ours. */
async function takeAllBut(
  kept: readonly string[],
  dir: string,
  { take, ownMount = false }: { readonly take: (path: string) => Promise<void>; readonly ownMount?: boolean },
): Promise<void> {
  refuseMounts(dir, { onItself: ownMount });
  for (const name of namesIn(dir)) if (!kept.includes(name)) await take(join(dir, name));
}

/** Directories of releases, copies of one that were not finished, and what has nothing in it any more; no other's. */
const releasesIn = (prefix: string): readonly string[] =>
  namesIn(join(prefix, 'releases'))
    .map((name) => join(prefix, 'releases', name))
    .filter((dir) => basename(dir).startsWith(staging) || existsSync(join(dir, listing)) || isEmpty(dir));

const isEmpty = (path: string): boolean => lstatSync(path).isDirectory() && namesIn(path).length === 0;

/** The journal, the log of --detach, locks, and what interrupted writes have left. */
const isOfJournal = (name: string): boolean =>
  ['journal.json', 'log', '.journal.json.new', '.journal.json.old'].includes(name) || isLockName(name);

/** What was put into a directory of configuration that is not named after podwright: another's may lie there too. */
function placedIn({ configDir, configFile }: Settings, defaults: readonly (string | null)[]): readonly string[] {
  const main = join(configDir, 'config.toml');
  const isDefault = existsSync(main) && defaults.includes(readText(main));
  return [...(isDefault ? [main] : []), ...(configFile === main ? [] : [configFile])];
}

/** The daemon's root, which a purge takes away whole; failed-precondition when it is not podwright's alone. */
export async function rootToPurge(run: RunProgram, settings: Settings): Promise<string> {
  const root = await rootOf(run, settings);
  const names = namesIn(root);
  if (names.every((name) => name === ofFileSystems)) return root;
  const refused = (why: string): Error =>
    failedPrecondition(`purge ${root}: ${why}; uninstall without --purge, or see to it by hand`);
  if (!names.includes('lock')) throw refused('podwrightd has never worked in it, for it has no file `lock`');
  const others = names.filter((name) => !ofRoot.test(name));
  if (others.length > 0) throw refused(`it has what is not podwright's: ${others.slice(0, 5).join(', ')}`);
  return root;
}

/** What mkfs puts into the top directory of a file system. */
const ofFileSystems = 'lost+found';

/** What the daemon puts there, the directory of a rehearsal that was cut short, and what mkfs puts. */
const ofRoot = new RegExp(`^(?:${rootNames.join('|')}|user-namespaces-probe|lost\\+found)$`);

/** Where the daemon kept what survives a reboot, by what a release makes of the configuration. */
async function rootOf(run: RunProgram, { prefix, configDir }: Settings): Promise<string> {
  const config = existsSync(join(configDir, 'config.toml')) ? join(configDir, 'config.toml') : null;
  const releases = namesIn(join(prefix, 'releases')).map((name) => join(prefix, 'releases', name));
  const dir = releases.findLast((release) => existsSync(join(release, 'bin/podwrightd')));
  if (dir !== undefined) return (await daemonPlaces(run, { dir, config }, AbortSignal.timeout(60_000))).root;
  const [head = ''] = (config === null ? '' : (readText(config) ?? '')).split(/^\[/m);
  return /^root = "(.+)"$/m.exec(head)?.[1] ?? '/var/lib/podwright';
}
