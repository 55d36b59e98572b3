// PURE
// Which manifest of an index is for this machine (image-spec, image-index.md; containerd's order).
// Must not look at the machine: the host's platform is a value.
import { invalidArgument } from '../lib/failure.ts';
import type { IndexEntry } from './manifest.ts';

/** OCI names: os `linux`, architecture `amd64`, variant `v8` or "". */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

const architectures: Readonly<Record<string, Platform>> = {
  x64: { os: 'linux', architecture: 'amd64', variant: '' },
  arm64: { os: 'linux', architecture: 'arm64', variant: 'v8' },
  arm: { os: 'linux', architecture: 'arm', variant: 'v7' },
  ia32: { os: 'linux', architecture: '386', variant: '' },
  riscv64: { os: 'linux', architecture: 'riscv64', variant: '' },
  ppc64: { os: 'linux', architecture: 'ppc64le', variant: '' },
  s390x: { os: 'linux', architecture: 's390x', variant: '' },
  loong64: { os: 'linux', architecture: 'loong64', variant: '' },
};

/** The platform of a machine that Node calls `arch` (`process.arch`); an unknown name is kept. */
export const platformOf = (arch: string): Platform =>
  architectures[arch] ?? { os: 'linux', architecture: arch, variant: '' };

/** `linux/arm64/v8`. */
export const platformText = (p: Platform): string =>
  [p.os, p.architecture, p.variant].filter((part) => part !== '').join('/');

/** Reads `linux/arm64` or `linux/arm/v7`. Throws invalid-argument. */
export function parsePlatform(text: string): Platform {
  const [, os, architecture, variant = ''] = /^([a-z0-9]+)\/([a-z0-9_-]+)(?:\/([a-z0-9]+))?$/i.exec(text) ?? [];
  if (os === undefined || architecture === undefined)
    throw invalidArgument(
      `platform ${JSON.stringify(text)} is not of the form os/architecture or os/architecture/variant`,
    );
  const name = architecture.toLowerCase();
  return { os: os.toLowerCase(), architecture: spellings[name] ?? name, variant: variant.toLowerCase() };
}

const spellings: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  i386: '386',
};

/** What the host runs, best first. An entry without variant means the architecture's base. */
function preferences(host: Platform): { architecture: string; variants: readonly string[] }[] {
  const armVersions = ['v8', 'v7', 'v6', 'v5'];
  switch (host.architecture) {
    case 'amd64': {
      const level = Number(/^v([1-4])$/.exec(host.variant)?.[1] ?? 1);
      const levels = ['v4', 'v3', 'v2', 'v1'].slice(4 - level);
      return [
        { architecture: 'amd64', variants: [...levels, ''] },
        { architecture: '386', variants: [''] },
      ];
    }
    case 'arm64':
      return [
        { architecture: 'arm64', variants: ['v8', ''] },
        { architecture: 'arm', variants: [...armVersions, ''] },
      ];
    case 'arm': {
      const from = armVersions.indexOf(host.variant === '' ? 'v7' : host.variant);
      return [{ architecture: 'arm', variants: [...armVersions.slice(Math.max(from, 0)), ''] }];
    }
    default:
      return [{ architecture: host.architecture, variants: [host.variant, ''] }];
  }
}

/**
 * The entries of an index that this host can run, best first; of equals the first in the index. Entries
 * without a platform come last (nested indexes, images of tools that do not say); attestations and other
 * systems do not come at all.
 */
export function choosePlatform(host: Platform, entries: readonly IndexEntry[]): IndexEntry[] {
  const rankOf = ranking(host);
  return entries
    .map((entry) => ({ entry, rank: entry.platform === null ? Number.MAX_SAFE_INTEGER : rankOf(entry.platform) }))
    .filter((r) => r.rank >= 0)
    .sort((a, b) => a.rank - b.rank)
    .map((r) => r.entry);
}

/** Whether what is made for `made` runs on `host`. A config without a platform says nothing against it. */
export const isFor = (host: Platform, made: Platform): boolean =>
  (made.os === '' && made.architecture === '') || ranking(host)(made) >= 0;

/** How well a platform does for a host: 0 is best, below 0 is not at all. */
function ranking(host: Platform): (made: Platform) => number {
  const ranks = preferences(host);
  return ({ os, architecture, variant }) => {
    if (os !== host.os) return -1;
    const name = architecture.toLowerCase();
    const at = ranks.findIndex((r) => r.architecture === (spellings[name] ?? name));
    const within = at < 0 ? -1 : (ranks[at]?.variants.indexOf(variant.toLowerCase()) ?? -1);
    return within < 0 ? -1 : at * 100 + within;
  };
}
