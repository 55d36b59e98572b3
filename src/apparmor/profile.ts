// PURE
// The AppArmor profile of containers that ask for the runtime's default (apparmor.d(5)).
// This room loads and names profiles. Must not apply one: init does, with the container's exec.

/** Its name in the kernel. */
export const defaultProfileName = 'podwright-default';

/** Directories of /proc/sys that a container never writes to; of /proc/sys/kernel only SysV IPC's limits are its own. */
const foreignSysctls = ['abi', 'crypto', 'debug', 'dev', 'fs', 'net', 'sunrpc', 'user', 'vm'];
const foreignProc = ['acpi', 'asound', 'bus', 'driver', 'fs', 'irq', 'scsi', 'tty'];
const foreignSys = ['block', 'bus', 'class', 'dev', 'devices', 'firmware', 'hypervisor', 'kernel', 'module', 'power'];

const deny = (paths: readonly string[], access: string): string =>
  paths.map((path) => `  deny ${path} ${access},`).join('\n');

/**
 * The text for apparmor_parser(8). It adds to what capabilities, seccomp, masked and read-only paths already do: no
 * mounting, no writing to what belongs to the kernel as a whole, no reading of its memory, and signals and tracing only
 * among containers of this profile. It includes no other file: a node needs no policy of its own for it.
 */
export const defaultProfile = `profile ${defaultProfileName} flags=(attach_disconnected,mediate_deleted) {
  file,
  network,
  capability,
  unix,
  umount,
  deny mount,

  signal receive peer=unconfined,
  signal peer=${defaultProfileName},
  ptrace peer=${defaultProfileName},

${deny(['/proc/*', ...foreignProc.map((name) => `/proc/${name}/**`)], 'w')}
${deny(
  foreignSysctls.map((name) => `/proc/sys/${name}/**`),
  'w',
)}
${deny(['/proc/sys/kernel/[^ms]**', '/proc/sys/kernel/m[^s]**', '/proc/sys/kernel/s[^he]**', '/proc/sys/kernel/se[^m]**'], 'w')}
${deny(['/proc/kcore', '/proc/kmem', '/proc/mem', '/proc/sysrq-trigger'], 'rwklx')}
${deny([...foreignSys.map((name) => `/sys/${name}/**`), '/sys/fs/[^c]**'], 'wklx')}
${deny(['/sys/firmware/**', '/sys/kernel/security/**', '/sys/devices/virtual/powercap/**'], 'rwklx')}
}
`;
