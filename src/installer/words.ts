// PURE
// The command lines that the host is given, and the wish that they fulfil.
// Must not run anything.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Change, Wish } from './decide.ts';

/** The host: directories, and whose namespaces are its own. */
export interface HostPlaces {
  /** Name of a process in the host's namespaces, such as "kubelet"; "" for process 1. */
  readonly process: string;
  readonly prefix: string;
  readonly configDir: string;
  readonly journalDir: string;
  /** "" for no links. */
  readonly linkDir: string;
}

/** What the chart's values say of this node, but for its configuration. */
export interface InstallerSettings {
  readonly node: string;
  readonly switch: boolean;
  readonly purge: boolean;
  readonly host: HostPlaces;
  /** Options of `podwright install` and `podwright node switch`, by name without dashes, that are passed on as they are. */
  readonly daemon: Readonly<Record<string, string>>;
  /** Those of `podwright node switch` alone. */
  readonly kubelet: Readonly<Record<string, string>>;
}

/** What the settings of the chart are called on the host. */
export const configName = 'conf.d/50-helm.toml';

/** Where the settings wait for a change to take them, below the prefix. */
export const waitingConfig = 'helm.toml';

/** The wish for a node. */
export function wishOf(
  settings: InstallerSettings,
  about: { readonly retire: boolean; readonly release: string; readonly digest: string; readonly config: string },
): Wish {
  const { purge: _, ...told } = settings; // says only how to go
  const all = JSON.stringify([told, about.digest, about.config]);
  return {
    retire: about.retire,
    switch: settings.switch,
    release: about.release,
    config: about.config,
    digest: createHash('sha256').update(all).digest('hex').slice(0, 16),
  };
}

const flags = (options: Readonly<Record<string, string>>): readonly string[] =>
  Object.entries(options).flatMap(([name, value]) => (value === '' ? [] : [`--${name}=${value}`]));

/** Where the journal is: every command that looks at it or changes the node is told. */
export const journalWords = ({ journalDir }: HostPlaces): readonly string[] => [`--journal-dir=${journalDir}`];

/** The words after `podwright` for a change, or for what takes one up that was interrupted. */
export function wordsFor(change: Change | 'resume', settings: InstallerSettings, wish: Wish): readonly string[] {
  const { prefix, configDir, linkDir } = settings.host;
  const journal = journalWords(settings.host);
  const places = [`--prefix=${prefix}`, `--config-dir=${configDir}`, `--link-dir=${linkDir}`, ...journal];
  const config = [`--config=${join(prefix, waitingConfig)}`, `--config-as=${configName}`];
  const release = [
    `--release=${wish.release}`,
    ...config,
    ...places,
    ...flags(settings.daemon),
    `--wish=${wish.digest}`,
  ];
  switch (change) {
    case 'install':
      return ['install', ...release];
    case 'switch':
      return ['node', 'switch', ...release, ...flags(settings.kubelet), `--node=${settings.node}`];
    case 'revert':
      return ['node', 'revert', ...journal];
    case 'resume':
      return ['node', 'resume', ...journal];
    case 'uninstall':
      return ['uninstall', ...(wish.retire && settings.purge ? ['--purge'] : []), ...places];
  }
}
