// Release trees for tests: the one of dist/, and others that differ in nothing but their version.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { version } from '../../src/config/version.ts';
import { named } from './builds.ts';

const run = promisify(execFile);
const script = join(import.meta.dirname, '../../hack/release.sh');

interface Listed {
  readonly path: string;
  sha256?: string;
  size?: number;
}
interface ReleaseFile {
  version: string;
  readonly files: Listed[];
}

/** Makes the release tree of this build in a directory that is not there yet. */
export async function releaseTree(dir: string): Promise<void> {
  await run(script, ['tree', dir], { timeout: 300_000 });
}

/** The next release: the same programs, which say that they are it. */
export const nextVersion = version.replace(
  /^(\d+)\.(\d+)/,
  (_, major: string, minor: string) => `${major}.${Number(minor) + 1}`,
);

/** Copies a release tree and changes its version, and what else is wished of RELEASE.json. */
export function otherRelease(
  from: string,
  to: string,
  change: { readonly version: string; readonly [key: string]: unknown },
): void {
  cpSync(from, to, { recursive: true, verbatimSymlinks: true });
  const file = join(to, 'RELEASE.json');
  const release = JSON.parse(readFileSync(file, 'utf8')) as ReleaseFile;
  for (const one of release.files.filter(({ path }) => path.endsWith('.main.js'))) {
    const text = readFileSync(join(to, one.path), 'utf8').replaceAll(named(version), named(change.version));
    writeFileSync(join(to, one.path), text);
    one.sha256 = createHash('sha256').update(text).digest('hex');
    one.size = Buffer.byteLength(text);
  }
  writeFileSync(file, JSON.stringify({ ...release, ...change }));
}
