// Writes the release tree below a directory that is not there yet:
//   node hack/release/tree.ts DIR [--bindir PATH] [--arch ARCH]
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Entry, installedBindir, releaseEntries } from './contents.ts';
import { type ReleaseFacts, releaseFacts } from './facts.ts';

/** One line of `files` in RELEASE.json. */
type Listed =
  | { readonly path: string; readonly mode: string; readonly size: number; readonly sha256: string }
  | { readonly path: string; readonly link: string };

function put(root: string, entry: Entry): Listed {
  const { path, mode } = entry;
  const target = join(root, path);
  mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
  if ('link' in entry) {
    symlinkSync(entry.link, target);
    return { path, link: entry.link };
  }
  if ('copy' in entry) copyFileSync(entry.copy, target);
  else writeFileSync(target, entry.text);
  chmodSync(target, mode);
  const content = readFileSync(target);
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { path, mode: mode.toString(8).padStart(4, '0'), size: content.length, sha256 };
}

/** Gives everything below a directory, and itself, the time of the release. */
function stamp(directory: string, epoch: number): void {
  for (const one of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, one.name);
    if (one.isDirectory()) stamp(path, epoch);
    else lutimesSync(path, epoch, epoch);
  }
  chmodSync(directory, 0o755);
  utimesSync(directory, epoch, epoch);
}

function writeTree(root: string, facts: ReleaseFacts, bindir: string): void {
  if (existsSync(root) && readdirSync(root).length > 0) throw new Error(`${root} is there already and not empty`);
  mkdirSync(root, { recursive: true });
  try {
    const files = releaseEntries(facts, bindir).map((entry) => put(root, entry));
    const { version, commit, arch, epoch, records, monitorProtocol } = facts;
    const node = (JSON.parse(readFileSync('node_modules/node/package.json', 'utf8')) as { version: string }).version;
    const release = { name: 'podwright', version, commit, arch, epoch, node, records, monitorProtocol, files };
    writeFileSync(join(root, 'RELEASE.json'), `${JSON.stringify(release, null, 2)}\n`, { mode: 0o644 });
    stamp(root, epoch);
  } catch (error) {
    rmSync(root, { recursive: true, force: true });
    throw error;
  }
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { bindir: { type: 'string' }, arch: { type: 'string' } },
});
const [root, ...rest] = positionals;
if (root === undefined || rest.length > 0) {
  console.error('usage: node hack/release/tree.ts DIR [--bindir PATH] [--arch ARCH]');
  process.exit(2);
}
try {
  writeTree(root, releaseFacts(values.arch), values.bindir ?? installedBindir);
} catch (error) {
  console.error(`release: ${(error as Error).message}`);
  process.exit(1);
}
