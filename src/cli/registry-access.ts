// Who the user is to a registry, and how far he trusts it: the options that pull and push share.
// Must not read a file: the daemon reads the one that is named.
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { invalidArgument } from '../lib/failure.ts';
import type { Session } from './session.ts';

/** The same as fields of podwright.v1.PullRequest and PushRequest. */
export interface RegistryAccess {
  readonly username: string;
  readonly password: string;
  /** Absolute; "" for the node's own files. */
  readonly authFile: string;
  readonly skipTlsVerify: boolean;
}

const longestPassword = 64 * 1024;

/** Adds the options. */
export const withAccessOptions = (command: Command): Command =>
  command
    .option('-c, --creds <user[:password]>', "credentials for the registry (default: the node's own)")
    .option('--password-stdin', 'read the password from standard input: a command line is seen by everybody')
    .option('--auth-file <path>', "an auth.json or Docker's config.json in place of the node's own files")
    .addOption(
      new Option('--tls-verify <bool>', 'false takes any certificate of the registry, whatever hosts.toml says')
        .choices(['true', 'false'])
        .default('true'),
    );

/** What the options say. Throws invalid-argument; reads standard input if one says so. */
export async function accessOf(session: Session, options: Readonly<Record<string, unknown>>): Promise<RegistryAccess> {
  const { creds, passwordStdin, authFile, tlsVerify } = options;
  const file = typeof authFile === 'string' ? resolve(session.directory, authFile) : '';
  const rest = { authFile: file, skipTlsVerify: tlsVerify === 'false' };
  if (typeof creds !== 'string') {
    if (passwordStdin === true) throw invalidArgument('--password-stdin needs --creds USER');
    return { username: '', password: '', ...rest };
  }
  const colon = creds.indexOf(':');
  const username = colon < 0 ? creds : creds.slice(0, colon);
  if (username === '') throw invalidArgument('--creds must begin with a user name');
  if (colon < 0 && passwordStdin !== true)
    throw invalidArgument(`no password for ${username}: give it by --password-stdin, or as --creds USER:PASSWORD`);
  if (colon >= 0 && passwordStdin === true)
    throw invalidArgument('there are two passwords: one in --creds, one by --password-stdin');
  return { username, password: colon < 0 ? await passwordFrom(session) : creds.slice(colon + 1), ...rest };
}

/** The first line of standard input. */
async function passwordFrom({ streams: { stdin } }: Session): Promise<string> {
  const { promise, resolve: done, reject } = Promise.withResolvers<string>();
  let text = '';
  stdin.on('data', (chunk: Buffer | string) => {
    text += String(chunk);
    if (text.length > longestPassword) reject(invalidArgument('the password on standard input is too long'));
  });
  stdin.on('end', () => done(text));
  stdin.on('error', reject);
  const line = (await promise).split(/\r?\n/, 1)[0] ?? '';
  if (line === '') throw invalidArgument('there is no password on standard input');
  return line;
}
