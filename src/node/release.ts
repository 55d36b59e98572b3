// PURE
// What a release says of itself (RELEASE.json), and from which other one it can take over live pods (ruling 11).
import { invalidArgument } from '../lib/failure.ts';

/** Versions of a format that are understood, from the oldest to the newest. */
export interface Range {
  readonly oldest: number;
  readonly newest: number;
}

/** A release, as its RELEASE.json tells. */
export interface Release {
  readonly version: string;
  /** "amd64", "arm64" */
  readonly arch: string;
  readonly records: Range & { readonly writes: number };
  readonly monitorProtocol: Range;
  /** Path below the release to the SHA-256 of its content, in hex. */
  readonly files: ReadonlyMap<string, string>;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads the text of a RELEASE.json; `place` is for the message of the invalid-argument Failure. */
export function parseRelease(text: string, place: string): Release {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalidArgument(`${place} is not JSON`, error);
  }
  const wrong = (what: string): never => {
    throw invalidArgument(`${place} has no ${what}: it is no release of podwright`);
  };
  if (!isObject(value)) return wrong('object');
  const { version, arch } = value;
  if (typeof version !== 'string' || versionNumbers(version) === null) return wrong('version');
  if (typeof arch !== 'string') return wrong('arch');
  const formats = isObject(value['formats']) ? value['formats'] : value;
  const range = (name: string): Range & { readonly writes: number } => {
    const one = formats[name];
    if (!isObject(one)) return wrong(`formats.${name}`);
    const { oldest, newest, writes = newest } = one;
    if (typeof oldest !== 'number' || typeof newest !== 'number' || typeof writes !== 'number')
      return wrong(`formats.${name}.oldest and newest`);
    return { oldest, newest, writes };
  };
  return {
    version,
    arch,
    records: range('records'),
    monitorProtocol: range('monitorProtocol'),
    files: filesOf(value['files'] ?? null),
  };
}

/** Files are a list of `{path, sha256}` or an object of path to sha256. */
function filesOf(files: unknown): ReadonlyMap<string, string> {
  const entries: [string, string][] = [];
  const add = (path: unknown, sha256: unknown): void => {
    if (typeof path === 'string' && typeof sha256 === 'string') entries.push([path, sha256]);
  };
  if (Array.isArray(files)) for (const one of files as unknown[]) if (isObject(one)) add(one['path'], one['sha256']);
  if (isObject(files)) for (const [path, one] of Object.entries(files)) add(path, isObject(one) ? one['sha256'] : one);
  return new Map(entries);
}

/** Major and minor number; null for what is no semantic version. */
function versionNumbers(version: string): readonly [major: number, minor: number] | null {
  const [, major, minor] = /^(\d+)\.(\d+)\.\d+(?:[-+.]|$)/.exec(version) ?? [];
  return major === undefined || minor === undefined ? null : [Number(major), Number(minor)];
}

/** Whether no release lies between two versions; those of one minor number are one release. */
function adjacent(one: string, other: string): boolean {
  const [low, high] = [versionNumbers(one), versionNumbers(other)].toSorted((a, b) =>
    a === null || b === null ? 0 : a[0] - b[0] || a[1] - b[1],
  );
  if (!low || !high) return false;
  if (low[0] === high[0]) return high[1] - low[1] <= 1;
  return high[0] - low[0] === 1 && high[1] === 0;
}

const within = (value: number, { oldest, newest }: Range): boolean => value >= oldest && value <= newest;

/** Why `to` cannot take over the records and the live pods of `from`; empty when it can. */
export function takeoverProblems(from: Release, to: Release): readonly string[] {
  const problems: string[] = [];
  if (!adjacent(from.version, to.version))
    problems.push(
      `podwright ${to.version} takes over from the releases next to it, and ${from.version} is not one of them: go by the releases between, or uninstall first`,
    );
  if (!within(from.records.writes, to.records))
    problems.push(
      `podwright ${to.version} reads records of format ${to.records.oldest} to ${to.records.newest}, and ${from.version} writes ${from.records.writes}`,
    );
  if (!within(from.monitorProtocol.newest, to.monitorProtocol))
    problems.push(
      `podwright ${to.version} speaks ${to.monitorProtocol.oldest} to ${to.monitorProtocol.newest} with monitors, and those of ${from.version} speak ${from.monitorProtocol.newest}`,
    );
  return problems;
}
