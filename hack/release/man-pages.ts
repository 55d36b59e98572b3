// The manual pages, from the command lines and the schema of the configuration. Must not write anything.
import type { Command } from 'commander';
import { buildProgram } from '../../src/cli/program.ts';
import type { Terminal } from '../../src/cli/session.ts';
import { type CommandWords, type OptionWords, synopsis, wordsOf } from '../../src/cli/words.ts';
import { sectionDocs } from '../../src/config/docs.ts';
import { daemonCommand } from '../../src/config/flags.ts';
import { defaultConfigFile } from '../../src/config/load.ts';
import { entries, schema, type Section } from '../../src/config/schema.ts';
import { page, paragraph, roff, section, subsection, term, verbatim } from './roff.ts';

/** What a page bears in its head and foot. */
export interface PageFacts {
  readonly version: string;
  /** Seconds since 1970. */
  readonly epoch: number;
}

const titleOf = ({ version, epoch }: PageFacts, name: string, number: number) => ({
  name,
  section: number,
  date: new Date(epoch * 1000).toISOString().slice(0, 10),
  source: `podwright ${version}`,
});

const options = (list: readonly OptionWords[]): string =>
  list.map(({ flags, about }) => term(flags, `${about}.`.replace(/([.)]|\.")\.$/, '$1'))).join('');

/** What help prints behind its lists; "" for nothing. */
function afterwards(command: Command): string {
  let whole = '';
  const before = command.configureOutput();
  command.configureOutput({ ...before, writeOut: (text) => void (whole += text) });
  command.outputHelp();
  command.configureOutput(before);
  return whole.slice(whole.indexOf(command.helpInformation()) + command.helpInformation().length).trim();
}

function verbs(program: Command): string {
  const one = (command: Command, words: CommandWords, above: string): string => {
    const called = `${above}${synopsis(words)}`;
    const after = afterwards(command);
    const below = words.commands.map((inner) => one(find(command, inner.name), inner, `${above}${words.name} `));
    const own = words.options.filter(({ names }) => !names.includes('--help'));
    return [
      subsection(called, paragraph(`${words.about}.`), options(own), after === '' ? '' : paragraph(after)),
      ...below,
    ].join('');
  };
  return wordsOf(program)
    .commands.map((words) => one(find(program, words.name), words, ''))
    .join('');
}

function find(command: Command, name: string): Command {
  const found = command.commands.find((one) => one.name() === name);
  if (found === undefined) throw new Error(`no command ${name}`);
  return found;
}

const files = (list: readonly (readonly [string, string])[]): string =>
  section('FILES', ...list.map(([what, meaning]) => term(what, meaning)));

const seeAlso = (...pages: readonly string[]): string =>
  section(
    'SEE ALSO',
    `${pages.map((one) => one.replace(/^(.*)(\(\d\))$/, '.BR $1 $2').replaceAll('-', '\\-')).join(' ,\n')}\n`,
  );

/** podwright(1). */
function toolPage(facts: PageFacts): string {
  const terminal = { out: () => undefined } as unknown as Terminal;
  const program = buildProgram({ terminal, exitCode: 0 }, () => undefined);
  const words = wordsOf(program);
  return page(titleOf(facts, 'podwright', 1), [
    section('NAME', `podwright \\- ${roff('looks at podwrightd and the pods it runs')}\n`),
    section('SYNOPSIS', '.B podwright\n[options] command [arguments]\n'),
    section(
      'DESCRIPTION',
      paragraph(
        'The command line tool of `podwrightd`, the container runtime of a Kubernetes node. It calls the daemon through its socket, and most of it needs root.',
      ),
    ),
    section('OPTIONS', options(words.options)),
    section('COMMANDS', verbs(program)),
    section('EXIT STATUS', paragraph(afterwards(program).replace(/^Exit status: /, ''))),
    files([[`${schema.node.state.default}/podwright.sock`, 'The socket of the daemon.']]),
    seeAlso('podwrightd(8)', 'podwright-config(5)', 'crictl(1)'),
  ]);
}

/** podwrightd(8). */
function daemonPage(facts: PageFacts): string {
  return page(titleOf(facts, 'podwrightd', 8), [
    section('NAME', 'podwrightd \\- container runtime for Kubernetes\n'),
    section('SYNOPSIS', '.B podwrightd\n[options]\n'),
    section(
      'DESCRIPTION',
      paragraph(
        'Serves the Kubernetes Container Runtime Interface, version v1, on a unix socket. The kubelet is pointed to it by `--container-runtime-endpoint`, crictl by /etc/crictl.yaml.',
      ),
      paragraph(
        'Each pod has a monitor, `podwright-monitor`, which is no child of the daemon: pods, their logs and their exit codes outlive its end, its restart and its upgrade.',
      ),
      paragraph(
        'A setting is taken from the flags, else from the drop-ins of the configuration, else from its file: podwright-config(5).',
      ),
    ),
    section('OPTIONS', options(wordsOf(daemonCommand()).options)),
    section(
      'SIGNALS',
      term(
        'SIGTERM, SIGINT',
        'Calls under way are finished, within `grpc.drain_timeout`; then the daemon ends. Pods live on.',
      ),
      term('SIGHUP', 'The configuration is read again. A change that needs a restart refuses the whole of it.'),
    ),
    section(
      'SERVICE MANAGER',
      paragraph(
        'Started by systemd, the daemon says when it serves, that it reloads and that it stops. With WatchdogSec= it says that it is well, twice in that time, after it has answered a call that it made to itself through its socket; a daemon that hangs is restarted, and its pods are not touched.',
      ),
    ),
    section(
      'ENVIRONMENT',
      term('HTTP_PROXY, HTTPS_PROXY, NO_PROXY', 'Proxies for registries.'),
      term('OTEL_*', 'Where traces go: the variables of OpenTelemetry.'),
      term('NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID', 'Set by the service manager; see sd_notify(3).'),
    ),
    files([
      [defaultConfigFile, 'The configuration; conf.d/*.toml beside it is read after it.'],
      ['/etc/podwright/environment', 'Variables for the unit, one NAME=value a line.'],
      [schema.node.root.default, 'Images, layers, records: what survives a reboot.'],
      [schema.node.state.default, 'The socket, and all that describes running processes.'],
    ]),
    seeAlso('podwright(1)', 'podwright-config(5)', 'podwright-monitor(8)', 'systemd.service(5)'),
  ]);
}

/** podwright-config(5). */
function configManual(facts: PageFacts): string {
  const sections = [...new Set(entries.map(({ section: name }) => name))];
  const keys = (name: Section): string =>
    entries
      .filter((entry) => entry.section === name)
      .map(({ name: full, setting }) => {
        const initial = setting.derived ?? setting.kind.show(setting.default);
        const more = [
          `${setting.kind.expected[0]?.toUpperCase()}${setting.kind.expected.slice(1)}.`,
          `Default: ${initial}.`,
          ...(setting.flag === null ? [] : [`Flag: --${setting.flag}.`]),
          ...(setting.reloadable ? ['Reloaded by SIGHUP.'] : []),
        ];
        return term(full.slice(full.indexOf('.') + 1), `${setting.doc}\n${more.join(' ')}`);
      })
      .join('');
  return page(titleOf(facts, 'podwright-config', 5), [
    section('NAME', 'podwright\\-config \\- configuration of podwrightd\n'),
    section('SYNOPSIS', `.B ${roff(defaultConfigFile)}\n`),
    section(
      'DESCRIPTION',
      paragraph(
        'A TOML file. Drop-ins, conf.d/*.toml beside it, are read after it in the order of their names; for each key the last one counts, and flags come last of all. No file is needed. An unknown key or a value of the wrong kind is refused at start.',
      ),
      paragraph(
        '`podwrightd --check` says whether the configuration is right, `podwrightd --print-config` prints the one in effect. Any key can be given as a flag, `--set section.key=value`.',
      ),
    ),
    section(
      'KEYS',
      ...sections.map((name) =>
        subsection(name === 'node' ? 'Head of the file' : `[${name}]`, paragraph(sectionDocs[name]), keys(name)),
      ),
    ),
    section('EXAMPLE', verbatim('[network]\ndefault = "bridge"\n\n[runtimes.crun]\npath = "/usr/bin/crun"\n')),
    seeAlso('podwrightd(8)', 'podwright(1)'),
  ]);
}

/** podwright-monitor(8). */
function monitorPage(facts: PageFacts): string {
  return page(titleOf(facts, 'podwright-monitor', 8), [
    section('NAME', 'podwright\\-monitor \\- watches over one pod\n'),
    section('SYNOPSIS', '.B podwright\\-monitor\n\\-\\-version\n'),
    section(
      'DESCRIPTION',
      paragraph(
        'Started by `podwrightd`, once for each pod, and by nobody else. It makes the containers of its pod, writes their logs, keeps their exit codes, and serves the daemon that runs now, whichever has started it. It ends with its pod; SIGTERM does not end it while containers live.',
      ),
    ),
    seeAlso('podwrightd(8)'),
  ]);
}

/** Every page by its path below share/man. */
export const manPages = (facts: PageFacts): ReadonlyMap<string, string> =>
  new Map([
    ['man1/podwright.1', toolPage(facts)],
    ['man5/podwright-config.5', configManual(facts)],
    ['man8/podwright-monitor.8', monitorPage(facts)],
    ['man8/podwrightd.8', daemonPage(facts)],
  ]);
