// The pod on each node that brings podwright to its host: what it does there, and what it tells Kubernetes.
// Must not change what runs the node's pods: a transaction on the host does, outside of this pod, which ends with it.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { failedPrecondition, invalidArgument } from '../lib/failure.ts';

/** One file of a release: with its content, or a link. */
export type ReleaseFile =
  | { readonly path: string; readonly mode: number; readonly sha256: string }
  | { readonly path: string; readonly link: string };

/** A release tree by its RELEASE.json. */
export interface Release {
  readonly version: string;
  /** sha256 of RELEASE.json, in hex: two builds of one version differ in it. */
  readonly digest: string;
  readonly files: readonly ReleaseFile[];
}

/** The file that lists a release. */
export const listing = 'RELEASE.json';

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Reads RELEASE.json of a tree; a document that lists a path outside of it is an invalid-argument Failure. */
export async function readRelease(tree: string): Promise<Release> {
  const bytes = await readFile(join(tree, listing));
  return parseRelease(bytes, join(tree, listing));
}

/** As readRelease, from the bytes; `place` is for messages. */
export function parseRelease(bytes: Uint8Array, place: string): Release {
  const wrong = (what: string, cause?: unknown): Error => invalidArgument(`${place}: ${what}`, cause);
  let document: { readonly version?: unknown; readonly files?: unknown };
  try {
    document = JSON.parse(Buffer.from(bytes).toString('utf8')) as typeof document;
  } catch (error) {
    throw wrong('is not JSON', error);
  }
  const { version, files } = document;
  if (typeof version !== 'string' || !/^[0-9A-Za-z][0-9A-Za-z.+~-]*$/.test(version)) throw wrong('has no version');
  if (!Array.isArray(files) || files.length === 0) throw wrong('lists no files');
  const listed = files.map((one: Readonly<Record<string, unknown>>): ReleaseFile => {
    const { path, mode, sha256, link } = one;
    if (typeof path !== 'string' || !isInside(path))
      throw wrong(`lists ${JSON.stringify(path)}, which is no path in it`);
    if (typeof link === 'string') return { path, link };
    if (typeof mode !== 'string' || !/^0?[0-7]{3,4}$/.test(mode) || typeof sha256 !== 'string')
      throw wrong(`${path} has no mode or no sha256`);
    return { path, mode: Number.parseInt(mode, 8), sha256 };
  });
  return { version, digest: digestOf(bytes), files: listed };
}

const isInside = (path: string): boolean =>
  path !== '' && !path.startsWith('/') && path.split('/').every((part) => !['', '.', '..'].includes(part));

/** The sha256 of a file's content, in hex. */
export async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

/** The first file of a tree that is not as listed; null when all are. Others may be there: Node keeps compiled code beside. */
export async function treeFault(tree: string, release: Release): Promise<string | null> {
  for (const file of release.files) {
    const fault = await fileFault(join(tree, file.path), file);
    if (fault !== null) return `${file.path} ${fault}`;
  }
  return null;
}

async function fileFault(path: string, file: ReleaseFile): Promise<string | null> {
  try {
    if ('link' in file) return (await readlink(path)) === file.link ? null : 'is another link';
    const found = await lstat(path);
    if (!found.isFile()) return 'is no file';
    if ((found.mode & 0o7777) !== file.mode) return 'has another mode';
    return (await fileDigest(path)) === file.sha256 ? null : 'has another content';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EINVAL') return 'is not there';
    throw failedPrecondition(`look at ${path}`, error);
  }
}
