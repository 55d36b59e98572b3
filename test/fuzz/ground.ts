// The ground of one run: its directories and cgroup, and their end.
import { mkdirSync, readdirSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pull, tools } from '../helpers/pods.ts';
import { ref } from '../helpers/registry.ts';
import { cgroupMounts } from '../helpers/residue.ts';
import type { TestDaemon } from '../helpers/daemon.ts';
import type { Ground } from './place.ts';

const seccompProfile = { defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_X86_64'], syscalls: [] };

/** Makes the files that requests may name, and pulls the images. */
export async function layGround(daemon: TestDaemon): Promise<Ground> {
  const dir = join(daemon.dir, 'fuzz');
  for (const name of ['logs', 'data/sub', 'checkpoint']) mkdirSync(join(dir, name), { recursive: true });
  writeFileSync(join(dir, 'file'), 'a file\n');
  writeFileSync(join(dir, 'seccomp.json'), JSON.stringify(seccompProfile));
  symlinkSync('file', join(dir, 'link-to-file'));
  symlinkSync('link-to-itself', join(dir, 'link-to-itself'));
  const spareImage = ref('test/plain');
  await pull(daemon);
  await pull(daemon, spareImage);
  return { dir, cgroup: `/podwright/fuzz-${basename(daemon.dir)}`, image: tools, spareImage };
}

/** Removes the cgroups that pods were put in: a parent that a request names is its caller's to remove. */
export function clearCgroups({ cgroup }: Ground): string[] {
  const left: string[] = [];
  const remove = (path: string): void => {
    let names: string[];
    try {
      names = readdirSync(path, { withFileTypes: true }).flatMap((each) => (each.isDirectory() ? [each.name] : []));
    } catch {
      return; // it is not in this hierarchy
    }
    for (const name of names) remove(join(path, name));
    try {
      rmdirSync(path);
    } catch (error) {
      left.push((error as Error).message);
    }
  };
  for (const mount of cgroupMounts()) remove(join(mount, cgroup));
  return left;
}
