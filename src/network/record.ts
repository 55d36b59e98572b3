// `network.json` of a sandbox: what was asked of the network and what came of it, written before the first
// effect, so that releasing always has its input, also after a reboot or without the configuration.
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { replaceFile, syncPathIfThere, syncPathNow } from '../files/sync.ts';
import { isObjectId } from '../lib/id.ts';
import type { BridgeNetwork } from './bridge/settings.ts';
import type { NetworkConfig } from './cni/conflist.ts';
import type { Attachment, AttachRequest } from './request.ts';

/** A pod on a bridge of ours. */
export interface BridgeRecord {
  readonly driver: 'bridge';
  readonly request: AttachRequest;
  readonly network: BridgeNetwork;
  /** One per range set; null until they are reserved. */
  readonly addresses: readonly string[] | null;
}

/** A pod connected by plugins. */
export interface PluginRecord {
  readonly driver: 'plugins';
  readonly request: AttachRequest;
  readonly config: NetworkConfig;
  readonly podCidr: string;
  /** What the last plugin printed; null until all have. */
  readonly result: unknown;
  readonly attachment: Attachment | null;
}

export type NetworkRecord = BridgeRecord | PluginRecord;

/** The name of the network that a record is about. */
export const networkName = (record: NetworkRecord): string =>
  record.driver === 'bridge' ? record.network.name : record.config.name;

const formatVersion = 1;
const fileName = 'network.json';
// a power cut takes at most what happened within this time, as with all records
const syncDelayMs = 500;

const checksum = (json: string): string => crc32(json).toString(16).padStart(8, '0');

/** A record that cannot be used; `newer`: it is of a release after this one and must be left alone. */
export class UnreadableRecord extends Error {
  readonly newer: boolean;
  constructor(file: string, why: string, newer = false) {
    super(`network record ${file}: ${why}`);
    this.name = 'UnreadableRecord';
    this.newer = newer;
  }
}

/** A record that is not durable yet. `lost`: a sync of it failed, so it is to be written anew (fsync(2), NOTES). */
interface Unsynced {
  readonly text: string;
  readonly lost: boolean;
}

/** The records of all sandboxes. */
export class NetworkRecords {
  readonly #dirOf: (sandboxId: string) => string;
  readonly #onError: (error: unknown) => void;
  readonly #sync: typeof syncPathIfThere;
  readonly #unsynced = new Map<string, Unsynced>();
  #timer: NodeJS.Timeout | null = null;
  /** Whether the last group sync failed: it is told once. */
  #failing = false;

  /** `sync` makes a file, or the names in a directory, durable: fsync(2) unless given. */
  constructor(dirOf: (sandboxId: string) => string, onError: (error: unknown) => void, sync = syncPathIfThere) {
    this.#dirOf = dirOf;
    this.#onError = onError;
    this.#sync = sync;
  }

  #file(sandboxId: string): string {
    return join(this.#dirOf(sandboxId), fileName);
  }

  /** Replaces a sandbox's record by one rename. `sync`: it is durable when this returns. */
  write(record: NetworkRecord, options: { readonly sync: boolean }): void {
    const file = this.#file(record.request.sandboxId);
    const json = JSON.stringify(record);
    const text = `{"version":${formatVersion},"checksum":"${checksum(json)}","data":${json}}\n`;
    replaceFile(file, text, options);
    this.#unsynced.delete(file);
    if (options.sync) syncPathNow(dirname(file));
    else this.#syncSoon(file, { text, lost: false });
  }

  /** A sandbox's record; null when there is none. Throws UnreadableRecord. */
  read(sandboxId: string): NetworkRecord | null {
    const file = this.#file(sandboxId);
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return null;
      throw error;
    }
    return decode(text, file);
  }

  /** Removes a sandbox's record; one that is gone is fine. */
  remove(sandboxId: string): void {
    const file = this.#file(sandboxId);
    this.#unsynced.delete(file);
    rmSync(file, { force: true });
    rmSync(`${file}.new`, { force: true });
  }

  /** The ids of all sandboxes that have a record. */
  ids(): string[] {
    const sandboxes = dirname(this.#dirOf('0'));
    return namesIn(sandboxes).filter((id) => isObjectId(id) && namesIn(join(sandboxes, id)).includes(fileName));
  }

  /** Makes durable what is not yet; what fails is tried again by itself. Rejects with the first failure. */
  async flush(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const failures: unknown[] = [];
    for (const [file, unsynced] of this.#unsynced) {
      // an entry that is another one by now, or gone, is of another write, or of a record that was released
      const isLast = (): boolean => this.#unsynced.get(file) === unsynced;
      try {
        if (unsynced.lost && isLast()) replaceFile(file, unsynced.text, { sync: false });
        await this.#sync(file);
        await this.#sync(dirname(file));
        if (isLast()) this.#unsynced.delete(file);
      } catch (error) {
        failures.push(error);
        if (isLast()) this.#syncSoon(file, { text: unsynced.text, lost: true });
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  #syncSoon(file: string, unsynced: Unsynced): void {
    this.#unsynced.set(file, unsynced);
    this.#timer ??= setTimeout(() => {
      this.flush().then(
        () => void (this.#failing = false),
        (error: unknown) => {
          if (!this.#failing) this.#onError(error);
          this.#failing = true;
        },
      );
    }, syncDelayMs).unref();
  }
}

function decode(text: string, file: string): NetworkRecord {
  let envelope: { version?: unknown; checksum?: unknown; data?: unknown } | null;
  try {
    envelope = JSON.parse(text) as typeof envelope;
  } catch (error) {
    throw new UnreadableRecord(file, (error as Error).message);
  }
  if (typeof envelope !== 'object' || envelope === null || typeof envelope.version !== 'number') {
    throw new UnreadableRecord(file, 'no envelope');
  }
  if (envelope.version > formatVersion) {
    throw new UnreadableRecord(file, `format version ${envelope.version} is not read by this release`, true);
  }
  if (checksum(JSON.stringify(envelope.data)) !== envelope.checksum)
    throw new UnreadableRecord(file, 'checksum differs');
  return envelope.data as NetworkRecord;
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}
