// Bundles that any OCI runtime takes: a small root file system, and a spec to change.
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { probe } from './probe.ts';

/** runtime-spec `mounts` entry. */
export interface Mount {
  destination: string;
  type?: string;
  source?: string;
  options?: string[];
}

/** The parts of a runtime-spec that specs here change; everything may be changed in place. */
export interface Spec {
  ociVersion: string;
  process: {
    terminal: boolean;
    consoleSize?: { height: number; width: number };
    user: { uid: number; gid: number; umask?: number; additionalGids?: number[] };
    args: string[];
    env: string[];
    cwd: string;
    capabilities?: Record<'bounding' | 'effective' | 'permitted' | 'inheritable' | 'ambient', string[]>;
    rlimits: { type: string; soft: number; hard: number }[];
    noNewPrivileges: boolean;
    oomScoreAdj?: number;
  };
  root: { path: string; readonly: boolean };
  hostname?: string;
  mounts: Mount[];
  linux: {
    namespaces: { type: string }[];
    cgroupsPath?: string;
    sysctl?: Record<string, string>;
    devices?: object[];
    resources?: { devices: object[] };
    seccomp?: object;
    maskedPaths: string[];
    readonlyPaths: string[];
    rootfsPropagation?: string;
  };
}

/** Capabilities of a container that asks for nothing. */
export const someCapabilities = [
  'CAP_CHOWN',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETUID',
  'CAP_MKNOD',
  'CAP_SYS_CHROOT',
];

/** All sets but the ambient one the same. */
export const capabilities = (names: readonly string[], ambient: readonly string[] = []) => ({
  bounding: [...names],
  effective: [...names],
  permitted: [...names],
  inheritable: [...ambient],
  ambient: [...ambient],
});

/** What every spec begins with: namespaces of its own, the usual mounts, a shell that looks around. */
export function baseSpec(): Spec {
  const closed = ['nosuid', 'noexec', 'nodev'];
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ['/bin/sh', '/probe.sh'],
      env: ['PATH=/bin', 'HOME=/'],
      cwd: '/',
      capabilities: capabilities(someCapabilities),
      rlimits: [],
      noNewPrivileges: false,
    },
    root: { path: 'rootfs', readonly: false },
    hostname: 'differential',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: closed },
      {
        destination: '/dev',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
      },
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
      },
      { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...closed, 'mode=1777', 'size=65536k'] },
      { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: closed },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...closed, 'ro'] },
      { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...closed, 'relatime', 'ro'] },
    ],
    linux: {
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      maskedPaths: [],
      readonlyPaths: [],
    },
  };
}

const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
/** The kit's static busybox. */
export const busybox = join(
  process.env['PODWRIGHT_TESTKIT_CACHE'] ?? join(cache, 'podwright-testkit'),
  'images/busybox',
);

const applets = 'cat chroot head hostname id ls mkdir mknod mount pwd readlink rm sh sort stat stty tr tty wc'.split(
  ' ',
);

/** Makes a bundle in a directory. */
export function makeBundle(dir: string, spec: Spec): void {
  const root = join(dir, 'rootfs');
  for (const name of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp', 'home'])
    mkdirSync(join(root, name), { recursive: true });
  copyFileSync(busybox, join(root, 'bin/busybox'));
  for (const applet of applets) symlinkSync('busybox', join(root, 'bin', applet));
  symlinkSync('/home', join(root, 'link'));
  writeFileSync(join(root, 'etc/secret'), 'secret\n');
  writeFileSync(join(root, 'probe.sh'), probe, { mode: 0o755 });
  writeFileSync(join(dir, 'config.json'), JSON.stringify(spec));
}
