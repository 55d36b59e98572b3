// What the kernel and the policy on disk say of SELinux (selinuxfs, selinux_config(5)). Must not change anything.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** `absent`: no kernel support, or its file system is not mounted. `no-policy`: none is loaded, contexts mean nothing. */
export type SelinuxMode = 'absent' | 'no-policy' | 'permissive' | 'enforcing';

/** Default contexts of containers by the policy's own file; null members where that does not name them. */
export interface PolicyDefaults {
  /** Absolute path of the file. */
  readonly path: string;
  readonly found: boolean;
  readonly process: string | null;
  readonly file: string | null;
}

/** The kernel's side. */
export interface SelinuxKernel {
  /** As it is at this moment. */
  readonly mode: () => SelinuxMode;
  /** Whether the loaded policy has levels. */
  readonly levels: () => boolean;
  /** Whether the loaded policy knows a context. */
  readonly knows: (label: string) => boolean;
  readonly defaults: () => PolicyDefaults;
}

const readOrNull = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8').replaceAll('\0', '').trim();
  } catch {
    return null; // not there, or not for us to read: then it says nothing
  }
};

/** The value of "NAME=value", as /etc/selinux/config has it; null without one. */
const configValue = (text: string, name: string): string | null =>
  new RegExp(`^\\s*${name}\\s*=\\s*(\\S+)`, 'm').exec(text)?.[1] ?? null;

/** The context of a line "name = "context"" of lxc_contexts. */
const contextOf = (text: string, name: string): string | null =>
  new RegExp(`^\\s*${name}\\s*=\\s*"?([^"\\s]+)"?\\s*$`, 'm').exec(text)?.[1] ?? null;

/** The kernel and the files below `root` ("" for the host's). */
export function selinuxKernel(root = ''): SelinuxKernel {
  const fs = join(root, '/sys/fs/selinux');
  const etc = join(root, '/etc/selinux');
  return {
    mode() {
      const enforce = readOrNull(join(fs, 'enforce'));
      if (enforce === null) return 'absent';
      // without a policy every process is what the kernel began as, by its short name
      if (readOrNull(join(root, '/proc/self/attr/current')) === 'kernel') return 'no-policy';
      return enforce === '1' ? 'enforcing' : 'permissive';
    },
    levels: () => readOrNull(join(fs, 'mls')) !== '0',
    knows(label) {
      try {
        writeFileSync(join(fs, 'context'), `${label}\0`);
        return true;
      } catch {
        return false; // EINVAL; whatever else keeps the kernel from saying yes, the context cannot be given
      }
    },
    defaults() {
      const type = configValue(readOrNull(join(etc, 'config')) ?? '', 'SELINUXTYPE') ?? 'targeted';
      const path = join(etc, type, 'contexts/lxc_contexts');
      const text = readOrNull(path) ?? '';
      return { path, found: existsSync(path), process: contextOf(text, 'process'), file: contextOf(text, 'file') };
    },
  };
}
