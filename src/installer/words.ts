// PURE
// The command lines that the host is given, and the wish that they fulfil.
// Must not run anything.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Change, Wish } from './decide.ts';

/** What the chart's values say of this node, but for its configuration. */
export interface InstallerSettings {
  readonly node: string;
  readonly switch: boolean;
  readonly purge: boolean;
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

/** The words after `podwright` for a change. */
export function wordsFor(
  change: Change,
  settings: InstallerSettings,
  wish: Wish & { readonly prefix: string },
): readonly string[] {
  const config = [`--config=${join(wish.prefix, waitingConfig)}`, `--config-as=${configName}`];
  const release = [`--release=${wish.release}`, ...config, ...flags(settings.daemon)];
  switch (change) {
    case 'install':
      return ['install', ...release];
    case 'switch':
      return ['node', 'switch', ...release, ...flags(settings.kubelet), `--node=${settings.node}`];
    case 'revert':
      return ['node', 'revert'];
    case 'uninstall':
      return ['uninstall', ...(wish.retire && settings.purge ? ['--purge'] : [])];
  }
}
