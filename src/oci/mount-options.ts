// PURE
// Mount options that a request may add to a mount (CRI Mount.mount_options).

const flags = ['noexec', 'nosuid', 'nodev', 'noatime', 'nodiratime', 'nosymfollow'];

/**
 * What is allowed: what a flag forbids, what lifts it again, and with an `r` in front the same for all that is
 * mounted below (mount(8), runtime-spec config.md "Linux mount options"). Read-only and propagation have fields
 * of their own in a Mount.
 */
const allowed = new Set([
  ...flags,
  ...flags.map((flag) => `r${flag}`),
  'exec',
  'suid',
  'dev',
  'diratime',
  'symfollow',
  'strictatime',
  'rstrictatime',
]);

/** Where the first option is that cannot be, and why; null when all can be. */
export function wrongMountOption(options: readonly string[]): { readonly at: number; readonly why: string } | null {
  const at = options.findIndex((option) => !allowed.has(option));
  if (at >= 0) return { at, why: `${JSON.stringify(options[at])} is not a mount option that can be given here` };
  const strict = options.findIndex((option) => option.endsWith('strictatime'));
  const never = options.some((option) => option.endsWith('noatime'));
  return strict >= 0 && never ? { at: strict, why: 'excludes noatime' } : null;
}
