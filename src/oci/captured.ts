// PURE
// What of a spec a captured process carries with it: it can be brought back only into a container that has the same.
import { sameValue } from '../lib/same-value.ts';
import { imageType, podShmType } from './mounts.ts';
import type { OciProcess, OciSpec } from './types.ts';

/** A container as a checkpoint remembers it. Holds the environment: as secret as the captured memory is. */
export interface Captured {
  readonly image: string;
  readonly args: readonly string[];
  /** "KEY=value", sorted, without the HOSTNAME that the runtime sets. */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: OciProcess['user'];
  readonly capabilities: OciProcess['capabilities'];
  readonly noNewPrivileges: boolean;
  /** AppArmor profile, "" for none. */
  readonly apparmor: string;
  readonly terminal: boolean;
  /** Mounts without their sources, sorted. */
  readonly mounts: readonly string[];
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly readonlyRootfs: boolean;
}

/** What differs, in the words of a ContainerConfig. */
const words: Readonly<Record<keyof Captured, string>> = {
  image: 'the image',
  args: 'command or args',
  env: 'the environment',
  cwd: 'the working directory',
  user: 'the user or its groups',
  capabilities: 'the capabilities',
  noNewPrivileges: 'no_new_privs',
  apparmor: 'the AppArmor profile',
  terminal: 'tty',
  mounts: 'the mounts',
  maskedPaths: 'the masked paths',
  readonlyPaths: 'the read-only paths',
  readonlyRootfs: 'readonly_rootfs',
};

/** Types of mounts whose content is not the container's own: bound from the host, of an image, the pod's /dev/shm. */
const foreign: readonly string[] = ['bind', imageType, podShmType];

/** Mount points of what a checkpoint of the container does not hold. */
export const externalMounts = (spec: Pick<OciSpec, 'mounts'>): string[] =>
  spec.mounts.flatMap(({ type, destination }) => (foreign.includes(type) ? [destination] : []));

/** Layers are named by directories: they say where an image is, not what it is. */
const placeless = (options: readonly string[]): string => options.filter((o) => !o.startsWith('lower=')).join(',');

/** What a container's processes carry with them. `image`: its id; `hostname`: what the runtime set HOSTNAME to. */
export function captured(spec: OciSpec, about: { readonly image: string; readonly hostname: string }): Captured {
  const { process: init, linux } = spec;
  return {
    image: about.image,
    args: init.args,
    env: init.env.filter((entry) => entry !== `HOSTNAME=${about.hostname}`).toSorted(),
    cwd: init.cwd,
    user: init.user,
    capabilities: init.capabilities,
    noNewPrivileges: init.noNewPrivileges,
    apparmor: init.apparmorProfile ?? '',
    terminal: init.terminal,
    mounts: spec.mounts.map((m) => `${m.destination} ${m.type} ${placeless(m.options)}`).toSorted(),
    maskedPaths: linux.maskedPaths.toSorted(),
    readonlyPaths: linux.readonlyPaths.toSorted(),
    readonlyRootfs: spec.root.readonly,
  };
}

/** What of a container is not as it was captured, in words without values; null when all is. */
export function mismatch(before: Captured, now: Captured): string | null {
  const field = (Object.keys(words) as (keyof Captured)[]).find((key) => !sameValue(before[key], now[key]));
  return field === undefined ? null : words[field];
}
