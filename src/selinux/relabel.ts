// PURE
// What of the host is never given a container's context, whoever asks for it.

/** Directories of the host's own, by whatever path they are named: what they hold may be relabelled, they may not. */
export const ownDirectories: readonly string[] = [
  '/',
  '/etc',
  '/home',
  '/media',
  '/mnt',
  '/opt',
  '/root',
  '/run',
  '/srv',
  '/tmp',
  '/var',
  '/var/cache',
  '/var/lib',
  '/var/lib/kubelet',
  '/var/log',
  '/var/run',
  '/var/spool',
  '/var/tmp',
];

/** Trees in which nothing is. */
export const ownTrees: readonly string[] = [
  '/bin',
  '/boot',
  '/dev',
  '/etc/pki',
  '/etc/selinux',
  '/etc/ssh',
  '/lib',
  '/lib32',
  '/lib64',
  '/proc',
  '/sbin',
  '/sys',
  '/usr',
];
