// Options of the commands that change what runs the pods of this node, and the settings they come to.
// Must not change anything.
import { hostname } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, Option } from 'commander';
import { invalidArgument } from '../lib/failure.ts';
import { hasSystemd } from '../node/files.ts';
import type { DaemonControl, KubeletControl, KubeletPointer, Settings } from '../node/journal.ts';
import { defaultJournalDir } from '../node/journal-file.ts';
import { findPointer } from '../node/kubelet.ts';

export type Options = Readonly<Record<string, unknown>>;

export const withPlaces = (command: Command): Command =>
  command.option('--journal-dir <dir>', 'where the journal is', defaultJournalDir);

export const withRelease = (command: Command): Command =>
  withPlaces(command)
    .option('--release <dir>', 'the release: a tree with RELEASE.json (that of this program)')
    .option('--prefix <dir>', 'where releases are put, and the link to the present one', '/opt/podwright')
    .option('--config-dir <dir>', "the daemon's configuration", '/etc/podwright')
    .option('--config <file>', 'settings to put there with the release, and to take back with it')
    .option('--config-as <name>', 'what they are called there: config.toml or conf.d/NAME.toml', 'config.toml')
    .option('--link-dir <dir>', 'where links to the programs are made, "" for none', '/usr/local/bin')
    .addOption(
      new Option('--daemon <how>', 'who keeps podwrightd running (systemd where it is process 1, else self)').choices([
        'systemd',
        'command',
        'self',
      ]),
    )
    .option('--daemon-unit <name>', 'with systemd', 'podwrightd.service')
    .option('--daemon-start <command>', 'with command')
    .option('--daemon-stop <command>', 'with command; its pods must stay')
    .option('--daemon-log <file>', 'with self', '/var/log/podwrightd.log')
    .option('--free <MiB>', 'least free space where images will lie', '1024')
    .option('--timeout <seconds>', 'after which all is walked back', '600')
    .option('--wish <text>', 'what is asked for, in short; with another one a node is told anew that has all the rest');

/** What moving a kubelet needs beyond a release. */
export const withKubelet = (command: Command): Command =>
  withRelease(command)
    .addOption(
      new Option('--kubelet-restart <how>', 'who stops and starts the kubelet')
        .choices(['systemd', 'command'])
        .default('systemd'),
    )
    .option('--kubelet-unit <name>', 'with systemd', 'kubelet.service')
    .option('--kubelet-stop <command>', 'with command; fine when it does not run')
    .option('--kubelet-start <command>', 'with command; fine when it runs')
    .option(
      '--kubelet-config <file>',
      "its KubeletConfiguration, whose containerRuntimeEndpoint is changed (the running kubelet's)",
    )
    .option('--kubelet-env <file>', 'in place of that: a file of flags, whose --container-runtime-endpoint is changed')
    .option(
      '--kubelet-drop-in <file>',
      'in place of that: a file to write in its --config-dir, such as 90-podwright.conf',
    )
    .option('--kubelet-health <url>', 'asked where there is no kubeconfig', 'http://127.0.0.1:10248/healthz')
    .option('--from-endpoint <endpoint>', 'the runtime that it uses now', 'unix:///run/containerd/containerd.sock')
    .option('--to-endpoint <endpoint>', "podwright's socket (by its configuration)")
    .option('--kubeconfig <file>', 'to cordon the node and to see it Ready; without it neither is done')
    .option('--node <name>', "the node's name (this host's)")
    .option('--grace <seconds>', 'longest grace of a container that is stopped', '120');

/** The option as text; null when it was not given, or is empty. */
export function text(options: Options, name: string): string | null {
  const value = options[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

export function seconds(options: Options, name: string): number {
  const value = Number(text(options, name));
  if (!(value > 0)) throw invalidArgument(`--${name} wants a number above 0, not ${String(options[name])}`);
  return value;
}

export const journalDir = (options: Options, directory: string): string =>
  resolve(directory, text(options, 'journalDir') ?? defaultJournalDir);

/** The release that is meant: the one named, or that of this program. */
export function releaseOf(options: Options, directory: string): string {
  const named = text(options, 'release');
  if (named !== null) return resolve(directory, named);
  // <release>/lib/podwright/podwright.main.js
  return join(dirname(fileURLToPath(import.meta.url)), '../..');
}

/**
 * The settings that the options come to; `kubelet` for a transaction about one: where its setting is when no option says
 * so, or `found` to look for it.
 */
export function settingsOf(options: Options, directory: string, kubelet: KubeletPointer | 'found' | null): Settings {
  const path = (name: string, fallback: string): string => resolve(directory, text(options, name) ?? fallback);
  const configDir = path('configDir', '/etc/podwright');
  const as = text(options, 'configAs') ?? 'config.toml';
  if (!/^(config\.toml|conf\.d\/[\w.-]+\.toml)$/.test(as))
    throw invalidArgument(`--config-as is config.toml or conf.d/NAME.toml, not ${as}`);
  const linkDir = text(options, 'linkDir');
  const wish = text(options, 'wish');
  return {
    prefix: path('prefix', '/opt/podwright'),
    configDir,
    configFile: join(configDir, as),
    linkDir: linkDir === null ? null : resolve(directory, linkDir),
    daemon: daemonControl(options, directory),
    kubelet: kubelet && kubeletSettings(options, directory, kubelet),
    kubernetes: kubelet ? kubernetesSettings(options, directory) : null,
    graceMs: kubelet ? seconds(options, 'grace') * 1000 : 30_000,
    timeoutMs: seconds(options, 'timeout') * 1000,
    freeBytes: Number(text(options, 'free') ?? 0) * 2 ** 20,
    ...(wish !== null && { wish }),
  };
}

function daemonControl(options: Options, directory: string): DaemonControl {
  const by = text(options, 'daemon') ?? (text(options, 'daemonStart') ? 'command' : hasSystemd() ? 'systemd' : 'self');
  if (by === 'systemd')
    return { by, unit: text(options, 'daemonUnit') ?? 'podwrightd.service', unitDir: '/etc/systemd/system' };
  if (by === 'self') return { by, log: resolve(directory, text(options, 'daemonLog') ?? '/var/log/podwrightd.log') };
  const [stop, start] = [text(options, 'daemonStop'), text(options, 'daemonStart')];
  if (stop === null || start === null) throw invalidArgument('--daemon command wants --daemon-stop and --daemon-start');
  return { by: 'command', stop, start };
}

type Known = KubeletPointer | 'found';

function kubeletSettings(options: Options, directory: string, known: Known): NonNullable<Settings['kubelet']> {
  const healthUrl = text(options, 'kubeletHealth') ?? 'http://127.0.0.1:10248/healthz';
  return { ...kubeletPointer(options, directory, known), control: kubeletControl(options), healthUrl };
}

function kubeletControl(options: Options): KubeletControl {
  if (text(options, 'kubeletRestart') !== 'command')
    return { by: 'systemd', unit: text(options, 'kubeletUnit') ?? 'kubelet.service' };
  const [stop, start] = [text(options, 'kubeletStop'), text(options, 'kubeletStart')];
  if (stop === null || start === null)
    throw invalidArgument('--kubelet-restart command wants --kubelet-stop and --kubelet-start');
  return { by: 'command', stop, start };
}

function kubeletPointer(options: Options, directory: string, known: Known): KubeletPointer {
  const given = (['config', 'env', 'drop-in'] as const).flatMap((form) => {
    const file = text(options, { config: 'kubeletConfig', env: 'kubeletEnv', 'drop-in': 'kubeletDropIn' }[form]);
    return file === null ? [] : [{ form, file: resolve(directory, file) }];
  });
  const [pointer, ...others] = given;
  if (others.length > 0)
    throw invalidArgument('--kubelet-config, --kubelet-env and --kubelet-drop-in exclude each other');
  return pointer ?? (known === 'found' ? findPointer() : known);
}

function kubernetesSettings(options: Options, directory: string): Settings['kubernetes'] {
  const kubeconfig = text(options, 'kubeconfig');
  if (kubeconfig === null) return null;
  return { kubeconfig: resolve(directory, kubeconfig), node: text(options, 'node') ?? hostname().toLowerCase() };
}

/** `unix:///path` of an option; a bare path is one too. */
export function endpointOf(value: string, name: string): string {
  const path = value.replace(/^unix:\/\//, '');
  if (!isAbsolute(path)) throw invalidArgument(`${name} wants unix:///path, not ${value}`);
  return `unix://${path}`;
}
