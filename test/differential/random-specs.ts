// Specs at random, the same ones for the same seed.
import { baseSpec, capabilities } from './bundle.ts';
import type { Named, Sources } from './catalogue.ts';

/** A source of chance: a linear congruential generator modulo 2^31 (Numerical Recipes' constants). */
function chance(seed: number) {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const maybe = (part: number): boolean => next() < part;
  const oneOf = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const some = <T>(list: readonly T[], part: number): T[] => list.filter(() => maybe(part));
  return { maybe, oneOf, some, number: (below: number): number => Math.floor(next() * below) };
}

type Chance = ReturnType<typeof chance>;
type Spec = Named['spec'];

function process(spec: Spec, { maybe, oneOf, some, number }: Chance, { held }: Sources): void {
  const { process: own } = spec;
  own.user = {
    uid: oneOf([0, 0, 1, 1000, 65_534]),
    gid: oneOf([0, 1000, 65_534]),
    additionalGids: some([4, 10, 100, 5000], 0.3),
  };
  if (maybe(0.3)) own.user.umask = oneOf([0, 0o27, 0o77]);
  const given = some(held, 0.3);
  own.capabilities = capabilities(given, maybe(0.4) ? some(given, 0.4) : []);
  own.noNewPrivileges = maybe(0.3);
  own.env.push(...some(['A=1', 'B=', 'C=x y', 'HOME=/tmp', 'TERM=dumb'], 0.4));
  own.cwd = oneOf(['/', '/tmp', '/home', '/made/anew', '/bin/..']);
  if (maybe(0.3)) own.rlimits.push({ type: 'RLIMIT_NOFILE', soft: 64 + number(400), hard: 512 + number(1000) });
  if (maybe(0.2)) own.rlimits.push({ type: 'RLIMIT_CORE', soft: 0, hard: number(1_000_000) });
  if (maybe(0.3)) own.oomScoreAdj = number(1000);
}

function mounts(spec: Spec, { maybe, oneOf, some }: Chance, sources: Sources): void {
  const flags = ['nosuid', 'nodev', 'noexec', 'noatime'];
  if (maybe(0.5)) {
    const options = [
      oneOf(['bind', 'rbind']),
      oneOf(['rw', 'ro', 'rro']),
      oneOf(['rprivate', 'rslave', 'private']),
      ...some(flags, 0.3),
    ];
    const source = oneOf([sources.shared, sources.tree]);
    // a tree that is not shared cannot propagate, which is refused by us alone
    if (source === sources.tree) options[2] = 'rprivate';
    spec.mounts.push({ destination: oneOf(['/mnt', '/deep/er', '/home']), type: 'bind', source, options });
  }
  if (maybe(0.4)) {
    const options = [oneOf(['rw', 'ro']), `mode=${oneOf(['755', '1777', '700'])}`, ...some([...flags, 'size=1m'], 0.3)];
    spec.mounts.push({ destination: oneOf(['/tmp', '/run', '/mnt/below']), type: 'tmpfs', source: 'tmpfs', options });
  }
  if (maybe(0.3))
    spec.mounts.push({
      destination: '/etc/bound',
      type: 'bind',
      source: sources.file,
      options: ['bind', oneOf(['ro', 'rw'])],
    });
  spec.root.readonly = maybe(0.3);
}

function linux(spec: Spec, { maybe, oneOf, some, number }: Chance): void {
  const absent = some(['network', 'ipc', 'uts', 'pid', 'cgroup'], 0.15);
  spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => !absent.includes(type));
  if (absent.includes('uts')) delete spec.hostname;
  else spec.hostname = oneOf(['differential', 'a', 'a-long.host-name']);
  spec.linux.maskedPaths = some(
    ['/etc/secret', '/proc/kcore', '/proc/keys', '/sys/firmware', '/home', '/nowhere'],
    0.3,
  );
  spec.linux.readonlyPaths = some(['/proc/sys', '/proc/bus', '/tmp', '/etc', '/nowhere'], 0.3);
  if (maybe(0.3) && !absent.includes('network'))
    spec.linux.sysctl = { 'net.ipv4.ip_unprivileged_port_start': String(number(2000)) };
  if (maybe(0.3)) {
    const names = some(['mkdir', 'mkdirat', 'mount', 'chroot', 'sethostname', 'personality'], 0.5);
    const action = { names: [...names, 'acct'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 + number(100) };
    spec.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_X86_64'], syscalls: [action] };
  }
  if (maybe(0.3)) {
    const fileMode = oneOf([0o600, 0o660, 0o666]);
    spec.linux.devices = [
      {
        path: oneOf(['/dev/extra', '/dev/d/extra']),
        type: 'c',
        major: 1,
        minor: 5,
        fileMode,
        uid: number(3),
        gid: number(3),
      },
    ];
  }
}

/** So many specs from a seed. */
export function randomSpecs(seed: number, count: number, sources: Sources): Named[] {
  return Array.from({ length: count }, (_, at) => {
    const own = chance(seed + at * 7919);
    const spec = baseSpec();
    process(spec, own, sources);
    mounts(spec, own, sources);
    linux(spec, own);
    return { name: `random ${seed}/${at}`, spec };
  });
}
