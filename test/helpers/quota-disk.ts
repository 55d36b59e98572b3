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
  execFileSync('mkfs.ext4', ['-q', '-O', 'quota,project', '-E', 'quotatype=prjquota', image]);
  const mounted = spawnSync('mount', ['-o', 'loop,prjquota', image, dir]);
  if (mounted.status !== 0) {
    rmSync(place, { recursive: true });
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
