// PURE
// The schema as text: configuration in effect (TOML) and the reference page docs/config.md.
import { entries, type Config, type Entry, type Section } from './schema.ts';

/** What each section is about. */
export const sectionDocs: Readonly<Record<Section, string>> = {
  node: 'Directories and programs. These keys stand at the head of the file, before any section.',
  grpc: 'The CRI server.',
  log: 'The log, on standard error.',
  metrics: 'Prometheus metrics.',
  streaming: 'Exec, attach and port-forward.',
  network: 'Networks of pods.',
  registry: 'Pulling from registries.',
  image: 'Images on disk.',
  verification: 'Which images may be used: docs/verification.md.',
  container: 'Defaults of containers.',
  cgroup: 'Control groups.',
  own: "Limits of podwright's own processes: docs/cgroups.md.",
  checkpoint: 'Checkpoints of containers and pods.',
  nri: 'Plugins of the Node Resource Interface.',
  kubernetes: 'What the API server of Kubernetes is told: docs/kubernetes.md.',
  trace: 'Stage times of recent calls.',
};

const keyOf = (entry: Entry): string => entry.name.slice(entry.name.indexOf('.') + 1);
const sections = [...new Set(entries.map(({ section }) => section))];
const entriesOf = (section: Section): readonly Entry[] => entries.filter((entry) => entry.section === section);

/** The configuration as a TOML file that can be used as it is, each key under its documentation. */
export function configAsToml(config: Config): string {
  const parts = sections.map((section) => {
    const values = config[section] as Readonly<Record<string, unknown>>;
    const lines = entriesOf(section).map((entry) => {
      const { setting, key } = entry;
      return `# ${setting.doc}\n# ${aboutOf(entry)}\n${keyOf(entry)} = ${setting.kind.show(values[key])}\n`;
    });
    return `${section === 'node' ? '' : `# ${sectionDocs[section]}\n[${section}]\n\n`}${lines.join('\n')}`;
  });
  return `# Configuration of podwrightd.\n\n${parts.join('\n')}`;
}

/** A configuration file that changes nothing: every key under its documentation, as a comment with its default. */
export function configTemplate(): string {
  const parts = sections.map((section) => {
    const lines = entriesOf(section).map((entry) => {
      const { setting } = entry;
      return `# ${setting.doc}\n# ${aboutOf(entry)}\n#${keyOf(entry)} = ${setting.kind.show(setting.default)}\n`;
    });
    return `${section === 'node' ? '' : `# ${sectionDocs[section]}\n[${section}]\n\n`}${lines.join('\n')}`;
  });
  return `${templatePreface}\n${parts.join('\n')}`;
}

const templatePreface = `# Configuration of podwrightd: podwright-config(5). A line that begins with "#" and a key shows the default of that key.
# "podwrightd --check" says whether this file is right; conf.d/*.toml beside it is read after it.
`;

function aboutOf(entry: Entry): string {
  const { setting } = entry;
  const initial = setting.derived ?? setting.kind.show(setting.default);
  const flag = setting.flag === null ? '' : ` Flag: --${setting.flag}.`;
  return `Default: ${initial}.${flag}${setting.reloadable ? ' Reloaded by SIGHUP.' : ''}`;
}

/** docs/config.md. */
export function configPage(): string {
  const parts = sections.map((section) => {
    const rows = entriesOf(section).map((entry) => {
      const { setting } = entry;
      const initial = setting.derived ?? `\`${setting.kind.show(setting.default)}\``;
      const flag = setting.flag === null ? '' : `\`--${setting.flag}\``;
      const kind = setting.kind.expected.replaceAll('|', '\\|');
      return `| \`${keyOf(entry)}\` | ${kind} | ${initial} | ${flag} | ${setting.reloadable ? 'SIGHUP' : 'restart'} | ${setting.doc} |`;
    });
    const title = section === 'node' ? 'Head of the file' : `\`[${section}]\``;
    const head = '| Key | Value | Default | Flag | Changes by | |\n| --- | --- | --- | --- | --- | --- |';
    return `## ${title}\n\n${sectionDocs[section]}\n\n${head}\n${rows.join('\n')}\n`;
  });
  return `${preface}\n${parts.join('\n')}`;
}

const preface = `# Configuration

Generated from \`src/config/schema.ts\` by \`hack/config-docs.mjs\`; do not edit.

\`podwrightd\` reads \`/etc/podwright/config.toml\` (or the file of \`--config\`), then \`conf.d/*.toml\` beside it in
the order of their names, then its flags: for each key the last one counts. No file is needed. An unknown key or a
value of the wrong kind is refused at start. No setting is taken from the environment.

\`podwrightd --check\` says whether the configuration is right, \`podwrightd --print-config\` prints the one in effect
as a commented file. \`SIGHUP\` reads everything again; a change that needs a restart refuses the whole new
configuration, and the running one stays. Any key can be set by \`--set section.key=value\`; a list's items are
separated by commas.
`;
