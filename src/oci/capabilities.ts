// PURE
// Capability sets of a container (capabilities(7)).
import { invalidArgument } from '../lib/failure.ts';
import type { OciCapabilities } from './types.ts';

/** Every capability by number, from linux/capability.h. */
export const allCapabilities = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP',
  'LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER',
  'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE',
  'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP',
  'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF',
  'CHECKPOINT_RESTORE',
].map((name) => `CAP_${name}`); // prettier-ignore

/** What a container has when nobody says otherwise: Docker's and containerd's 14. */
export const defaultCapabilities: readonly string[] = [
  'CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FSETID', 'CAP_FOWNER', 'CAP_MKNOD', 'CAP_NET_RAW', 'CAP_SETGID',
  'CAP_SETUID', 'CAP_SETFCAP', 'CAP_SETPCAP', 'CAP_NET_BIND_SERVICE', 'CAP_SYS_CHROOT', 'CAP_KILL',
  'CAP_AUDIT_WRITE',
]; // prettier-ignore

export interface CapabilityRequest {
  readonly add: readonly string[];
  readonly drop: readonly string[];
  readonly addAmbient: readonly string[];
  readonly privileged: boolean;
  readonly defaults: readonly string[];
  /** What the daemon itself may hand out (its permitted set). */
  readonly available: readonly string[];
}

function fullName(name: string): string {
  const upper = name.toUpperCase();
  const full = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (!allCapabilities.includes(full))
    throw invalidArgument(`linux.security_context.capabilities: unknown capability ${name}`);
  return full;
}

/** The names of the capabilities in a mask as /proc/PID/status shows it (hexadecimal). */
export function capabilitiesOfMask(hex: string): string[] {
  const mask = BigInt(`0x${hex}`);
  return allCapabilities.filter((_, bit) => (mask >> BigInt(bit)) & 1n);
}

/** The five sets. `ALL` is taken first, drop before add; the inheritable set holds only ambient ones (CVE-2022-29162). */
export function buildCapabilities(request: CapabilityRequest): OciCapabilities {
  const { available, privileged, defaults } = request;
  const isAll = (name: string): boolean => name.toUpperCase() === 'ALL' || name.toUpperCase() === 'CAP_ALL';
  const set = new Set(privileged ? allCapabilities : defaults);
  if (!privileged) {
    if (request.add.some(isAll)) for (const name of allCapabilities) set.add(name);
    if (request.drop.some(isAll)) set.clear();
    for (const name of request.drop) if (!isAll(name)) set.delete(fullName(name));
    for (const name of request.add) if (!isAll(name)) set.add(fullName(name));
  }
  const ambient = new Set<string>();
  for (const name of request.addAmbient) {
    for (const each of isAll(name) ? allCapabilities : [fullName(name)]) {
      set.add(each);
      ambient.add(each);
    }
  }
  const held = allCapabilities.filter((name) => set.has(name) && available.includes(name));
  const heldAmbient = held.filter((name) => ambient.has(name));
  return { bounding: held, effective: held, permitted: held, inheritable: heldAmbient, ambient: heldAmbient };
}
