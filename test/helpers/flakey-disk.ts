// A disk that stops to take or to give what is asked of it, while it is in use: device-mapper's flakey and error, where the
// kernel has them.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './until.ts';

/** How a disk may be: whole; writes vanish without an error, or fail, or reads fail, or everything does. */
export type Disposition = 'works' | 'drops writes' | 'fails writes' | 'fails reads' | 'fails';

const sector = 512;
/** Seconds that it may last; a test takes less. */
const long = 36_000;

const dm = (...args: readonly string[]): string => execFileSync('dmsetup', args, { encoding: 'utf8' });

/** Why there is none here; null when there can be. */
export function noFlakeyDisk(): string | null {
  if (spawnSync('dmsetup', ['--version']).error !== undefined) return 'no dmsetup: apt-get install dmsetup';
  const targets = spawnSync('dmsetup', ['targets'], { encoding: 'utf8' });
  if (targets.status === 0 && /^flakey /m.test(targets.stdout)) return null;
  return 'this kernel has no dm-flakey; hack/test.sh vm-power runs where it is';
}

let serial = 0;

/** An ext4 on such a disk, mounted. */
export class FlakeyDisk {
  /** Where it is mounted while it is. */
  readonly dir: string;
  readonly #place = mkdtempSync('/tmp/pwtd-');
  readonly #name = `pwt-flakey-${process.pid}-${(serial += 1)}`;
  readonly #options: string;
  readonly #loop: string;
  readonly #sectors: number;

  /** `options` are those of the mount; the file system has what mkfs.ext4 gives it. */
  constructor(megabytes: number, options = '') {
    this.dir = join(this.#place, 'd'); // short: sockets are below it
    this.#options = options;
    this.#sectors = (megabytes * 2 ** 20) / sector;
    mkdirSync(this.dir);
    const image = join(this.#place, 'image');
    writeFileSync(image, '');
    truncateSync(image, megabytes * 2 ** 20);
    // lazy work of mkfs is done by the kernel later, and would meet what the test does to the disk
    execFileSync('mkfs.ext4', ['-q', '-m', '0', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image]);
    this.#loop = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
    dm('create', this.#name, '--table', this.#table('works'));
    dm('mknodes', this.#name); // where no udev does
    this.mount();
  }

  #table(how: Disposition): string {
    const target = {
      works: `linear ${this.#loop} 0`,
      // up for no second, down for all of them (Documentation/admin-guide/device-mapper/dm-flakey.rst)
      'drops writes': `flakey ${this.#loop} 0 0 ${long} 1 drop_writes`,
      'fails writes': `flakey ${this.#loop} 0 0 ${long} 1 error_writes`,
      'fails reads': `flakey ${this.#loop} 0 0 ${long} 1 error_reads`,
      fails: 'error',
    }[how];
    return `0 ${this.#sectors} ${target}`;
  }

  /** From when this returns it is so; what was written before and not told to the disk yet meets it too. */
  becomes(how: Disposition): void {
    dm('reload', this.#name, '--table', this.#table(how));
    // a freeze would write everything out first: then nothing were lost
    dm('suspend', '--nolockfs', this.#name);
    dm('resume', this.#name);
  }

  mount(): void {
    const options = this.#options === '' ? [] : ['-o', this.#options];
    execFileSync('mount', [...options, `/dev/mapper/${this.#name}`, this.dir]);
  }

  /** Asks for what is mounted to be writable again as it is; the kernel may refuse, or agree and not do it. */
  remount(): void {
    spawnSync('mount', ['-o', 'remount,rw', this.dir]);
  }

  /** Takes the mount away, once those who were killed let go of it. */
  async unmount(): Promise<void> {
    await until(`${this.dir} is not busy`, () => spawnSync('umount', [this.dir]).status === 0);
  }

  /** Everything goes, whatever state it is in. */
  remove(): void {
    spawnSync('umount', ['-l', this.dir]);
    spawnSync('dmsetup', ['remove', '--force', this.#name]);
    spawnSync('losetup', ['--detach', this.#loop]);
    rmSync(this.#place, { recursive: true, force: true });
  }
}
