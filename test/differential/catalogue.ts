// Specs by hand: each changes one thing, or a few that belong together.
import { defaultSeccompProfile } from '../../src/oci/seccomp-default.ts';
import { baseSpec, capabilities, type Mount, type Spec } from './bundle.ts';

/** What the host offers the specs. */
export interface Sources {
  /** A directory with a file and, at `below`, another file system mounted on it. */
  readonly tree: string;
  /** The same on a shared mount. */
  readonly shared: string;
  /** A file. */
  readonly file: string;
  /** Capabilities of this process: what may be given. */
  readonly held: readonly string[];
}

/** A spec by its name. */
export interface Named {
  readonly name: string;
  readonly spec: Spec;
}

type Change = (spec: Spec, sources: Sources) => void;

const mount =
  (source: (from: Sources) => string, options: readonly string[], destination = '/mnt'): Change =>
  (spec, sources) => {
    const { length } = spec.mounts;
    spec.mounts.splice(length, 0, { destination, type: 'bind', source: source(sources), options: [...options] });
  };
const tmpfs =
  (options: readonly string[], destination = '/mnt'): Change =>
  (spec) =>
    void spec.mounts.push({ destination, type: 'tmpfs', source: 'tmpfs', options: [...options] });
const tree = (from: Sources): string => from.tree;
const without =
  (...types: readonly string[]): Change =>
  (spec) => {
    spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => !types.includes(type));
    if (types.includes('uts')) delete spec.hostname;
  };
const optionsOf = (spec: Spec, destination: string): Mount => {
  const found = spec.mounts.find((each) => each.destination === destination);
  if (!found) throw new Error(`no mount at ${destination}`);
  return found;
};
const rule = (spec: Spec, ...rules: object[]): void => void spec.linux.resources?.devices.push(...rules);
const seccomp =
  (profile: object): Change =>
  (spec) =>
    void (spec.linux.seccomp = profile);
const denies = (names: readonly string[], more: object = {}): object => ({
  defaultAction: 'SCMP_ACT_ALLOW',
  architectures: ['SCMP_ARCH_X86_64'],
  syscalls: [{ names: [...names], action: 'SCMP_ACT_ERRNO', errnoRet: 13, ...more }],
});
const all =
  (...changes: readonly Change[]): Change =>
  (spec, sources) =>
    changes.forEach((change) => change(spec, sources));
const user =
  (uid: number, gid = uid, additionalGids: number[] = []): Change =>
  (spec) =>
    void (spec.process.user = { uid, gid, additionalGids });
const rlimit =
  (type: string, soft: number, hard: number): Change =>
  (spec) =>
    void spec.process.rlimits.push({ type, soft, hard });

const maskedByDefault = ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/timer_list', '/proc/scsi', '/sys/firmware'];
const readonlyByDefault = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

const changes: Readonly<Record<string, Change>> = {
  nothing: () => undefined,
  'a user': user(1000),
  'a user with another group': user(1000, 2000),
  'a user with groups': user(1000, 1000, [10, 20, 3000]),
  'root with groups': user(0, 0, [10]),
  'no capability sets': (s) => void delete s.process.capabilities,
  'empty capability sets': (s) => void (s.process.capabilities = capabilities([])),
  'all capabilities': (s, { held }) => void (s.process.capabilities = capabilities(held)),
  'a user with capabilities': all(
    user(1000),
    (s) => void (s.process.capabilities = capabilities(['CAP_KILL', 'CAP_CHOWN'])),
  ),
  'a user with ambient capabilities': all(
    user(1000),
    (s) => void (s.process.capabilities = capabilities(['CAP_KILL', 'CAP_NET_RAW'], ['CAP_NET_RAW'])),
  ),
  'root with ambient capabilities': (s) =>
    void (s.process.capabilities = capabilities(['CAP_KILL', 'CAP_CHOWN'], ['CAP_KILL'])),
  'inheritable, not ambient': (s) =>
    void (s.process.capabilities = { ...capabilities(['CAP_KILL', 'CAP_CHOWN']), inheritable: ['CAP_CHOWN'] }),
  'bounding only': (s) => void (s.process.capabilities = { ...capabilities([]), bounding: ['CAP_KILL', 'CAP_SETUID'] }),
  'no new privileges': (s) => void (s.process.noNewPrivileges = true),
  'no new privileges as a user': all(user(1000), (s) => void (s.process.noNewPrivileges = true)),
  'a read-only root': (s) => void (s.root.readonly = true),
  'a read-only root with a writable /tmp': all((s) => void (s.root.readonly = true), tmpfs(['mode=1777'], '/tmp')),
  'masked paths': (s) => void (s.linux.maskedPaths = ['/etc/secret', '/home', '/not/there']),
  'read-only paths': (s) => void (s.linux.readonlyPaths = ['/home', '/tmp', '/not/there', '/proc/sys']),
  'the usual masked and read-only paths': (s) => {
    s.linux.maskedPaths = [...maskedByDefault];
    s.linux.readonlyPaths = [...readonlyByDefault];
  },
  'a terminal': (s) => void (s.process.terminal = true),
  'a terminal of a user, with a size': all(user(1000), (s) => {
    s.process.terminal = true;
    s.process.consoleSize = { height: 40, width: 120 };
  }),
  'a limit of open files': rlimit('RLIMIT_NOFILE', 512, 1024),
  'many limits': all(
    rlimit('RLIMIT_CORE', 0, 0),
    rlimit('RLIMIT_NPROC', 500, 600),
    rlimit('RLIMIT_FSIZE', 1_000_000, 2_000_000),
    rlimit('RLIMIT_STACK', 4_194_304, 8_388_608),
  ),
  'an environment': (s) => void s.process.env.push('EMPTY=', 'BLANK=a b', 'UMLAUT=ü', 'LINE=a\tb', 'EQUALS=a=b'),
  'a variable twice': (s) => void s.process.env.push('HOME=/first', 'HOME=/second'),
  'no environment but a path': (s) => void (s.process.env = ['PATH=/bin']),
  'a working directory': (s) => void (s.process.cwd = '/home'),
  'a working directory that is not there': (s) => void (s.process.cwd = '/new/directory'),
  'a working directory through a link': (s) => void (s.process.cwd = '/link'),
  'a tmpfs': tmpfs(['nosuid', 'size=4096k', 'mode=700']),
  'a tmpfs of a user': tmpfs(['uid=1000', 'gid=1000', 'mode=750']),
  'a read-only tmpfs': tmpfs(['ro', 'noexec']),
  'tmpfs over tmpfs': all(tmpfs(['size=1m']), tmpfs(['size=2m'], '/mnt/below')),
  'a bind, read-only': mount(tree, ['bind', 'ro']),
  'a bind, read-write': mount(tree, ['bind', 'rw']),
  'a bind with flags': mount(tree, ['bind', 'nosuid', 'nodev', 'noexec']),
  'a bind without access times': mount(tree, ['bind', 'noatime']),
  'a recursive bind': mount(tree, ['rbind']),
  'a recursive bind, read-only at its root': mount(tree, ['rbind', 'ro']),
  'a bind, recursively read-only': mount(tree, ['rbind', 'rro']),
  'a bind of a file': mount((from) => from.file, ['bind'], '/etc/bound'),
  'a read-only bind of a file over a file': mount((from) => from.file, ['bind', 'ro'], '/etc/secret'),
  'a bind in a directory that is not there': mount(tree, ['bind'], '/a/b/c'),
  'a bind through a link': mount(tree, ['bind'], '/link/deep'),
  'propagation private': mount((from) => from.shared, ['rbind', 'rprivate']),
  'propagation slave': mount((from) => from.shared, ['rbind', 'rslave']),
  'propagation shared': all(
    mount((from) => from.shared, ['rbind', 'rshared']),
    (s) => void (s.linux.rootfsPropagation = 'rshared'),
  ),
  'propagation unbindable': mount((from) => from.shared, ['bind', 'unbindable']),
  'no cgroup namespace': without('cgroup'),
  'the pid namespace of the host': without('pid'),
  'the network of the host': without('network'),
  'the ipc of the host': without('ipc'),
  'the host name of the host': without('uts'),
  'network, ipc and host name of the host': without('network', 'ipc', 'uts'),
  'kernel parameters of the network': (s) =>
    void (s.linux.sysctl = { 'net.ipv4.ip_unprivileged_port_start': '80', 'net.core.somaxconn': '128' }),
  'kernel parameters of ipc': (s) => void (s.linux.sysctl = { 'kernel.shmmax': '1048576', 'kernel.msgmax': '4096' }),
  'seccomp denies mkdir': seccomp(denies(['mkdir', 'mkdirat'])),
  'seccomp denies by argument': seccomp(denies(['personality'], { args: [{ index: 0, value: 8, op: 'SCMP_CMP_EQ' }] })),
  'seccomp with no new privileges': all(
    seccomp(denies(['mount', 'chroot'])),
    (s) => void (s.process.noNewPrivileges = true),
  ),
  'seccomp of a user': all(user(1000), seccomp(denies(['mkdir', 'mkdirat']))),
  'the default seccomp profile': (s) =>
    void (s.linux.seccomp = {
      ...defaultSeccompProfile(s.process.capabilities?.bounding ?? [], 'x64'),
      flags: undefined,
    }),
  'a device': (s) => {
    s.linux.devices = [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229, fileMode: 0o666, uid: 0, gid: 0 }];
    rule(s, { allow: true, type: 'c', major: 10, minor: 229, access: 'rw' });
  },
  'a device of a user, in a directory': (s) => {
    s.linux.devices = [{ path: '/dev/dir/node', type: 'c', major: 1, minor: 3, fileMode: 0o600, uid: 1000, gid: 2000 }];
  },
  'a fifo and a device instead of /dev/null': (s) => {
    s.linux.devices = [
      { path: '/dev/fifo', type: 'p', major: 0, minor: 0, fileMode: 0o644, uid: 0, gid: 0 },
      { path: '/dev/null', type: 'c', major: 1, minor: 3, fileMode: 0o600, uid: 0, gid: 0 },
    ];
  },
  'all devices allowed': (s) => void (s.linux.resources = { devices: [{ allow: true, access: 'rwm' }] }),
  'no device rules': (s) => void delete s.linux.resources,
  privileged: (s, { held }) => {
    s.process.capabilities = capabilities(held);
    s.linux.resources = { devices: [{ allow: true, access: 'rwm' }] };
    for (const at of ['/sys', '/sys/fs/cgroup']) {
      const { options = [] } = optionsOf(s, at);
      optionsOf(s, at).options = options.map((each) => (each === 'ro' ? 'rw' : each));
    }
  },
  'a higher OOM score': (s) => void (s.process.oomScoreAdj = 500),
  'a mask of files': (s) => void (s.process.user.umask = 0o077),
  'another host name': (s) => void (s.hostname = 'other-name'),
  'no /dev of its own': (s) => void (s.mounts = s.mounts.filter(({ destination }) => !destination.startsWith('/dev'))),
  'no /sys': (s) => void (s.mounts = s.mounts.filter(({ destination }) => !destination.startsWith('/sys'))),
  'a /proc with few options': (s) => void (optionsOf(s, '/proc').options = []),
  'a program that is not there': (s) => void (s.process.args = ['/no/such/program']),
  'a program that is a directory': (s) => void (s.process.args = ['/etc']),
  'a program found by its name': (s) => void (s.process.args = ['sh', '/probe.sh']),
  'a working directory that is a file': (s) => void (s.process.cwd = '/etc/secret'),
  'a source that is not there': mount(() => '/no/such/source', ['bind']),
  'a file system that is not there': (s) =>
    void s.mounts.push({ destination: '/mnt', type: 'nosuchfs', source: 'none', options: [] }),
  'a kernel parameter that is not there': (s) => void (s.linux.sysctl = { 'net.no.such': '1' }),
};

/** All of them. */
export const catalogue = (sources: Sources): Named[] =>
  Object.entries(changes).map(([name, change]) => {
    const spec = baseSpec();
    change(spec, sources);
    return { name, spec };
  });
