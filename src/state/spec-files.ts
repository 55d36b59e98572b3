// Reads directories of CDI specs and of hooks. Must not understand what is in the files: cdi/ and oci-hooks/ do.
import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** A file, with its contents or why they could not be had (cdi/spec.ts CdiFile, oci-hooks/hook.ts HookFile). */
export interface SpecFile {
  readonly path: string;
  readonly priority: number;
  readonly content: { readonly text: string } | { readonly why: string };
}

const largestSpec = 4 * 1024 * 1024;
const mostSpecs = 1000;

/** Names of CDI specs. */
export const cdiNames = /\.(json|yaml)$/;

/** Names of hook files. */
export const hookNames = /^[^.].*\.json$/;

/** Every file of such a name in the directories, not below them; a later directory has the higher priority. */
export async function readSpecFiles(dirs: readonly string[], wanted: RegExp): Promise<SpecFile[]> {
  const files: SpecFile[] = [];
  for (const [priority, dir] of dirs.entries()) {
    const names = await namesIn(dir, wanted);
    if (typeof names === 'string') files.push({ path: dir, priority, content: { why: names } });
    else
      for (const name of names) files.push({ path: join(dir, name), priority, content: await read(join(dir, name)) });
  }
  return files;
}

async function namesIn(dir: string, wanted: RegExp): Promise<string[] | string> {
  try {
    const names = (await readdir(dir)).filter((name) => wanted.test(name)).sort();
    return names.length > mostSpecs ? `it has ${names.length} specs, more than ${mostSpecs}` : names;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ENOTDIR' ? [] : message;
  }
}

async function read(path: string): Promise<SpecFile['content']> {
  try {
    // what is no file must not be waited for
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = await file.stat();
      if (!stat.isFile()) return { why: 'it is not a file' };
      if (stat.size > largestSpec) return { why: `it has ${stat.size} bytes, more than ${largestSpec}` };
      return { text: await file.readFile('utf8') };
    } finally {
      await file.close();
    }
  } catch (error) {
    return { why: (error as Error).message };
  }
}
