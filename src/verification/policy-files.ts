// Policies and keys on disk. They are read whenever they are needed: a new key or rule counts from the next image on.
// Must not judge anything.
import type { Stats } from 'node:fs';
import { lstat, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { failedPrecondition, failureChain } from '../lib/failure.ts';
import { parsePolicy, type Policy } from './policy.ts';

/** Where policies are; "" for none. */
export interface PolicySettings {
  /** Holds for every namespace that has no policy of its own, and for pulls on behalf of no pod. */
  readonly policyFile: string;
  /** Directory of `<namespace>.json`. */
  readonly policyDir: string;
}

/** A policy and the file it stands in. */
export interface NamedPolicy {
  readonly label: string;
  readonly policy: Policy;
}

const longestFile = 1024 * 1024;
const namespacePattern = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** A small text file, null if there is none. Throws failed-precondition for all else. */
export async function readSmallFile(path: string): Promise<string | null> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > longestFile) throw failedPrecondition(`file ${path} is larger than ${longestFile} bytes`);
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    if (code === undefined) throw error;
    throw failedPrecondition(`read file ${path} (${code})`);
  }
}

const parsed = (path: string, text: string): NamedPolicy => ({ label: path, policy: parsePolicy(text, path) });

/**
 * The policy of a namespace (null: no pod's), null if none holds for it. Throws failed-precondition for one that cannot
 * be read or understood, and where the policy for all namespaces is named but missing.
 */
export async function policyOf(settings: PolicySettings, namespace: string | null): Promise<NamedPolicy | null> {
  const { policyFile, policyDir } = settings;
  if (policyDir !== '' && namespace !== null && namespace !== '') {
    if (!namespacePattern.test(namespace)) {
      throw failedPrecondition(`namespace ${JSON.stringify(namespace.slice(0, 300))} cannot have an image policy`);
    }
    const path = join(policyDir, `${namespace}.json`);
    const text = await readSmallFile(path);
    if (text !== null) return parsed(path, text);
    await checkAbsent(path, policyDir);
  }
  if (policyFile === '') return null;
  const text = await readSmallFile(policyFile);
  if (text === null) throw failedPrecondition(`image policy ${policyFile} does not exist`);
  return parsed(policyFile, text);
}

/**
 * Throws unless a policy that could not be found is one that nobody made: a directory that is gone, and a link to
 * nothing, are policies that are missing.
 */
async function checkAbsent(path: string, policyDir: string): Promise<void> {
  await checkDirectory(policyDir);
  const file = await statOrCode(lstat(path));
  if (file === 'ENOENT') return;
  const why = typeof file === 'string' ? file : file.isSymbolicLink() ? 'it is a link to nothing' : 'it came just now';
  throw failedPrecondition(`image policy ${path} cannot be read (${why})`);
}

async function checkDirectory(policyDir: string): Promise<void> {
  const dir = await statOrCode(stat(policyDir));
  const why = typeof dir === 'string' ? dir : dir.isDirectory() ? null : 'ENOTDIR';
  if (why !== null) throw failedPrecondition(`directory of image policies ${policyDir} cannot be read (${why})`);
}

const statOrCode = (asked: Promise<Stats>): Promise<Stats | string> =>
  asked.catch((error: unknown) => (error as NodeJS.ErrnoException).code ?? String(error));

/** Every policy that can be read; what is wrong with the others their own namespaces are told. */
export async function allPolicies(settings: PolicySettings): Promise<readonly Policy[]> {
  const read = await readAll(settings);
  return read.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
}

/** What is wrong with policies, a sentence for each that cannot be used. */
export async function policyTrouble(settings: PolicySettings): Promise<readonly string[]> {
  const read = await readAll(settings);
  return read.flatMap((one) => (one.status === 'rejected' ? [failureChain(one.reason)] : []));
}

async function readAll({ policyFile, policyDir }: PolicySettings): Promise<PromiseSettledResult<Policy[]>[]> {
  const [listed] = await Promise.allSettled([policyDir === '' ? [] : listPolicies(policyDir)]);
  const read = async (path: string): Promise<Policy[]> => {
    const text = await readSmallFile(path);
    if (text !== null) return [parsePolicy(text, path)];
    if (path === policyFile) throw failedPrecondition(`image policy ${path} does not exist`);
    await checkAbsent(path, policyDir);
    return [];
  };
  const files = listed.status === 'fulfilled' ? listed.value : [];
  const answers = await Promise.allSettled([policyFile, ...files].filter((path) => path !== '').map(read));
  return listed.status === 'fulfilled' ? answers : [...answers, listed];
}

async function listPolicies(policyDir: string): Promise<string[]> {
  await checkDirectory(policyDir);
  const names = await readdir(policyDir).catch((error: NodeJS.ErrnoException) => {
    throw failedPrecondition(
      `directory of image policies ${policyDir} cannot be read (${error.code ?? error.message})`,
    );
  });
  return names.filter((name) => name.endsWith('.json')).map((name) => join(policyDir, name));
}
