// What others wrote and a release contains: npm packages, crates, Node. Read from the lock files and what is installed.
import { execFileSync, type ExecFileSyncOptionsWithStringEncoding } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** One piece of software in a release. */
export interface Component {
  readonly ecosystem: 'npm' | 'cargo' | 'node';
  readonly name: string;
  readonly version: string;
  /** SPDX expression, "" when its author gave none. */
  readonly licence: string;
  /** Algorithm by CycloneDX's name, and hex digest of what its registry serves; null for Node. */
  readonly hash: { readonly alg: 'SHA-512' | 'SHA-256'; readonly content: string } | null;
  /** Directory with its licence files. */
  readonly directory: string;
  /** `name@version` of the components it needs itself. */
  readonly needs: readonly string[];
}

interface LockedPackage {
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const byName = (a: { name: string; version: string }, b: { name: string; version: string }): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : a.version < b.version ? -1 : Number(a.version > b.version);

/** npm packages that are not for development alone, from package-lock.json, in the order of their names. */
export function npmComponents(lockFile = 'package-lock.json'): readonly Component[] {
  const { packages } = JSON.parse(readFileSync(lockFile, 'utf8')) as { packages: Record<string, LockedPackage> };
  const shipped = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true);
  // a package finds another in the nearest node_modules above it
  const resolve = (from: string, name: string): string | null => {
    for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
      const path = at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`;
      if (packages[path] !== undefined) return path;
      if (at === '') return null;
    }
  };
  const nameOf = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const components = shipped.map(([path, locked]): Component => {
    const wanted = Object.keys({ ...locked.dependencies, ...locked.optionalDependencies });
    const found = wanted.map((name) => resolve(path, name)).filter((one) => one !== null);
    const [, algorithm, digest = ''] = /^(sha512)-(.+)$/.exec(locked.integrity ?? '') ?? [];
    return {
      ecosystem: 'npm',
      name: nameOf(path),
      version: locked.version,
      licence: locked.license ?? '',
      hash: algorithm === undefined ? null : { alg: 'SHA-512', content: Buffer.from(digest, 'base64').toString('hex') },
      directory: path,
      needs: found.map((one) => `${nameOf(one)}@${packages[one]?.version}`).sort(),
    };
  });
  return unique(components);
}

/** The same version may be installed in several places. */
function unique(components: readonly Component[]): readonly Component[] {
  const kept = new Map(components.map((one) => [`${one.name}@${one.version}`, one]));
  return [...kept.values()].sort(byName);
}

interface CargoMetadata {
  readonly packages: readonly {
    readonly id: string;
    readonly name: string;
    readonly version: string;
    readonly license: string | null;
    readonly source: string | null;
    readonly manifest_path: string;
  }[];
  readonly resolve: {
    readonly nodes: readonly {
      readonly id: string;
      readonly deps: readonly {
        readonly pkg: string;
        readonly dep_kinds: readonly { readonly kind: string | null }[];
      }[];
    }[];
  };
}

/** Crates that are linked into the addon or the monitor: what only builds or tests need is left out. */
export function cargoComponents(rustArch: string): readonly Component[] {
  const targets = ['gnu', 'musl'].map((libc) => `--filter-platform=${rustArch}-unknown-linux-${libc}`);
  const found = targets.flatMap((target) => linked(cargoMetadata(target)));
  const sums = cargoChecksums(readFileSync('native/Cargo.lock', 'utf8'));
  return unique(
    found.map((one) => {
      const content = sums.get(`${one.name}@${one.version}`);
      return content === undefined ? one : { ...one, hash: { alg: 'SHA-256', content } };
    }),
  );
}

/** A build may have fetched less than all crates are: what is missing is fetched then. */
function cargoMetadata(target: string): CargoMetadata {
  const args = ['metadata', '--format-version=1', '--locked', target];
  const options: ExecFileSyncOptionsWithStringEncoding = {
    cwd: 'native',
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'pipe'],
  };
  let text: string;
  try {
    text = execFileSync('cargo', [...args, '--offline'], options);
  } catch {
    text = execFileSync('cargo', args, options);
  }
  return JSON.parse(text) as CargoMetadata;
}

/** `name@version` to the checksum in a Cargo.lock. */
export function cargoChecksums(lock: string): ReadonlyMap<string, string> {
  const entry = /^name = "(.+)"\nversion = "(.+)"\nsource = .+\nchecksum = "([0-9a-f]{64})"$/gm;
  return new Map([...lock.matchAll(entry)].map(([, name, version, sum]) => [`${name}@${version}`, sum ?? '']));
}

/** Walks from the two programs along what they link. */
function linked({ packages, resolve }: CargoMetadata): readonly Component[] {
  const about = new Map(packages.map((one) => [one.id, one]));
  const needs = new Map(
    resolve.nodes.map(({ id, deps }) => [
      id,
      deps.filter(({ dep_kinds }) => dep_kinds.some(({ kind }) => kind === null)).map(({ pkg }) => pkg),
    ]),
  );
  const roots = packages.filter(({ name }) => name === 'podwright-addon' || name === 'podwright-monitor');
  const seen = new Set(roots.map(({ id }) => id));
  for (const id of seen) for (const next of needs.get(id) ?? []) seen.add(next);
  const label = (id: string): string => `${about.get(id)?.name}@${about.get(id)?.version}`;
  return [...seen].flatMap((id): Component[] => {
    const one = about.get(id);
    if (one === undefined || one.source === null) return []; // our own
    return [
      {
        ecosystem: 'cargo',
        name: one.name,
        version: one.version,
        licence: (one.license ?? '').replaceAll('/', ' OR '),
        hash: null,
        directory: dirname(one.manifest_path),
        needs: (needs.get(id) ?? []).map(label).sort(),
      },
    ];
  });
}

/** The Node runtime. */
export function nodeComponent(): Component {
  const { version } = JSON.parse(readFileSync('node_modules/node/package.json', 'utf8')) as { version: string };
  const directory = 'hack/release/licences/node';
  return { ecosystem: 'node', name: 'node', version, licence: 'MIT', hash: null, directory, needs: [] };
}

const licenceFile = /^(licen[cs]e|copying|notice|unlicense|copyright)/i;

/** The texts of a component's licence files, in the order of their names. */
export function licenceTexts({ directory }: Component): readonly { readonly file: string; readonly text: string }[] {
  if (!existsSync(directory)) return [];
  const files = readdirSync(directory, { withFileTypes: true }).filter(
    (one) => one.isFile() && licenceFile.test(one.name),
  );
  return files
    .map(({ name }) => name)
    .sort()
    .map((file) => ({ file, text: readFileSync(join(directory, file), 'utf8').replaceAll('\r\n', '\n') }));
}

/** One text with all licences of all components; equal texts are there once. */
export function licencePage(components: readonly Component[]): string {
  const texts = new Map<string, number>();
  const list = components.map((one) => {
    const refs = licenceTexts(one).map(({ text }) => {
      const body = text.trim();
      if (!texts.has(body)) texts.set(body, texts.size + 1);
      return `[${texts.get(body)}]`;
    });
    return `${one.ecosystem} ${one.name} ${one.version}: ${one.licence || 'see text'} ${refs.join(' ')}`.trimEnd();
  });
  const bodies = [...texts].map(([body, number]) => `${'='.repeat(78)}\n[${number}]\n\n${body}\n`);
  return `Software of others in this release, its licences, and the numbers of their texts below.\n\n${list.join('\n')}\n\n${bodies.join('\n')}`;
}
