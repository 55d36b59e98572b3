// Run-time files of sandboxes and containers under the state directory: bundles, pod files, exit facts.
// Nothing here is synced: it vanishes, by meaning, with the boot (docs/state.md).
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';

/** A pod's own files, bound over the image's. */
export interface PodFiles {
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
}

/** Where they lie. */
export interface PodFilePaths {
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
}

/** What the host says of itself, read anew for each pod: operators edit these files. */
export interface HostFiles {
  readonly hostname: string;
  readonly hosts: string;
  readonly resolvConf: string;
}

/** Content of an exit file, as the monitor wrote it; null members stay away. */
export type ExitFile = Readonly<Record<string, unknown>>;

export interface RunFilesOptions {
  readonly sandboxRunDir: (id: string) => string;
  readonly bundleDir: (id: string) => string;
  readonly monitorSocket: (id: string) => string;
  readonly netnsPin: (id: string) => string;
}

/** Processes of bundles kept in memory, at most: those that probes run in again and again. */
const keptProcesses = 64;

export class RunFiles {
  readonly #options: RunFilesOptions;
  /** By container id, the longest unused first. Ids are never used again, and a bundle does not change. */
  readonly #processes = new Map<string, object>();

  constructor(options: RunFilesOptions) {
    this.#options = options;
  }

  /** Paths of a pod's files. */
  podFilePaths(sandboxId: string): PodFilePaths {
    const dir = this.#options.sandboxRunDir(sandboxId);
    return { hosts: join(dir, 'hosts'), hostname: join(dir, 'hostname'), resolvConf: join(dir, 'resolv.conf') };
  }

  /** Writes a pod's files; readable by all, as containers of any user must read them. */
  writePodFiles(sandboxId: string, files: PodFiles): void {
    const paths = this.podFilePaths(sandboxId);
    mkdirSync(dirname(paths.hosts), { recursive: true, mode: 0o700 });
    writeFileSync(paths.hosts, files.hosts, { mode: 0o644 });
    writeFileSync(paths.hostname, files.hostname, { mode: 0o644 });
    writeFileSync(paths.resolvConf, files.resolvConf, { mode: 0o644 });
  }

  /** The host's own files, each read when it is asked for; an absent one is empty. */
  hostFiles(): HostFiles {
    return {
      hostname: hostname(),
      get hosts() {
        return readOrEmpty('/etc/hosts');
      },
      get resolvConf() {
        return readOrEmpty('/etc/resolv.conf');
      },
    };
  }

  /** Where a container's bundle is. */
  bundleDir(containerId: string): string {
    return this.#options.bundleDir(containerId);
  }

  /** Makes a bundle: a directory with `config.json` (0600: it holds the environment). Returns its path. */
  writeBundle(containerId: string, spec: unknown): string {
    const dir = this.#options.bundleDir(containerId);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    writeFileSync(join(dir, 'config.json'), JSON.stringify(spec), { mode: 0o600 });
    return dir;
  }

  /** The same of a pod's own container, where its runtime has one. */
  writePodBundle(sandboxId: string, spec: unknown): string {
    const dir = join(this.#options.sandboxRunDir(sandboxId), 'pod');
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    writeFileSync(join(dir, 'config.json'), JSON.stringify(spec), { mode: 0o600 });
    return dir;
  }

  /** The spec of a bundle; null when it is gone. */
  readBundle(containerId: string): unknown {
    const text = readOrEmpty(join(this.#options.bundleDir(containerId), 'config.json'));
    return text === '' ? null : JSON.parse(text);
  }

  /** The `process` of a bundle's spec, shared by all who ask: not to be changed. Null when the bundle is gone. */
  readProcess(containerId: string): object | null {
    const found =
      this.#processes.get(containerId) ??
      (this.readBundle(containerId) as { readonly process: object } | null)?.process;
    if (found === undefined) return null;
    this.#processes.delete(containerId);
    this.#processes.set(containerId, found);
    if (this.#processes.size > keptProcesses) this.#processes.delete(this.#processes.keys().next().value as string);
    return found;
  }

  /** Where the monitor puts a container's exit fact. */
  exitFile(containerId: string): string {
    return join(this.#options.bundleDir(containerId), 'exit.json');
  }

  /** The exit fact that a monitor left; null when there is none, or one that a power cut tore (it is never synced). */
  readExit(containerId: string): ExitFile | null {
    const text = readOrEmpty(this.exitFile(containerId));
    try {
      const found: unknown = JSON.parse(text);
      return typeof found === 'object' && !Array.isArray(found) ? (found as ExitFile | null) : null;
    } catch {
      return null;
    }
  }

  /** Frees a bundle. */
  async removeBundle(containerId: string): Promise<void> {
    this.#processes.delete(containerId);
    await rm(this.#options.bundleDir(containerId), { recursive: true, force: true });
  }

  /** Frees a sandbox's run-time files, its monitor's socket and the file its netns was pinned on. */
  async removeSandboxFiles(sandboxId: string): Promise<void> {
    const { sandboxRunDir, monitorSocket, netnsPin } = this.#options;
    await rm(sandboxRunDir(sandboxId), { recursive: true, force: true });
    rmSync(monitorSocket(sandboxId), { force: true });
    rmSync(netnsPin(sandboxId), { force: true });
  }

  /** Whether a sandbox's netns is (or was) pinned. */
  hasNetnsPin(sandboxId: string): boolean {
    return existsSync(this.#options.netnsPin(sandboxId));
  }
}

/** Names in a directory; none when it does not exist. */
export const namesIn = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : []);

/** Removes all that is in a directory; one that is not there is empty. */
export function emptyDirectory(dir: string): void {
  for (const name of namesIn(dir)) rmSync(join(dir, name), { recursive: true, force: true });
}

/** Makes the directories of a daemon, for root's eyes only. */
export function makeDirectories(dirs: readonly string[]): void {
  for (const dir of dirs) mkdirSync(dir, { recursive: true, mode: 0o700 });
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** Writes this process's id for `npm run down` and benchmarks (ruling 26). */
export const writePidFile = (path: string): void => writeFileSync(path, `${process.pid}\n`, { mode: 0o644 });

/** Takes the pid file away. */
export const dropPidFile = (path: string): void => rmSync(path, { force: true });
