// AppArmor's profiles in the kernel: which there are, and loading one with apparmor_parser(8).
import { type ChildProcess, spawn } from 'node:child_process';
import { access, constants, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';

/** Where programs of administrators are; the daemon's own search path may lack them. */
const programDirs = ['/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/local/bin'];
const loadTimeoutMs = 60_000;
const longestWords = 1000;

/** Names of loaded profiles, from a text of lines "name (mode)"; names may have blanks and parentheses. */
export const profileNames = (text: string): Set<string> =>
  new Set(text.split('\n').flatMap((line) => /^(.*) \([a-z]+\)$/.exec(line)?.[1] ?? []));

/** Names of the loaded profiles; null where securityfs cannot be read. */
export async function loadedProfiles(): Promise<ReadonlySet<string> | null> {
  try {
    return profileNames(await readFile('/sys/kernel/security/apparmor/profiles', 'utf8'));
  } catch {
    return null;
  }
}

/** Loads a profile, replacing one of its name. Throws failed-precondition with the parser's own words. */
export async function loadProfile(text: string): Promise<void> {
  const program = await parser();
  // without descriptors it has no streams, whatever Node's types say, and an "error" follows
  const child: ChildProcess = spawn(program, ['--replace', '--skip-cache', '--quiet'], {
    stdio: ['pipe', 'ignore', 'pipe'],
    timeout: loadTimeoutMs,
    killSignal: 'SIGKILL',
  });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let words = '';
  child.on('error', reject);
  child.stderr?.on('data', (chunk: Buffer) => {
    if (words.length < longestWords) words += chunk.toString('utf8');
  });
  child.on('close', (code, signal) =>
    resolve(code === 0 ? '' : words.trim() || `ended by ${signal ?? `code ${code}`}`),
  );
  child.stdin?.on('error', () => undefined); // it ended early: its code and words tell why
  child.stdin?.end(text);
  const why = await promise;
  if (why !== '') throw failedPrecondition(`${program}: ${why.slice(0, longestWords)}`);
}

async function parser(): Promise<string> {
  for (const dir of programDirs) {
    const program = join(dir, 'apparmor_parser');
    if (
      await access(program, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return program;
  }
  throw failedPrecondition('there is no apparmor_parser on this host');
}
