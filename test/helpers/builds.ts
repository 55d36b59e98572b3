// Builds of other versions for tests: the one under test, whose programs say that they are of another release.
import { chmodSync, cpSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { version } from '../../src/config/version.ts';
import { dist } from './daemon.ts';

/** How package.json's version is written in a bundle; the CRI has a version of the same form, which stays. */
export const named = (number: string): string => `name:"podwright",version:"${number}"`;

/** Versions of the releases after and before this one, written with as many characters: they replace it in programs. */
export const [laterVersion, earlierVersion] = [1, 9].map((step) =>
  version.replace(/^(\d+\.\d*)(\d)\./, (_, head: string, digit: string) => `${head}${(Number(digit) + step) % 10}.`),
) as [string, string];

/** Copies dist/ into a directory as a build of another version: daemon, tool and monitor say so. */
export function otherBuild(to: string, other: string): void {
  if (other.length !== version.length) throw new Error(`${other} and ${version} are not of the same length`);
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(dist).filter((each) => !each.startsWith('.') && !each.endsWith('.tar'))) {
    const path = join(to, name);
    if (name.endsWith('.main.js'))
      writeFileSync(path, readFileSync(join(dist, name), 'utf8').replaceAll(named(version), named(other)));
    else if (name === 'podwright-monitor') {
      const program = readFileSync(join(dist, name), 'latin1').replaceAll(version, other);
      writeFileSync(path, program, 'latin1');
      chmodSync(path, 0o755);
    } else cpSync(join(dist, name), path);
  }
  symlinkSync(process.execPath, join(to, 'node'));
}
