// A file system with project quota for tests, in a file; where the kernel has it.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A mounted one. */
export interface QuotaDisk {
  /** Where it is mounted. */
  readonly dir: string;
  readonly remove: () => void;
}

/** Mounts an ext4 with project quota; a text says why this machine cannot. */
export function quotaDisk(megabytes: number): QuotaDisk | string {
  const place = mkdtempSync('/tmp/pwt-quota-');
  const dir = join(place, 'disk');
  const image = join(place, 'image');
  mkdirSync(dir);
  writeFileSync(image, '');
  truncateSync(image, megabytes * 2 ** 20);
  const made = spawnSync('mkfs.ext4', ['-q', '-O', 'quota,project', '-E', 'quotatype=prjquota', image]);
  const mounted = made.status === 0 && spawnSync('mount', ['-o', 'loop,prjquota', image, dir]).status === 0;
  if (!mounted) {
    rmSync(place, { recursive: true });
    if (made.status !== 0) return 'there is no mkfs.ext4 that makes project quota';
    return 'this kernel mounts no ext4 with project quota; hack/test.sh vm-disk runs where it does';
  }
  return {
    dir,
    remove: () => {
      execFileSync('umount', [dir]);
      rmSync(place, { recursive: true });
    },
  };
}
