// System calls by number, for tests that make them themselves; one table per architecture.

/** Flags of clone(2) and unshare(2). */
const newUser = 0x10000000;
const sessionKeyring = -3; // KEY_SPEC_SESSION_KEYRING, keyrings(7)

/** Name, arguments, number on x86_64, number on aarch64. Arguments are such that a call that came in would not end the host. */
const refused: readonly (readonly [string, readonly number[], number, number])[] = [
  ['keyctl', [0, sessionKeyring, 0], 250, 219],
  ['add_key', [0, 0, 0, 0, sessionKeyring], 248, 217],
  ['request_key', [0, 0, 0, 0], 249, 218],
  ['bpf', [0, 0, 0], 321, 280],
  ['userfaultfd', [1], 323, 282],
  ['io_uring_setup', [8, 0], 425, 425],
  ['io_uring_enter', [-1, 0, 0, 0], 426, 426],
  ['io_uring_register', [-1, 0, 0, 0], 427, 427],
  ['perf_event_open', [0, 0, -1, -1, 0], 298, 241],
  ['open_by_handle_at', [-1, 0, 0], 304, 265],
  ['init_module', [0, 0, 0], 175, 105],
  ['finit_module', [-1, 0, 0], 313, 273],
  ['delete_module', [0, 0], 176, 106],
  ['kexec_load', [0, 0, 0, 0], 246, 104],
  ['mount', [0, 0, 0, 0, 0], 165, 40],
  ['umount2', [0, 0], 166, 39],
  ['pivot_root', [0, 0], 155, 41],
  ['open_tree', [-1, 0, 0], 428, 428],
  ['move_mount', [-1, 0, -1, 0, 0], 429, 429],
  ['fsopen', [0, 0], 430, 430],
  ['mount_setattr', [-1, 0, 0, 0, 0], 442, 442],
  ['setns', [-1, 0], 308, 268],
  ['unshare', [newUser], 272, 97],
  ['swapon', [0, 0], 167, 224],
  ['reboot', [0, 0, 0, 0], 169, 142],
  ['settimeofday', [0, 0], 164, 170],
  ['acct', [0], 163, 89],
  ['quotactl', [0, 0, 0, 0], 179, 60],
];

/** What RuntimeDefault refuses to a container with the usual capabilities: name to number and arguments. */
export function refusals(arch: string): Readonly<Record<string, readonly [number, ...number[]]>> {
  if (arch !== 'x64' && arch !== 'arm64') throw new Error(`no system call numbers for ${arch}`);
  return Object.fromEntries(
    refused.map(([name, args, x64, arm64]) => [name, [arch === 'x64' ? x64 : arm64, ...args] as const]),
  );
}

/** keyctl(2) on this architecture. */
export const keyctl = process.arch === 'arm64' ? 219 : 250;

/** Refused under RuntimeDefault whatever the arguments: these the kernel lets in where a container may do all, and looks at them. */
export const controlled = [
  'keyctl',
  'add_key',
  'request_key',
  'bpf',
  'userfaultfd',
  'open_by_handle_at',
  'perf_event_open',
  'mount',
  'umount2',
  'pivot_root',
  'open_tree',
  'move_mount',
  'fsopen',
  'mount_setattr',
  'setns',
  'unshare',
  'quotactl',
] as const;

/** Calls that look into another process, by number on this architecture. */
export const tracing = {
  ptrace: process.arch === 'arm64' ? 117 : 101,
  processVmRead: process.arch === 'arm64' ? 270 : 310,
  pidfdOpen: 434,
  pidfdGetfd: 438,
} as const;
