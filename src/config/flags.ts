// The daemon's command line: flags to settings. What a flag sets, and its help text, come from the schema.
import { Command, CommanderError } from 'commander';
import { invalidArgument } from '../lib/failure.ts';
import { fromText, type Layer } from './merge.ts';
import { entries } from './schema.ts';
import { version } from './version.ts';

/** What the command line asks for. */
export interface Flags {
  /** The value of --config; null when it is not given. */
  readonly configFile: string | null;
  /** --check: read the configuration, say whether it is right, end. */
  readonly check: boolean;
  /** --print-config: print it with its documentation, end. */
  readonly printConfig: boolean;
  /** The answer to --help or --version, to print and end; null otherwise. */
  readonly answer: string | null;
  /** The settings that flags gave. */
  readonly layer: Layer;
}

const place = 'the command line';

/** Reads the arguments after the program's name. An unknown flag or a bad value is an invalid-argument Failure. */
export function parseFlags(argv: readonly string[]): Flags {
  let answer = '';
  const program = daemonCommand()
    .exitOverride()
    .configureOutput({ writeOut: (piece) => (answer += piece), writeErr: () => undefined });
  try {
    program.parse(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw invalidArgument(error.message.replace(/^error: /, ''));
    return { configFile: null, check: false, printConfig: false, answer, layer: { place, values: new Map() } };
  }
  const given = program.opts<Record<string, unknown>>();
  return {
    configFile: typeof given['config'] === 'string' ? given['config'] : null,
    check: given['check'] === true,
    printConfig: given['printConfig'] === true,
    answer: null,
    layer: { place, values: settingsOf(given) },
  };
}

/** The daemon's command line; nothing of it runs before it is parsed. */
export function daemonCommand(): Command {
  const command = new Command('podwrightd')
    .description('Serves the Kubernetes Container Runtime Interface on a unix socket.')
    .version(version)
    .helpOption('-h, --help', 'print this')
    .option('--config <file>', 'configuration file; conf.d/*.toml beside it is read too')
    .option('--check', 'say whether the configuration is right, and end')
    .option('--print-config', 'print the configuration in effect with its documentation, and end')
    .allowExcessArguments(false);
  for (const { name, setting } of entries) {
    if (setting.flag !== null) command.option(`--${setting.flag} <value>`, `${name}: ${setting.doc}`);
  }
  const collect = (one: string, before: readonly string[] = []): readonly string[] => [...before, one];
  return command.option('--set <key=value>', 'any other setting, such as image.keep_blobs=true; repeatable', collect);
}

function settingsOf(given: Readonly<Record<string, unknown>>): ReadonlyMap<string, unknown> {
  const values = new Map<string, unknown>();
  for (const pair of (given['set'] ?? []) as readonly string[]) {
    const at = pair.indexOf('=');
    if (at < 1) throw invalidArgument(`${place}: --set wants key=value, not ${JSON.stringify(pair)}`);
    values.set(...fromText(pair.slice(0, at), pair.slice(at + 1), place));
  }
  for (const { name, setting } of entries) {
    const word = setting.flag === null ? undefined : given[camel(setting.flag)];
    if (typeof word === 'string') values.set(...fromText(name, word, place));
  }
  return values;
}

const camel = (dashed: string): string => dashed.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
