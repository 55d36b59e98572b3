// PURE
// Where a kubelet is told another service for images: every place in which it, or the next start of it, finds settings.
import type { KubeletPointer } from './journal.ts';
import { flagOf, readImageEndpoint } from './kubelet-pointer.ts';

/** A node as far as its kubelet's settings go. */
export interface KubeletHost {
  /** Command lines of the kubelets that run. */
  readonly kubelets: () => readonly (readonly string[])[];
  /** A text file; null when it is not there. */
  readonly read: (file: string) => string | null;
  /** Paths of the files below a directory, in the order of a walk; none when it is not there. */
  readonly filesBelow: (dir: string) => readonly string[];
}

/** Files in which kubeadm and packages keep the kubelet's flags. */
export const envFiles = ['/var/lib/kubelet/kubeadm-flags.env', '/etc/default/kubelet', '/etc/sysconfig/kubelet'];

/** A setting and where it stands. */
export interface ImageEndpoint {
  readonly place: string;
  readonly endpoint: string;
}

const parent = (file: string): string => file.slice(0, Math.max(file.lastIndexOf('/'), 0));

/** Drop-ins of a `--config-dir`: the kubelet reads `*.conf` alone, of directories in it too. */
export const dropInsIn = (dir: string, { filesBelow }: Pick<KubeletHost, 'filesBelow'>): readonly string[] =>
  filesBelow(dir).filter((file) => file.endsWith('.conf'));

/** Whether a command line names the file, or a directory that it is in. */
function names(argv: readonly string[], file: string): boolean {
  const dir = flagOf(argv, '--config-dir')?.replace(/\/+$/, '') ?? null;
  return flagOf(argv, '--config') === file || (dir !== null && file.startsWith(`${dir}/`));
}

/** The kubelet that has this setting; of several that run it is the one whose command line names the file. */
function ownLine({ kubelets }: KubeletHost, { file }: KubeletPointer): readonly string[] {
  const all = kubelets();
  const named = all.find((argv) => names(argv, file));
  return named ?? (all.length === 1 ? (all[0] ?? []) : []);
}

/** All such settings of the kubelet whose runtime is set by `pointer`, each once. */
export function imageEndpoints(pointer: KubeletPointer, host: KubeletHost): readonly ImageEndpoint[] {
  const argv = ownLine(host, pointer);
  const config = flagOf(argv, '--config');
  const dirs = [
    flagOf(argv, '--config-dir')?.replace(/\/+$/, '') ?? null,
    pointer.form === 'drop-in' ? parent(pointer.file) : null,
  ];
  const configs = [
    ...(pointer.form === 'env' ? [] : [pointer.file]),
    ...(config === null ? [] : [config]),
    ...dirs.flatMap((dir) => (dir === null ? [] : dropInsIn(dir, host))),
  ];
  const envs = [...(pointer.form === 'env' ? [pointer.file] : []), ...envFiles];
  const inFlags = flagOf(argv, '--image-service-endpoint');
  const found = [
    ...[...new Set(configs)].map((place) => ({ place, endpoint: readImageEndpoint('config', host.read(place)) })),
    ...[...new Set(envs)].map((place) => ({ place, endpoint: readImageEndpoint('env', host.read(place)) })),
  ].flatMap(({ place, endpoint }) => (endpoint === null ? [] : [{ place, endpoint }]));
  // a flag that stands in no file that is known: in a unit, or in a script that starts it
  const isTold = inFlags === null || inFlags === '' || found.some(({ endpoint }) => endpoint === inFlags);
  return isTold ? found : [...found, { place: 'the command line of the kubelet', endpoint: inFlags }];
}
