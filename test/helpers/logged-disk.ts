// A disk whose every write is logged, and that can be had as it was when the power went: device-mapper's log-writes, where
// the kernel has it. The log is that of drivers/md/dm-log-writes.c: writes stand before the flush that made them durable.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

const magic = 0x6a736677736872n;
const flag = { flush: 1n, fua: 2n, discard: 4n, mark: 8n } as const;
const sector = 512;

/** One entry of the log, without its data. */
export interface LogEntry {
  /** Where it goes on the disk, in bytes, and how much it is. */
  readonly at: number;
  readonly length: number;
  readonly flush: boolean;
  readonly fua: boolean;
  readonly discard: boolean;
  /** Text of a mark; null for what is written. */
  readonly mark: string | null;
  /** Where its data begins in the log. */
  readonly data: number;
}

const dm = (...args: readonly string[]): string => execFileSync('dmsetup', args, { encoding: 'utf8' });
const loop = (file: string): string => execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim();

/** Why there is none here; null when there can be. */
export function noLoggedDisk(): string | null {
  if (spawnSync('dmsetup', ['--version']).error !== undefined) return 'no dmsetup: apt-get install dmsetup';
  const targets = spawnSync('dmsetup', ['targets'], { encoding: 'utf8' });
  if (targets.status === 0 && /^log-writes /m.test(targets.stdout)) return null;
  return 'this kernel has no dm-log-writes; hack/test.sh vm-power runs where it is';
}

/** A mounted ext4, its log, and what it was at any write. */
export class LoggedDisk {
  /** Where it is mounted while it is. */
  readonly dir: string;
  readonly #place = mkdtempSync('/tmp/pwtd-');
  readonly #name: string;
  readonly #loops: string[] = [];

  constructor(megabytes: number, logMegabytes: number) {
    this.dir = this.#file('d'); // short: sockets are below it
    this.#name = `pwt-power-${process.pid}`;
    mkdirSync(this.dir);
    for (const [name, size] of [
      ['image', megabytes],
      ['log', logMegabytes],
    ] as const) {
      writeFileSync(this.#file(name), '');
      truncateSync(this.#file(name), size * 2 ** 20);
    }
    // lazy work of mkfs is done by the kernel later, and would be in the log
    const lazy = 'lazy_itable_init=0,lazy_journal_init=0';
    execFileSync('mkfs.ext4', ['-q', '-m', '0', '-E', lazy, this.#file('image')]);
    copyFileSync(this.#file('image'), this.#file('blank'));
    for (const name of ['image', 'log']) this.#loops.push(loop(this.#file(name)));
    const [device, log] = this.#loops as [string, string];
    const sectors = (megabytes * 2 ** 20) / sector;
    dm('create', this.#name, '--table', `0 ${sectors} log-writes ${device} ${log}`);
    dm('mknodes', this.#name); // where no udev does
    execFileSync('mount', [`/dev/mapper/${this.#name}`, this.dir]);
  }

  #file(name: string): string {
    return join(this.#place, name);
  }

  /** Leaves a mark in the log, now. */
  mark(text: string): void {
    dm('message', this.#name, '0', 'mark', text);
  }

  /** Takes the disk away; the log stays. */
  end(): void {
    execFileSync('umount', [this.dir]);
    dm('remove', this.#name);
    for (const device of this.#loops.splice(0)) execFileSync('losetup', ['--detach', device]);
  }

  /** What is in the log. */
  entries(): LogEntry[] {
    const fd = openSync(this.#file('log'), 'r');
    try {
      const read = (at: number, length: number): Buffer => {
        const bytes = Buffer.alloc(length);
        readSync(fd, bytes, 0, length, at);
        return bytes;
      };
      const head = read(0, sector);
      if (head.readBigUInt64LE(0) !== magic) throw new Error('this is no log of dm-log-writes');
      const count = Number(head.readBigUInt64LE(16));
      const block = head.readUInt32LE(24);
      const entries: LogEntry[] = [];
      let at = block;
      for (let n = 0; n < count; n += 1) {
        const bytes = read(at, block);
        const [where, sectors, flags, extra] = [0, 8, 16, 24].map((offset) => bytes.readBigUInt64LE(offset)) as [
          bigint,
          bigint,
          bigint,
          bigint,
        ];
        const has = (which: bigint): boolean => (flags & which) !== 0n;
        const length = Number(sectors) * block;
        entries.push({
          at: Number(where) * block,
          length,
          flush: has(flag.flush),
          fua: has(flag.fua),
          discard: has(flag.discard),
          mark: has(flag.mark) ? bytes.toString('latin1', 32, 32 + Number(extra)).replace(/\0.*$/s, '') : null,
          data: at + block,
        });
        // a discard has no data, that of a mark is in its own block
        at += block + (has(flag.discard) || has(flag.mark) ? 0 : length);
      }
      return entries;
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Mounts the disk as it was when the power went after so many entries. Of what no flush had made durable by then each
   * write is there or not, as `chance` says.
   */
  mountAsAfter(entries: readonly LogEntry[], count: number, chance: () => boolean): void {
    const durable = entries.slice(0, count).findLastIndex((entry) => entry.flush) + 1;
    const [from, to] = [openSync(this.#file('log'), 'r'), this.#blank()];
    for (const [n, entry] of entries.slice(0, count).entries()) {
      if (entry.mark !== null || entry.length === 0) continue;
      if (n >= durable && !entry.fua && chance()) continue;
      const bytes = Buffer.alloc(entry.length);
      if (!entry.discard) readSync(from, bytes, 0, entry.length, entry.data);
      writeSync(to, bytes, 0, entry.length, entry.at);
    }
    fsyncSync(to);
    for (const fd of [from, to]) closeSync(fd);
    execFileSync('mount', ['-o', 'loop', this.#file('image'), this.dir]);
  }

  #blank(): number {
    copyFileSync(this.#file('blank'), this.#file('image'));
    return openSync(this.#file('image'), 'r+');
  }

  /** Takes away what mountAsAfter mounted. */
  unmount(): void {
    execFileSync('umount', [this.dir]);
  }

  /** Everything goes, whatever state it is in. */
  remove(): void {
    spawnSync('umount', ['-l', this.dir]);
    spawnSync('dmsetup', ['remove', this.#name]);
    for (const device of this.#loops.splice(0)) spawnSync('losetup', ['--detach', device]);
    rmSync(this.#place, { recursive: true, force: true });
  }
}
