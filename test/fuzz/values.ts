// Arbitrary values of fields: likely ones, edges and nonsense, and where a value reaches the host only harmless ones.
import * as fc from 'fast-check';
import { Later } from './live.ts';
import { devices, type Ground, ports } from './place.ts';

type Value = fc.Arbitrary<unknown>;

const among = (...values: readonly unknown[]): Value => fc.constantFrom(...values);

/** Texts that are usually wrong in some way. */
const junk: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 12 }) },
  { weight: 2, arbitrary: fc.string({ maxLength: 12, unit: 'grapheme' }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('', '.', '..', '/', 'a\0b', 'a\nb', ' ', '%s%n', '-1', '__proto__', '\u202e'),
  },
  { weight: 1, arbitrary: fc.string({ minLength: 200, maxLength: 5000, unit: 'binary' }) },
);

/** Texts that cannot be a path of the host, for where only chosen paths may go. */
const notAbsolute = junk.map((text) => text.replace(/^\/+/, ''));
const word = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,10}$/);
const numbers = (...edges: readonly (number | string)[]): Value =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...edges) },
    { weight: 1, arbitrary: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map(String) },
  );

const idOf = (kind: Later['kind']): Value =>
  fc.oneof(
    { weight: 8, arbitrary: fc.nat(64).map((nth) => new Later(kind, nth, 64)) },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.nat(64), fc.integer({ min: 1, max: 20 })).map(([n, digits]) => new Later(kind, n, digits)),
    },
    { weight: 1, arbitrary: junk },
  );

const map = (key: fc.Arbitrary<string>, value: Value): Value =>
  fc.dictionary(key, value as fc.Arbitrary<string>, { maxKeys: 4 });
const list = (value: Value): Value => fc.array(value, { maxLength: 4 });
const labels = map(fc.oneof({ weight: 4, arbitrary: word }, junk), junk);

/** Commands that end by themselves or wait to be ended, and touch nothing. */
const commands: Value = fc.oneof(
  {
    weight: 8,
    arbitrary: among(
      ['sleep', '3600'],
      ['sleep', '0.1'],
      ['true'],
      ['false'],
      ['sh', '-c', 'exit 3'],
      ['sh', '-c', 'echo out; echo err >&2'],
      ['spew', '100000'],
    ),
  },
  { weight: 1, arbitrary: among([], [''], ['/no/such/program'], ['/etc'], ['/proc/self/exe'], ['sleep', '\0']) },
);

const inContainer = among(
  '/',
  '/tmp',
  '/data',
  '/new/deep/dir',
  '/proc',
  '/proc/self/fd/3',
  '/sys',
  '/dev',
  '/dev/shm',
  '/etc',
  '/etc/passwd',
  '/etc/hosts',
  '/x/../y',
  'relative',
  '/bin/sh/x',
  `/${'n'.repeat(255)}`,
  `/${'n'.repeat(256)}`,
);

/** Values by `Message.field`; what is not here has values by its type. */
export function fieldValues(ground: Ground): Readonly<Record<string, Value>> {
  const { dir, cgroup, image, spareImage } = ground;
  const below = (...names: readonly string[]): Value =>
    fc.oneof(
      { weight: 6, arbitrary: among(...names.map((name) => `${dir}/${name}`)) },
      { weight: 1, arbitrary: notAbsolute },
    );
  const images = fc.oneof(
    { weight: 8, arbitrary: among(image, spareImage) },
    {
      weight: 2,
      arbitrary: among(
        image.replace(/:latest$/, ''),
        'registry.invalid/not/pulled:1',
        'UPPER',
        'busybox@sha256:beef',
        'sha256:',
        'abcd',
      ),
    },
    { weight: 1, arbitrary: junk },
  );
  const seccomp = fc.oneof(
    {
      weight: 4,
      arbitrary: among(
        '',
        'runtime/default',
        'unconfined',
        `localhost/${dir}/seccomp.json`,
        'localhost//no/such',
        'localhost/',
      ),
    },
    { weight: 1, arbitrary: junk.map((text) => `localhost/x${text}`) },
  );
  return {
    ...idFields,
    ...numberFields,
    'PodSandboxConfig.log_directory': fc.oneof(below('logs', 'logs/new/deeper', 'file/x', 'seccomp.json'), among('')),
    'PodSandboxConfig.labels': labels,
    'PodSandboxConfig.annotations': labels,
    'PodSandboxMetadata.name': fc.oneof(word, junk),
    'DNSConfig.servers': list(fc.oneof(among('192.0.2.53', '2001:db8::53', 'fe80::1%eth0', '1.2.3.4 5'), junk)),
    'LinuxPodSandboxConfig.cgroup_parent': among(
      '',
      '',
      cgroup,
      `${cgroup}/pod`,
      `${cgroup}/a/b/c`,
      '/..',
      `${cgroup}/../../x`,
      `${cgroup}/${'n'.repeat(256)}`,
    ),
    'LinuxPodSandboxConfig.sysctls': map(
      fc.constantFrom(
        'net.ipv4.ip_default_ttl',
        'net/ipv4/ip_default_ttl',
        'net.ipv4.ping_group_range',
        'kernel.shm_rmid_forced',
        'kernel.msgmax',
        'net.no.such',
        'kernel.hostname',
        'vm.swappiness',
        'net..x',
        '',
      ),
      fc.oneof(among('64', '0 0', '0', '8192', '-1', 'yes', ''), junk),
    ),
    'PortMapping.host_port': fc.oneof(
      among(0),
      fc.integer({ min: ports[0], max: ports[1] }),
      among(-1, 65_536, 2 ** 31 - 1),
    ),
    'PortMapping.host_ip': among('127.0.0.1', '127.0.0.1', '::1', 'no address'),
    'PortMapping.container_port': fc.oneof(fc.integer({ min: 1, max: 65_535 }), among(0, -1, 65_536)),
    'ContainerConfig.command': commands,
    'ContainerConfig.args': list(fc.oneof(word, junk)),
    'ExecSyncRequest.cmd': commands,
    'ExecRequest.cmd': commands,
    'ContainerConfig.working_dir': fc.oneof(inContainer, junk),
    'ContainerConfig.log_path': fc.oneof(among('a.log', 'deep/er/b.log', '', '../x.log', '.', 'a.log/b'), notAbsolute),
    'ContainerConfig.labels': labels,
    'ContainerConfig.annotations': labels,
    'ImageSpec.image': images,
    'ImageSpec.annotations': labels,
    'KeyValue.key': fc.oneof(word, among('PATH', 'HOME', 'LD_PRELOAD', 'A=B'), junk),
    'KeyValue.value': fc.oneof(
      junk.map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    ),
    'Mount.container_path': fc.oneof({ weight: 5, arbitrary: inContainer }, junk),
    'Mount.host_path': fc.oneof(
      below('data', 'data/sub', 'file', 'link-to-file', 'link-to-itself', 'missing', 'file/x'),
      among('', '/no/such/path'),
    ),
    'Mount.image_sub_path': fc.oneof(among('', 'bin', 'no/such', '../x', '/bin'), junk),
    'Mount.mount_options': list(fc.oneof(among('noexec', 'nodev', 'nosuid', 'ro', 'exec'), junk)),
    'Device.host_path': fc.oneof(among(...devices, '/no/device', `${dir}/file`), notAbsolute),
    'Device.container_path': fc.oneof(among('/dev/x', '/dev/sub/x', '', '/x', '/dev', '/proc/x'), junk),
    'Device.permissions': among('r', 'rw', 'rwm', 'm', '', 'rr', 'x'),
    'SecurityProfile.localhost_ref': fc.oneof(below('seccomp.json', 'file', 'data', 'missing'), among('', '/no/such')),
    'LinuxContainerSecurityContext.seccomp_profile_path': seccomp,
    'LinuxSandboxSecurityContext.seccomp_profile_path': seccomp,
    'LinuxContainerSecurityContext.masked_paths': list(inContainer),
    'LinuxContainerSecurityContext.readonly_paths': list(inContainer),
    'Capability.add_capabilities': capabilities,
    'Capability.drop_capabilities': capabilities,
    'Capability.add_ambient_capabilities': capabilities,
    'NetworkConfig.pod_cidr': among('', '10.244.0.0/24', 'fd00::/64,10.1.0.0/24', 'x'),
    'RunPodSandboxRequest.runtime_handler': fc.oneof({ weight: 5, arbitrary: among('', 'podwright') }, junk),
    'ImageSpec.runtime_handler': fc.oneof({ weight: 5, arbitrary: among('', 'podwright') }, junk),
    'CheckpointContainerRequest.location': below('checkpoint.tar', 'missing/x.tar', 'data'),
    'CheckpointPodRequest.output_path': below('checkpoint', 'data', 'missing'),
    'RestorePodRequest.checkpoint_path': below('checkpoint', 'data', 'missing'),
  };
}

const capabilities = list(fc.oneof(among('ALL', 'CHOWN', 'cap_kill', 'SYS_ADMIN', 'NET_RAW', 'CAP_ALL'), junk));

const idFields: Readonly<Record<string, Value>> = Object.fromEntries([
  ...['Start', 'Stop', 'Remove'].map((verb) => [`${verb}ContainerRequest.container_id`, idOf('container')]),
  ...[
    'ContainerStatus',
    'ContainerStats',
    'ReopenContainerLog',
    'UpdateContainerResources',
    'ExecSync',
    'Exec',
    'Attach',
    'CheckpointContainer',
  ].map((rpc) => [`${rpc}Request.container_id`, idOf('container')]),
  ...[
    'StopPodSandbox',
    'RemovePodSandbox',
    'PodSandboxStatus',
    'PodSandboxStats',
    'CreateContainer',
    'PortForward',
    'UpdatePodSandboxResources',
    'CheckpointPod',
  ].map((rpc) => [`${rpc}Request.pod_sandbox_id`, idOf('sandbox')]),
  ['ContainerFilter.id', idOf('container')],
  ['ContainerFilter.pod_sandbox_id', idOf('sandbox')],
  ['ContainerStatsFilter.id', idOf('container')],
  ['ContainerStatsFilter.pod_sandbox_id', idOf('sandbox')],
  ['PodSandboxFilter.id', idOf('sandbox')],
  ['PodSandboxStatsFilter.id', idOf('sandbox')],
  ['NamespaceOption.target_id', idOf('container')],
  ['CheckpointPodRequest.container_ids', list(idOf('container'))],
]) as Record<string, Value>;

const numberFields: Readonly<Record<string, Value>> = {
  // what waits longer than a call is not asked for
  'StopContainerRequest.timeout': among('0', '0', '1', '2', '-1', '-9223372036854775808'),
  'ExecSyncRequest.timeout': among('1', '2', '5', '-1', '-9223372036854775808'),
  'CheckpointContainerRequest.timeout': among('0', '5', '-1'),
  'LinuxContainerResources.cpu_period': numbers('0', '100000', '1000', '999', '1000000', '1000001'),
  'LinuxContainerResources.cpu_quota': numbers('0', '-1', '50000', '100000', '999', '-2'),
  'LinuxContainerResources.cpu_shares': numbers('0', '2', '1024', '262144', '1'),
  'LinuxContainerResources.memory_limit_in_bytes': numbers(
    '0',
    '-1',
    '268435456',
    '33554432',
    '4096',
    '1',
    '9223372036854775807',
  ),
  'LinuxContainerResources.memory_swap_limit_in_bytes': numbers('0', '-1', '268435456', '536870912', '4096'),
  'LinuxContainerResources.oom_score_adj': numbers('0', '-998', '1000', '1001', '-1001'),
  'LinuxContainerResources.cpuset_cpus': fc.oneof(among('', '0', '0-1', '1', '0-4095', '9', 'x', '0,'), junk),
  'LinuxContainerResources.cpuset_mems': fc.oneof(among('', '0', '1', '0-63'), junk),
  'LinuxContainerResources.unified': map(
    fc.constantFrom(
      'memory.high',
      'memory.min',
      'memory.oom.group',
      'cpu.idle',
      'pids.max',
      'no.such',
      'cgroup.procs',
      '../x',
    ),
    fc.oneof(among('max', '1', '0', '100000000'), junk),
  ),
  'HugepageLimit.page_size': fc.oneof(among('2MB', '1GB', '64KB', '', '../x'), junk),
  'HugepageLimit.limit': among('0', '2097152', '1', '9223372036854775807', '18446744073709551615'),
  'Int64Value.value': numbers('0', '1', '1000', '65534', '4294967294', '4294967295', '-1'),
  'LinuxContainerSecurityContext.supplemental_groups': list(numbers('0', '1', '10', '65534', '-1')),
  'LinuxSandboxSecurityContext.supplemental_groups': list(numbers('0', '1', '10', '65534', '-1')),
  'IDMapping.host_id': fc.oneof(among(0, 1000, 100_000), fc.nat(4_294_967_295)),
  'IDMapping.container_id': fc.oneof(among(0, 0, 1), fc.nat(4_294_967_295)),
  'IDMapping.length': fc.oneof(among(0, 1, 65_536), fc.nat(4_294_967_295)),
  'PortForwardRequest.port': list(fc.integer({ min: -1, max: 70_000 })),
};

/** Values of a field of no name in particular. */
export const scalarValues: Readonly<Record<string, Value>> = {
  string: fc.oneof(word, junk),
  bytes: fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
  bool: fc.boolean(),
  int32: fc.oneof(fc.nat(10), fc.integer()),
  uint32: fc.oneof(fc.nat(10), fc.nat(4_294_967_295)),
  int64: numbers('0', '1', '-1', '9223372036854775807'),
  uint64: fc.bigInt(0n, 2n ** 64n - 1n).map(String),
  double: fc.double(),
};
