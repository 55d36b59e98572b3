// What lies on a host besides a release: the link to the present one, the unit, links to the programs, the configuration.
// Must not start or end anything.
import { join } from 'node:path';
import { existsSync } from 'node:fs';
import { readLink, readText, writeLink, writeText } from './files.ts';
import { configFileOf, type Journal, type Settings, type Side } from './journal.ts';
import type { RunProgram } from './programs.ts';

const programs = ['podwright', 'podwrightd'];

/** Puts all of it in place for a side: of podwright what its release has, of another side nothing. */
export async function place(
  run: RunProgram,
  journal: Journal,
  { side, signal }: { readonly side: Side; readonly signal: AbortSignal },
): Promise<void> {
  const { settings } = journal;
  const { prefix, daemon } = settings;
  const isPodwright = side.type === 'podwright';
  placeConfig(journal, side);
  if (isPodwright) writeLink(join(prefix, 'current'), join('releases', side.version));
  placeLinks(settings, isPodwright);
  const linkDir = journal.replaced?.linkDir ?? null;
  if (linkDir !== settings.linkDir) placeLinks({ prefix, linkDir }, false);
  if (daemon.by === 'systemd') {
    const unit = isPodwright ? readText(join(side.release, 'lib/systemd/system', 'podwrightd.service')) : null;
    const file = join(daemon.unitDir, daemon.unit);
    if (readText(file) !== unit) {
      writeText(file, unit);
      await run(['systemctl', 'daemon-reload'], { signal });
    }
  }
  if (!isPodwright) writeLink(join(prefix, 'current'), null);
}

/** A side of podwright brings its text; on the way back to another side the file is as it was before. */
function placeConfig(journal: Journal, side: Side): void {
  const { settings, direction, configBefore, to } = journal;
  const file = configFileOf(journal);
  if (side.type === 'podwright') {
    if (side.config !== null) writeText(file, side.config);
    else if (direction === 'back' && configBefore === null && to.type === 'podwright' && to.config !== null)
      writeText(file, null); // the side before had no such file
    const main = join(settings.configDir, 'config.toml');
    if (!existsSync(main)) writeText(main, readText(join(side.release, 'etc/podwright/config.toml')) ?? '');
  } else if (direction === 'back') writeText(file, configBefore);
}

/** Links such as /usr/local/bin/podwright; a program of the same name that is no link of ours stays. */
function placeLinks({ linkDir, prefix }: Pick<Settings, 'linkDir' | 'prefix'>, wanted: boolean): void {
  if (linkDir === null) return;
  for (const name of programs) {
    const path = join(linkDir, name);
    const target = join(prefix, 'current/bin', name);
    const there = readLink(path);
    if (there === target ? wanted : existsSync(path) || there !== null) continue;
    if (wanted || there === target) writeLink(path, wanted ? target : null);
  }
}
