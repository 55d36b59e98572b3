// PURE
// What a release says of itself (RELEASE.json), and from which other one it can take over live pods (ruling 11).
// This room reads releases and brings them to a disk. Must not start anything of them, or know who wants them there.
import { createHash } from 'node:crypto';
import { invalidArgument } from '../lib/failure.ts';

/** Versions of a format that are understood, from the oldest to the newest. */
export interface Range {
  readonly oldest: number;
  readonly newest: number;
}

/** One file of a release: with its content, or a link. */
export type ReleaseFile =
  | { readonly path: string; readonly mode: number; readonly sha256: string }
  | { readonly path: string; readonly link: string };

/** A release, as its RELEASE.json tells. */
export interface Release {
  readonly version: string;
  /** "amd64", "arm64" */
  readonly arch: string;
  readonly records: Range & { readonly writes: number };
  readonly monitorProtocol: Range;
  /** Paths below the release, which do not lead out of it. */
  readonly files: readonly ReleaseFile[];
  /** sha256 of RELEASE.json, in hex: two builds of one version differ in it. */
  readonly digest: string;
}

/** The file that lists a release. */
export const listing = 'RELEASE.json';

type Wrong = (what: string, cause?: unknown) => never;
type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a RELEASE.json; `place` is for the message of the invalid-argument Failure. */
export function parseRelease(bytes: Uint8Array, place: string): Release {
  const wrong: Wrong = (what, cause) => {
    throw invalidArgument(`${place} ${what}: it is no release of podwright`, cause);
  };
  const document = parseJson(bytes, wrong);
  const { version, arch, records, monitorProtocol, files } = document;
  if (typeof version !== 'string' || !isVersion(version)) return wrong('has no version');
  if (typeof arch !== 'string') return wrong('has no arch');
  return {
    version,
    arch,
    records: range('records', records, wrong),
    monitorProtocol: range('monitorProtocol', monitorProtocol, wrong),
    files: filesOf(files, wrong),
    digest: createHash('sha256').update(bytes).digest('hex'),
  };
}

function parseJson(bytes: Uint8Array, wrong: Wrong): Json {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return isObject(value) ? value : wrong('has no object');
  } catch (error) {
    return error instanceof SyntaxError ? wrong('is not JSON', error) : rethrow(error);
  }
}

const rethrow = (error: unknown): never => {
  throw error;
};

function range(name: string, value: unknown, wrong: Wrong): Range & { readonly writes: number } {
  if (!isObject(value)) return wrong(`has no ${name}`);
  const { oldest, newest, writes = newest } = value;
  if (typeof oldest !== 'number' || typeof newest !== 'number' || typeof writes !== 'number')
    return wrong(`has no ${name}.oldest and newest`);
  return { oldest, newest, writes };
}

function filesOf(files: unknown, wrong: Wrong): readonly ReleaseFile[] {
  if (!Array.isArray(files) || files.length === 0) return wrong('lists no files');
  return files.map((one: unknown): ReleaseFile => {
    const { path, mode, sha256, link } = isObject(one) ? one : {};
    if (typeof path !== 'string' || !isInside(path))
      return wrong(`lists ${JSON.stringify(path)}, which is no path in it`);
    if (typeof link === 'string') return { path, link };
    if (typeof mode !== 'string' || !/^0?[0-7]{3,4}$/.test(mode) || typeof sha256 !== 'string')
      return wrong(`has no mode or no sha256 of ${path}`);
    return { path, mode: Number.parseInt(mode, 8), sha256 };
  });
}

const isInside = (path: string): boolean =>
  path !== '' && !path.startsWith('/') && path.split('/').every((part) => !['', '.', '..'].includes(part));

/** A semantic version; it is the name of a directory, too. */
const isVersion = (version: string): boolean => versionNumbers(version) !== null && /^[0-9A-Za-z.+-]+$/.test(version);

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
