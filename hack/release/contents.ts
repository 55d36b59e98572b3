// The release tree as a list of files: what lies where, and what it is made from. Must not write anything.
import { readdirSync, readFileSync } from 'node:fs';
import { configTemplate } from '../../src/config/docs.ts';
import { completionScript } from '../../src/cli/shells.ts';
import { cargoComponents, licencePage, nodeComponent, npmComponents } from './components.ts';
import { manPages } from './man-pages.ts';
import { nativeParts, type ReleaseFacts } from './facts.ts';
import { billOfMaterials } from './sbom.ts';

/** One file of the tree. */
export type Entry = { readonly path: string; readonly mode: number } & (
  | { readonly copy: string }
  | { readonly text: string }
  | { readonly link: string }
);

/** Where the programs of an installed release are called from. */
export const installedBindir = '/opt/podwright/current/bin';

const program = (path: string, copy: string): Entry => ({ path, mode: 0o755, copy });
const file = (path: string, copy: string): Entry => ({ path, mode: 0o644, copy });
const text = (path: string, content: string): Entry => ({ path, mode: 0o644, text: content });

const lib = 'lib/podwright';
const doc = 'share/doc/podwright';

/** Names in dist/: the programs are bundled into several files. */
const built = (pattern: RegExp): readonly string[] => readdirSync('dist').filter((name) => pattern.test(name));

function programs({ arch }: ReleaseFacts): readonly Entry[] {
  const { addon, monitor, node } = nativeParts(arch);
  return [
    program('bin/podwright', 'hack/launcher/podwright'),
    program('bin/podwrightd', 'hack/launcher/podwrightd'),
    { path: 'bin/podwright-monitor', mode: 0o777, link: '../lib/podwright/podwright-monitor' },
    program(`${lib}/node`, node),
    program(`${lib}/podwright-monitor`, monitor),
    file(`${lib}/addon.node`, addon),
    file(`${lib}/package.json`, 'dist/package.json'),
    ...built(/\.js$/).map((name) => file(`${lib}/${name}`, `dist/${name}`)),
  ];
}

/** Pages that people read, where they are in the tree of sources: so their links to each other hold. */
export function pages(): readonly string[] {
  const docs = readdirSync('docs', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md'));
  const others = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'charts/podwright/README.md'];
  return [...others, ...docs.map((name) => `docs/${name}`)];
}

function documents(facts: ReleaseFacts): readonly Entry[] {
  const components = [nodeComponent(), ...npmComponents(), ...cargoComponents(facts.rustArch)];
  return [
    file(`${doc}/LICENSE`, 'LICENSE'),
    text(`${doc}/THIRD-PARTY-LICENSES.txt`, licencePage(components)),
    text(`${doc}/sbom.cdx.json`, billOfMaterials(facts, components)),
    ...built(/\.LEGAL\.txt$/).map((name) => file(`${doc}/legal/${name}`, `dist/${name}`)),
    ...pages().map((page) => file(`${doc}/${page}`, page)),
  ];
}

function manuals(facts: ReleaseFacts): readonly Entry[] {
  return [
    ...[...manPages(facts)].map(([path, content]) => text(`share/man/${path}`, content)),
    text('share/bash-completion/completions/podwright', completionScript('bash')),
    text('share/zsh/site-functions/_podwright', completionScript('zsh')),
    text('share/fish/vendor_completions.d/podwright.fish', completionScript('fish')),
  ];
}

function settings(bindir: string): readonly Entry[] {
  const unit = readFileSync('hack/release/files/podwrightd.service', 'utf8');
  return [
    text('lib/systemd/system/podwrightd.service', unit.replaceAll('@bindir@', bindir)),
    text('etc/podwright/config.toml', configTemplate()),
    file('etc/crictl.yaml', 'hack/release/files/crictl.yaml'),
  ];
}

/** Every file of the tree but RELEASE.json, in the order of their paths. `bindir`: where the unit finds the programs. */
export function releaseEntries(facts: ReleaseFacts, bindir: string): readonly Entry[] {
  const all = [...programs(facts), ...documents(facts), ...manuals(facts), ...settings(bindir)];
  return all.sort((a, b) => (a.path < b.path ? -1 : 1));
}
