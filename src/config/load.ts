// From the command line and the configuration files to one frozen value, once at start and again at SIGHUP.
// Must not read the environment, look at the machine, or hold a default: those are in schema.ts.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { failedPrecondition, invalidArgument, notFound } from '../lib/failure.ts';
import { readBaseSpecs } from './base-specs.ts';
import { configAsToml } from './docs.ts';
import { parseFlags, type Flags } from './flags.ts';
import { changes, flatten, merge, override, type Layer } from './merge.ts';
import type { Config } from './schema.ts';

/** Where the configuration is looked for when no flag says otherwise. */
export const defaultConfigFile = '/etc/podwright/config.toml';

/** What the configuration is made from. */
export interface ConfigInputs {
  /** Arguments after the program's name. */
  readonly argv: readonly string[];
  /** Directory of the built program, where the addon and the monitor lie. */
  readonly programDirectory: string;
}

/** What the command line asks the daemon to do. */
export type Invocation =
  | { readonly action: 'serve'; readonly config: Config; readonly files: readonly string[] }
  /** Print the text to standard output and end with status 0. */
  | { readonly action: 'print'; readonly text: string };

/**
 * Reads flags and files. Any mistake in them is an invalid-argument Failure that names the place and
 * the key; a file given by --config that is not there is a not-found Failure.
 */
export function loadConfig(inputs: ConfigInputs): Invocation {
  const flags = parseFlags(inputs.argv);
  if (flags.answer !== null) return { action: 'print', text: flags.answer };
  const layers = readLayers(flags);
  const config = derive(merge([...layers, flags.layer]), inputs.programDirectory);
  const files = layers.map(({ place }) => place);
  if (flags.printConfig) return { action: 'print', text: configAsToml(config) };
  readBaseSpecs(config);
  if (flags.check) {
    const from = files.length === 0 ? 'no file, all defaults' : files.join(', ');
    return { action: 'print', text: `configuration is right: ${from}\n` };
  }
  return { action: 'serve', config, files };
}

/**
 * Reads everything again. A change of a setting that needs a restart refuses the whole
 * (failed-precondition); otherwise answers the new config and the names of what changed.
 */
export function reloadConfig(inputs: ConfigInputs, running: Config): { config: Config; changed: readonly string[] } {
  const flags = parseFlags(inputs.argv);
  const config = derive(merge([...readLayers(flags), flags.layer]), inputs.programDirectory);
  const changed = changes(running, config);
  const fixed = changed.filter(({ setting }) => !setting.reloadable).map(({ name }) => name);
  if (fixed.length > 0) throw failedPrecondition(`the new configuration needs a restart: ${fixed.join(', ')} changed`);
  return { config, changed: changed.map(({ name }) => name) };
}

function readLayers(flags: Flags): readonly Layer[] {
  const file = resolve(flags.configFile ?? defaultConfigFile);
  const main = readLayer(file);
  if (main === null && flags.configFile !== null) throw notFound(`configuration file ${file} does not exist`);
  const dropIns = dropInFiles(join(dirname(file), 'conf.d')).map((name) => readLayer(name));
  return [main, ...dropIns].filter((layer) => layer !== null);
}

function readLayer(file: string): Layer | null {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return null;
    throw invalidArgument(`could not read ${file}`, error);
  }
  try {
    return flatten(file, parse(source));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [first = 'not valid TOML'] = error.message.split('\n');
    throw invalidArgument(`${file}:${error.line}:${error.column}: ${first.replace('Invalid TOML document: ', '')}`);
  }
}

function dropInFiles(directory: string): readonly string[] {
  try {
    const names = readdirSync(directory).filter((name) => name.endsWith('.toml') && !name.startsWith('.'));
    return names.sort().map((name) => join(directory, name));
  } catch (error) {
    if (isMissing(error)) return [];
    throw invalidArgument(`could not read ${directory}`, error);
  }
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/** Fills in the settings whose default depends on others or on where the program lies. */
function derive(config: Config, programDirectory: string): Config {
  const { socket, state, addon, monitor, worker } = config.node;
  const node = override(config, 'node', {
    socket: socket === '' ? join(state, 'podwright.sock') : socket,
    addon: addon === '' ? join(programDirectory, 'addon.node') : addon,
    monitor: monitor === '' ? join(programDirectory, 'podwright-monitor') : monitor,
    worker: worker === '' ? join(programDirectory, 'podwright-work.js') : worker,
  });
  const { socket: metricsSocket } = config.metrics;
  return override(node, 'metrics', {
    socket: metricsSocket === '' ? join(state, 'metrics/metrics.sock') : metricsSocket,
  });
}
