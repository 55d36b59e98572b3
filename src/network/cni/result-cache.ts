// Results of ADD as libcni keeps them, `<dir>/results/<network>-<id>-<interface>`: what other tools of a node read,
// and what DEL goes by when our own record of the attachment is lost. Must not execute plugins.
import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../../files/sync.ts';
import { isPlain, parseNetworkConfig, type NetworkConfig } from './conflist.ts';
import type { PluginRuntime } from './plugin-input.ts';
import type { PluginAttachment } from './plugins.ts';

const kind = 'cniCacheV1';

/** An attachment out of the cache. */
export interface CachedAttachment extends PluginAttachment {
  readonly result: unknown;
}

/** The configuration as one list, with the plugins that came out of its directory. */
function listText(config: NetworkConfig): string {
  return JSON.stringify({
    cniVersion: config.cniVersion,
    name: config.name,
    ...(config.disableCheck ? { disableCheck: true } : {}),
    ...(config.disableGc ? { disableGC: true } : {}),
    ...(config.cniVersion === '1.1.0' ? { loadOnlyInlinedPlugins: true } : {}),
    plugins: config.plugins.map(({ raw }) => raw),
  });
}

/** The cache in one directory. Files are small, and few are written: synchronous. */
export class ResultCache {
  readonly #dir: string;

  constructor(cacheDir: string) {
    this.#dir = join(cacheDir, 'results');
  }

  #file(network: string, { containerId, interface: name }: PluginRuntime): string {
    return join(this.#dir, `${network}-${containerId}-${name}`);
  }

  /** Keeps the result of an ADD, by one rename. */
  write({ config, runtime }: PluginAttachment, of: { readonly netns: string; readonly result: unknown }): void {
    const file = this.#file(config.name, runtime);
    const cached = {
      kind,
      containerId: runtime.containerId,
      config: Buffer.from(listText(config)).toString('base64'),
      ifName: runtime.interface,
      networkName: config.name,
      netns: of.netns,
      cniArgs: runtime.args,
      capabilityArgs: runtime.capabilityArgs,
      result: of.result,
    };
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    const beside = join(this.#dir, `.${runtime.containerId}-${runtime.interface}.new`);
    replaceFile(file, JSON.stringify(cached), { sync: false, beside });
  }

  /** Forgets a result; one that is not there is fine. */
  remove({ config, runtime }: PluginAttachment): void {
    rmSync(this.#file(config.name, runtime), { force: true });
  }

  /** Every attachment of a container. What cannot be read is not one. */
  of(containerId: string): CachedAttachment[] {
    return this.#names()
      .filter((name) => name.includes(`-${containerId}-`))
      .flatMap((name) => {
        const cached = decode(readFileSync(join(this.#dir, name), 'utf8'));
        return cached?.runtime.containerId === containerId ? [cached] : [];
      });
  }

  #names(): string[] {
    try {
      return readdirSync(this.#dir);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }
}

/** Reads one file of the cache; null for another format. */
export function decode(text: string): CachedAttachment | null {
  try {
    const cached: unknown = JSON.parse(text);
    if (!isPlain(cached) || cached['kind'] !== kind) return null;
    const { containerId, ifName, config, cniArgs, capabilityArgs, result } = cached;
    if (typeof containerId !== 'string' || typeof ifName !== 'string' || typeof config !== 'string') return null;
    const args = Array.isArray(cniArgs) ? (cniArgs as unknown[]).filter(isPair) : [];
    return {
      config: parseNetworkConfig(Buffer.from(config, 'base64').toString('utf8')),
      runtime: {
        containerId,
        interface: ifName,
        args,
        capabilityArgs: isPlain(capabilityArgs) ? capabilityArgs : {},
      },
      result: result ?? null,
    };
  } catch {
    return null; // not JSON, or a configuration that we do not speak
  }
}

const isPair = (value: unknown): value is readonly [string, string] =>
  Array.isArray(value) && value.length === 2 && value.every((each) => typeof each === 'string');
