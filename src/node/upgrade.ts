// PURE
// What may differ when a node that podwright runs is told anew what it is to have.
// Must not change anything.
import { join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';
import type { KubeletPointer, Settings } from './journal.ts';

/**
 * Throws a failed-precondition Failure when settings cannot take the place of those of a node that podwright runs: what
 * they say is elsewhere now would be left behind, and a kubelet told twice.
 */
export function refuseMoved(present: Settings, next: Settings): void {
  for (const [key, flag] of [['prefix', '--prefix'] as const, ['configDir', '--config-dir'] as const])
    if (present[key] !== next[key]) throw refused(flag, next[key], `has ${present[key]}`);
  const [kept, keeps] = [keeperOf(present.daemon), keeperOf(next.daemon)];
  if (kept !== keeps) throw refused('--daemon', keeps, `is kept running by ${kept}`);
  const { configFile } = present;
  // config.toml is below all others, and stays; another file would go on to count beside the one that comes
  if (configFile !== next.configFile && configFile !== join(present.configDir, 'config.toml'))
    throw failedPrecondition(
      `--config-as is ${next.configFile}, and settings of podwright on this node are in ${configFile}, where they would go on ` +
        'to count: leave it so, or revert or uninstall first and remove that file',
    );
  const [was, is] = [present.kubelet, next.kubelet];
  if (was !== null && is !== null && (was.form !== is.form || was.file !== is.file))
    throw refused(`--kubelet-${is.form}`, is.file, `changed ${was.file} (--kubelet-${was.form})`);
}

/** Throws a failed-precondition Failure where podwright runs beside the runtime of a kubelet that it never moved. */
export function refuseBeside(present: Settings): void {
  if (present.kubelet !== null) return;
  throw failedPrecondition(
    'podwright runs on this node and its kubelet was not moved to it: to move it, podwright uninstall first; ' +
      'another release is brought by podwright install',
  );
}

const refused = (flag: string, value: string, has: string): Error =>
  failedPrecondition(
    `${flag} is ${value}, and podwright on this node ${has}: leave it so, or revert or uninstall first`,
  );

/** Of commands and logs only the last ones count; two supervisors would start two daemons. */
const keeperOf = (daemon: Settings['daemon']): string =>
  daemon.by === 'systemd' ? `systemd's ${daemon.unit}` : daemon.by;

/** A release that brings no settings leaves what those before it are called. */
export const namedAs = (present: Settings | null, brings: boolean): Partial<Settings> =>
  present === null || brings ? {} : { configFile: present.configFile };

/** The file of the kubelet that podwright changed, which an upgrade keeps. */
export const pointerIn = ({ kubelet }: Settings): KubeletPointer | null =>
  kubelet === null ? null : { form: kubelet.form, file: kubelet.file };
