// Compiled seccomp filters by profile. Must not choose a profile: containers ask for one.
import { open } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { failedPrecondition, invalidArgument } from '../lib/failure.ts';

/** CRI SecurityProfile. */
export interface Profile {
  readonly type: 'runtime-default' | 'unconfined' | 'localhost';
  readonly localhostRef: string;
}

/** A program for seccomp(2); empty for none. */
export interface Filter {
  readonly bpf: Buffer;
  readonly flags: number;
}

export interface FiltersOptions {
  readonly compile: (args: { readonly profileJson: string }) => { readonly bpf: string; readonly flags: number };
  /** The default profile for a set of capabilities, as OCI `linux.seccomp`. */
  readonly defaultProfile: (capabilities: readonly string[]) => unknown;
  /** Directory to which relative Localhost references are. */
  readonly root: string;
}

const none: Filter = { bpf: Buffer.alloc(0), flags: 0 };
const largestProfile = 1024 * 1024;

/** Makes the function that gives a container its profile as it is, for a runtime that compiles it itself. */
export function seccompProfiles({ defaultProfile, root }: Pick<FiltersOptions, 'defaultProfile' | 'root'>) {
  return async (profile: Profile | null, capabilities: readonly string[]): Promise<object | null> => {
    if (profile === null || profile.type === 'unconfined') return null;
    // its flags are how we load it: not every runtime has them
    if (profile.type === 'runtime-default') return { ...(defaultProfile(capabilities) as object), flags: undefined };
    return readProfile(profile.localhostRef, root, (text) => JSON.parse(text) as object);
  };
}

/** Makes the function that compiles a whole policy, given as JSON of runtime-spec `linux.seccomp`. Throws invalid-argument for one that is none. */
export const policyFilter =
  ({ compile }: Pick<FiltersOptions, 'compile'>) =>
  (policy: string): Filter => {
    try {
      const { bpf, flags } = compile({ profileJson: policy });
      return { bpf: Buffer.from(bpf, 'base64'), flags };
    } catch (error) {
      throw invalidArgument('the seccomp policy of a plugin', error);
    }
  };

/** Makes the function that gives a container its filter. Default filters are compiled once per capability set. */
export function seccompFilters(options: FiltersOptions) {
  const defaults = new Map<string, Filter>();
  const compile = (json: string): Filter => {
    const { bpf, flags } = options.compile({ profileJson: json });
    return { bpf: Buffer.from(bpf, 'base64'), flags };
  };
  return async (profile: Profile | null, capabilities: readonly string[]): Promise<Filter> => {
    if (profile === null || profile.type === 'unconfined') return none;
    if (profile.type === 'localhost') return readProfile(profile.localhostRef, options.root, compile);
    const key = capabilities.join();
    const known = defaults.get(key) ?? compile(JSON.stringify(options.defaultProfile(capabilities)));
    defaults.set(key, known);
    return known;
  };
}

async function readProfile<T>(reference: string, root: string, take: (json: string) => T): Promise<T> {
  if (reference === '') throw invalidArgument('seccomp.localhost_ref is empty');
  const path = isAbsolute(reference) ? reference : join(root, reference);
  let text: string;
  try {
    text = await readBounded(path);
  } catch (error) {
    throw failedPrecondition(`read seccomp profile ${path}`, error);
  }
  try {
    return take(text);
  } catch (error) {
    throw invalidArgument(`seccomp profile ${path}`, error);
  }
}

async function readBounded(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size > largestProfile) throw new RangeError(`it has ${size} bytes, more than ${largestProfile}`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
