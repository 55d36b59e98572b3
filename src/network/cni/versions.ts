// Which version of CNI all plugins of a configuration speak (VERSION). Must not decide which configuration is used.
import { stat } from 'node:fs/promises';
import { Failure, failedPrecondition } from '../../lib/failure.ts';
import { isPlain, type NetworkConfig } from './conflist.ts';
import type { PluginOptions } from './plugins.ts';
import { findPlugin, runPlugin } from './run-plugin.ts';

/** What a program said; null: it said nothing of use, as scripts often do, or could not be asked. */
interface Known {
  readonly mark: string;
  readonly versions: Promise<readonly string[] | null>;
}

/** It ran to its end and refused. One that timed out, was killed or could not be started may answer the next time. */
const refused = (error: unknown): boolean =>
  error instanceof Failure && ('exitCode' in error.details || 'pluginCode' in error.details);

/** The versions that plugins speak, asked once for each program as it is on the disk. */
export class PluginVersions {
  readonly #options: PluginOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: PluginOptions) {
    this.#options = options;
  }

  /**
   * The configuration in the newest of its versions that every plugin speaks. A plugin that does not answer VERSION
   * is taken to speak all of them: its ADD will say otherwise. Throws unavailable when a plugin is not there,
   * failed-precondition when there is no common version.
   */
  async negotiate(config: NetworkConfig): Promise<NetworkConfig> {
    let common = config.versions;
    for (const { type } of config.plugins) {
      const spoken = await this.#spokenBy(type);
      const left = spoken === null ? common : common.filter((version) => spoken.includes(version));
      if (left.length === 0) {
        const wanted = common.join(', ');
        throw failedPrecondition(`CNI plugin ${type} speaks ${spoken?.join(', ')}, network ${config.name} ${wanted}`);
      }
      common = left;
    }
    const cniVersion = common[0] ?? config.cniVersion;
    return cniVersion === config.cniVersion ? config : { ...config, cniVersion };
  }

  async #spokenBy(type: string): Promise<readonly string[] | null> {
    const program = await findPlugin(type, this.#options.binDirs);
    const { ino, size, mtimeNs } = await stat(program, { bigint: true });
    const mark = `${ino} ${size} ${mtimeNs}`;
    const before = this.#known.get(program);
    if (before?.mark === mark) return before.versions;
    // a plugin that cannot say its versions may yet do its work
    const versions = this.#ask(type).catch((error: unknown) => {
      if (!refused(error) && this.#known.get(program)?.versions === versions) this.#known.delete(program);
      return null;
    });
    this.#known.set(program, { mark, versions });
    return versions;
  }

  async #ask(type: string): Promise<readonly string[] | null> {
    const { binDirs, timeoutMs } = this.#options;
    const answer = await runPlugin({
      type,
      command: 'VERSION',
      binDirs,
      environment: { CNI_COMMAND: 'VERSION', CNI_PATH: binDirs.join(':') },
      input: '{"cniVersion":"1.0.0"}',
      timeoutMs,
      signal: null,
    });
    return supportedVersions(answer);
  }
}

/** `supportedVersions` of an answer to VERSION; null when it is none. */
export function supportedVersions(stdout: string): readonly string[] | null {
  let answer: unknown;
  try {
    answer = JSON.parse(stdout);
  } catch {
    return null;
  }
  const list = isPlain(answer) ? answer['supportedVersions'] : null;
  if (!Array.isArray(list)) return null;
  const versions = (list as unknown[]).filter((each) => typeof each === 'string');
  return versions.length === 0 ? null : versions;
}
