// What a release is made from: version, commit, time, architecture. Must not write anything.
import { execFileSync } from 'node:child_process';
import { recordVersion } from '../../src/state/record.ts';
import { protocolVersion } from '../../src/monitor/monitors.ts';
import { version } from '../../src/config/version.ts';

/** Names of the architectures: Node's, Debian's, Rust's. */
const architectures = [
  { node: 'x64', release: 'amd64', rust: 'x86_64' },
  { node: 'arm64', release: 'arm64', rust: 'aarch64' },
] as const;

/** What differs from one architecture to the other, as paths below the top. */
export interface NativeParts {
  readonly addon: string;
  readonly monitor: string;
  readonly node: string;
}

/** Where hack/build.sh leaves them: those of another machine's architecture lie apart, with its Node. */
export function nativeParts(arch: string): NativeParts {
  const own = architectures.find(({ node }) => node === process.arch)?.release === arch;
  const dist = own ? 'dist' : `dist-${arch}`;
  return {
    addon: `${dist}/addon.node`,
    monitor: `${dist}/podwright-monitor`,
    node: own ? 'node_modules/node/bin/node' : `${dist}/node`,
  };
}

/** What is true of one release. */
export interface ReleaseFacts {
  readonly version: string;
  /** Full hash, with "-dirty" for a tree that differs from it; "unknown" outside of a git tree. */
  readonly commit: string;
  /** Debian's and Kubernetes's name: "amd64". */
  readonly arch: string;
  /** Rust's name: "x86_64". */
  readonly rustArch: string;
  /** Seconds since 1970 that every file is stamped with: SOURCE_DATE_EPOCH, else the commit's time. */
  readonly epoch: number;
  /** Versions of the record envelope that are read, and the one that is written. */
  readonly records: { readonly oldest: number; readonly newest: number; readonly writes: number };
  /** Versions of the protocol between daemon and monitor that this release's daemon speaks. */
  readonly monitorProtocol: { readonly oldest: number; readonly newest: number };
}

/** The first version there ever was of records and of the protocol: every release until now reads and speaks it. */
const first = 1;

function git(...args: readonly string[]): string | null {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return null; // no git, or a tree that was unpacked from an archive
  }
}

/**
 * Reads them, for the architecture with this name or for that of this machine; `env` may set PODWRIGHT_COMMIT and
 * SOURCE_DATE_EPOCH. Throws for an architecture that is not known.
 */
export function releaseFacts(
  name?: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): ReleaseFacts {
  const arch = architectures.find(({ node, release }) =>
    name === undefined ? node === process.arch : release === name,
  );
  if (arch === undefined) throw new Error(`no release is made for ${name ?? process.arch}`);
  const hash = git('rev-parse', 'HEAD');
  const dirty = hash !== null && git('status', '--porcelain', '--untracked-files=no') !== '' ? '-dirty' : '';
  const epoch = Number(env['SOURCE_DATE_EPOCH'] ?? git('log', '-1', '--format=%ct') ?? '315532800');
  if (!Number.isSafeInteger(epoch)) throw new Error('SOURCE_DATE_EPOCH is not a number of seconds');
  return {
    version,
    commit: env['PODWRIGHT_COMMIT'] ?? (hash === null ? 'unknown' : `${hash}${dirty}`),
    arch: arch.release,
    rustArch: arch.rust,
    epoch,
    records: { oldest: first, newest: recordVersion, writes: recordVersion },
    monitorProtocol: { oldest: first, newest: protocolVersion },
  };
}
