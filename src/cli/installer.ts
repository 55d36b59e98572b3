// podwright installer run | retire | check: what the pods of the Helm chart run.
import { type Command, Option } from 'commander';
import { version } from '../config/version.ts';
import { cancelled, invalidArgument } from '../lib/failure.ts';
import type { Run, Session } from './session.ts';

const help = `
run: on each node; stages the release of this image on the host, begins there what the chart's values ask for, follows it,
and keeps the node's labels podwright.io/release and podwright.io/runtime. retire: waits until every node was given back.
check: whether every node is as the values ask. All need the service account of a pod of the chart.`;

/** Options of `podwright install` and `podwright node switch` that are passed on. */
const daemonOptions = ['daemon', 'daemon-start', 'daemon-stop', 'timeout'] as const;
/** Options of `podwright node switch` alone that are passed on. */
const kubeletOptions = [
  'kubelet-restart',
  'kubelet-unit',
  'kubelet-stop',
  'kubelet-start',
  'kubelet-config',
  'kubelet-env',
  'kubelet-drop-in',
  'from-endpoint',
  'kubeconfig',
  'grace',
] as const;

/** The options of the command. */
export function withInstallerOptions(one: Command): Command {
  const tell = (names: readonly string[], to: string): void => {
    for (const name of names) one.addOption(new Option(`--${name} <value>`, `for run: passed on to ${to}`).default(''));
  };
  tell(daemonOptions, 'podwright install and podwright node switch');
  tell(kubeletOptions, 'podwright node switch');
  return one
    .option('--node <name>', 'the node of this pod (NODE_NAME)')
    .option('--prefix <dir>', 'for run: where releases are put on the host', '/opt/podwright')
    .option('--config-dir <dir>', "for run: the daemon's configuration on the host", '/etc/podwright')
    .option('--journal-dir <dir>', 'for run: the journal on the host', '/var/lib/podwright-node')
    .option(
      '--link-dir <dir>',
      'for run: where links to the programs are made on the host, "" for none',
      '/usr/local/bin',
    )
    .option('--host-process <name>', "for run: a process in the host's namespaces, such as kubelet (process 1)", '')
    .option('--metrics-dir <dir>', 'for run: where the relay finds the socket of metrics on the host, "" without', '')
    .option('--lease <namespace/name>', 'for run: the Lease that lets one node at a time change its runtime', '')
    .option('--switch', 'for run: move the kubelet; for check: it was moved')
    .option('--purge', 'for run: remove images and settings too when the node is given back')
    .option('--namespace <name>', "for retire and check: the chart's", '')
    .option('--instance <name>', "for retire and check: the Helm release's name", '')
    .option('--metrics-port <port>', 'for check: the port of metrics')
    .addHelpText('after', help);
}

/** Where the chart mounts what. */
const paths = {
  release: '/release',
  config: '/config',
  retire: '/retire',
  ready: '/run/installer/ready',
  prefixSeen: '/host/prefix',
  cniSeen: '/host/cni',
};

type Options = Readonly<Record<string, unknown>>;

/** `kubelet-drop-in` as commander names it. */
const camel = (name: string): string => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
const text = (options: Options, name: string): string => {
  const value = options[camel(name)];
  return typeof value === 'string' ? value : '';
};
const given = (options: Options, names: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(names.map((name) => [name, text(options, name)] as const).filter(([, value]) => value !== ''));

/** Runs a task until it is done or interrupted. */
export const installer: Run = async (session, [task], options) => {
  const { install, retire, check } = await import('../installer/installer.ts');
  const around = surroundings(session);
  if (task === 'run') return install(around, runParts(options));
  const chart = { namespace: text(options, 'namespace'), instance: text(options, 'instance') };
  if (task === 'retire') return retire(around, chart);
  if (task !== 'check') throw invalidArgument(`installer runs run, retire or check, not ${task ?? ''}`);
  const port = text(options, 'metrics-port');
  const found = await check(around, {
    ...chart,
    switch: options['switch'] === true,
    metricsPort: port === '' ? null : Number(port),
  });
  session.out(found.map((line) => `${line}\n`).join(''));
};

function surroundings({ nowMs, streams }: Session) {
  const stop = new AbortController();
  void streams.interrupted.then(() => stop.abort(cancelled('it was told to end')));
  const log = (message: string): void => void streams.stderr.write(`${new Date(nowMs()).toISOString()} ${message}\n`);
  return { env: process.env, nowMs, version, log, signal: stop.signal };
}

function runParts(options: Options) {
  const [namespace, name, ...more] = text(options, 'lease').split('/');
  if (!namespace || !name || more.length > 0) throw invalidArgument('--lease wants namespace/name');
  const node = text(options, 'node') || (process.env['NODE_NAME'] ?? '');
  if (node === '') throw invalidArgument('--node is not given, and NODE_NAME is not set');
  const timeout = Number(text(options, 'timeout') || 600);
  const mountPoints = [text(options, 'prefix'), text(options, 'metrics-dir')].filter((dir) => dir !== '');
  return {
    paths: { ...paths, mountPoints },
    settings: {
      node,
      switch: options['switch'] === true,
      purge: options['purge'] === true,
      host: {
        process: text(options, 'host-process'),
        prefix: text(options, 'prefix'),
        configDir: text(options, 'config-dir'),
        journalDir: text(options, 'journal-dir'),
        linkDir: text(options, 'link-dir'),
      },
      daemon: given(options, daemonOptions),
      kubelet: given(options, kubeletOptions),
    },
    // the pod is gone while its node's runtime is changed, and comes back when that is over: usually within this
    lease: { namespace, name, seconds: timeout + 300 },
  };
}
