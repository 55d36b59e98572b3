// Address allocations on disk, in the very format of the host-local plugin: a file per address that holds
// "<sandbox id>\r\n<interface>", `last_reserved_ip.<set>`, and the flock of `lock` around every change. So a
// host can go from plugins to us and back, and both may run at once.
import {
  closeSync,
  openSync,
  readFileSync,
  readdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { resourceExhausted } from '../../lib/failure.ts';
import { formatIp, parseIp } from '../ip.ts';
import { nextFree, subnetsOf, type RangeSet } from './ranges.ts';

/** Whose an address is. */
export interface Owner {
  readonly sandboxId: string;
  readonly interface: string;
}

/** Waits for the lock of a file and gives its descriptor, which unlocks when closed (flock(2)). */
export type Lock = (path: string) => Promise<number>;

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** The allocations of one network. Files are a few bytes in the page cache: synchronous under the lock. */
export class HostLocalStore {
  readonly #dir: string;
  readonly #lock: Lock;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(dataDir: string, network: string, lock: Lock) {
    this.#dir = join(dataDir, network);
    this.#lock = lock;
  }

  /** One address from each set, the next free after the last given; none is kept when one set is exhausted. */
  reserve(owner: Owner, sets: readonly RangeSet[]): Promise<string[]> {
    return this.#alone(() => {
      const taken: string[] = [];
      try {
        for (const [at, set] of sets.entries()) taken.push(this.#reserveOne(owner, set, at));
      } catch (error) {
        for (const ip of taken) unlinkSync(join(this.#dir, ip));
        throw error;
      }
      return taken;
    });
  }

  /** Gives back what this owner has: the addresses known, or whatever is found when they are not. */
  release(owner: Owner, known: readonly string[] | null): Promise<string[]> {
    return this.#alone(() => {
      const candidates = known ?? this.#addresses();
      return candidates.filter((ip) => {
        const found = this.#ownerOf(ip);
        const same = found?.sandboxId === owner.sandboxId && ['', owner.interface].includes(found.interface);
        return same && this.#remove(ip);
      });
    });
  }

  /** Of a sandbox's addresses those that are not allocated to it any more. */
  async notOf(sandboxId: string, addresses: readonly string[]): Promise<string[]> {
    return addresses.filter((ip) => this.#ownerOf(ip)?.sandboxId !== sandboxId);
  }

  /** Gives back what belongs to no live sandbox, and what a crash left half written: the addresses. */
  collect(live: ReadonlySet<string>): Promise<string[]> {
    return this.#alone(() =>
      this.#addresses().filter((ip) => !live.has(this.#ownerOf(ip)?.sandboxId ?? '') && this.#remove(ip)),
    );
  }

  async #alone<T>(work: () => T): Promise<T> {
    // one of us at a time asks for the lock, so that one native thread at most waits for it
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#turn;
    this.#turn = promise;
    await before;
    try {
      const lock = await this.#lock(join(this.#dir, 'lock'));
      try {
        return work();
      } finally {
        closeSync(lock);
      }
    } finally {
      resolve();
    }
  }

  #reserveOne(owner: Owner, set: RangeSet, at: number): string {
    const lastFile = join(this.#dir, `last_reserved_ip.${at}`);
    const last = parseIp(this.#read(lastFile)?.trim() ?? '');
    const names = new Set(readdirSync(this.#dir));
    const ip =
      nextFree(set, last, (text) => names.has(text)) ??
      // a file without an owner is what a writer left that died under this lock
      nextFree(set, last, (text) => names.has(text) && !this.#isEmpty(text));
    if (ip === null) throw resourceExhausted(`no address is left in subnet ${subnetsOf(set)}`);
    const text = formatIp(ip);
    if (names.has(text)) this.#remove(text);
    const file = openSync(join(this.#dir, text), 'wx', 0o600);
    try {
      try {
        writeSync(file, `${owner.sandboxId}\r\n${owner.interface}`);
      } finally {
        closeSync(file);
      }
      writeFileSync(lastFile, text, { mode: 0o600 });
    } catch (error) {
      this.#remove(text); // a full disk: nobody will know that it is reserved
      throw error;
    }
    return text;
  }

  #addresses(): string[] {
    return readdirSync(this.#dir).filter((name) => parseIp(name) !== null);
  }

  #ownerOf(ip: string): Owner | null {
    const text = this.#read(join(this.#dir, ip));
    if (text === null || text.trim() === '') return null;
    // files of old plugins hold the id alone
    const [sandboxId = '', name = ''] = text.trim().split(/\r?\n/);
    return { sandboxId, interface: name };
  }

  #isEmpty(ip: string): boolean {
    return statSync(join(this.#dir, ip)).size === 0;
  }

  #read(file: string): string | null {
    try {
      return readFileSync(file, 'utf8');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  #remove(ip: string): boolean {
    try {
      unlinkSync(join(this.#dir, ip));
      return true;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    }
  }
}
