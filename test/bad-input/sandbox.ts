// Wrong values of pod sandboxes.
import { cgroupDriver } from '../helpers/cgroups.ts';
import {
  absolutePath,
  anyPath,
  fine,
  goneId,
  hugeList,
  line,
  name,
  objectId,
  type Row,
  type Rows,
  textMap,
  wrong,
} from './row.ts';

const resolverWord = (good: string): readonly Row[] => [
  wrong('an empty one', [good, '']),
  wrong('a line break: it would be a line of resolv.conf', [`${good}\nnameserver 192.0.2.1`]),
  wrong('a NUL byte', [`${good}\0`]),
  wrong('a space: it would be two words', [`${good} more`]),
  wrong('256 kB', ['n'.repeat(256 * 1024)]),
  wrong('64 Ki of them', hugeList(good)),
];

export const sandboxRows: Rows = {
  'RunPodSandboxRequest.config': [wrong('missing', undefined)],
  'RunPodSandboxRequest.runtime_handler': [...line, wrong('nobody has configured it', 'kata')],
  'StopPodSandboxRequest.pod_sandbox_id': goneId,
  'RemovePodSandboxRequest.pod_sandbox_id': goneId,
  'PodSandboxStatusRequest.pod_sandbox_id': objectId,
  'PodSandboxStatsRequest.pod_sandbox_id': objectId,
  'UpdatePodSandboxResourcesRequest.pod_sandbox_id': objectId,
  'PortForwardRequest.pod_sandbox_id': objectId,

  'PodSandboxConfig.metadata': [wrong('missing', undefined)],
  'PodSandboxConfig.linux': [wrong('missing beside windows', undefined, { beside: { windows: {} } })],
  'PodSandboxConfig.hostname': [
    wrong('longer than 64 bytes, which sethostname(2) refuses', 'h'.repeat(65)),
    wrong('33 letters of two bytes', 'ä'.repeat(33)),
    wrong('a NUL byte', 'a\0b'),
    wrong('a line break: it would be a line of /etc/hosts', 'a\n127.0.0.1'),
    wrong('a space: it would be two names in /etc/hosts', 'a b'),
    fine('64 bytes', 'h'.repeat(64)),
  ],
  'PodSandboxConfig.log_directory': [
    wrong('relative', 'logs'),
    wrong('it leads out of where it begins', '/var/log/pods/../../../etc'),
    ...anyPath,
  ],
  'PodSandboxConfig.labels': textMap,
  'PodSandboxConfig.annotations': textMap,
  'PodSandboxMetadata.name': name,
  'PodSandboxMetadata.namespace': name,
  'PodSandboxMetadata.uid': name,
  'PodSandboxMetadata.attempt': [fine('the largest', 4294967295, { at: /^RunPodSandbox/ })],

  'DNSConfig.servers': [...resolverWord('192.0.2.1'), wrong('no address', ['example.org'])],
  'DNSConfig.searches': resolverWord('example.org'),
  'DNSConfig.options': resolverWord('ndots:5'),

  'PodSandboxConfig.port_mappings': [
    wrong('one port of the host twice', [
      { container_port: 80, host_port: 40_001 },
      { container_port: 81, host_port: 40_001 },
    ]),
    wrong('64 Ki of them', hugeList({ container_port: 80 })),
    fine('one number for two protocols', [
      { protocol: 'TCP', container_port: 80, host_port: 40_001, host_ip: '127.0.0.1' },
      { protocol: 'UDP', container_port: 80, host_port: 40_001, host_ip: '127.0.0.1' },
    ]),
  ],
  'PortMapping.container_port': [
    wrong('negative', -1),
    wrong('65536', 65_536),
    wrong('0, and to be published', 0, { beside: { host_port: 40_001 } }),
  ],
  'PortMapping.host_port': [wrong('negative', -1), wrong('65536', 65_536), wrong('the least int32', -2147483648)],
  'PortMapping.host_ip': [...line, wrong('no address', 'localhost'), wrong('a network', '192.0.2.0/24')],

  'LinuxPodSandboxConfig.cgroup_parent': [
    wrong('a step back', '/podwright/../../escape', { host: true }),
    wrong('the root', '/', { host: true }),
    wrong('a line break', '/podwright/a\nb', { host: true }),
    wrong('no slice name', 'a--b.slice', { host: true }),
    cgroupDriver === 'systemd'
      ? wrong("a path, but the driver is systemd's", '/podwright/x', { host: true })
      : wrong("a slice, but the driver is cgroupfs's", 'podwright-x.slice', { host: true }),
    ...anyPath,
  ],
  'LinuxPodSandboxConfig.sysctls': [
    ...textMap,
    wrong('one of the host', { 'kernel.hostname': 'x' }),
    wrong('one of the host by another spelling', { 'kernel/core_pattern': '|/bin/sh' }),
    wrong('a path that leads out', { 'net/../kernel/core_pattern': 'x' }),
    wrong('a step that is no name', { 'net..ipv4.ip_forward': '1' }),
    wrong('an empty value', { 'net.ipv4.ip_forward': '' }),
    wrong('a line break in the value', { 'net.ipv4.ip_forward': '1\n1' }),
    wrong('a NUL byte in the value', { 'net.ipv4.ip_forward': '1\0' }),
    wrong('a value that the kernel does not take', { 'net.ipv4.ip_forward': 'yes' }, { host: true }),
    wrong(
      'one that this kernel has not',
      { 'net.podwright.nothing': '1' },
      { code: 'FAILED_PRECONDITION', host: true },
    ),
  ],

  'PodSandboxFilter.id': [fine('it selects nothing', 'no such id')],
  'PodSandboxFilter.label_selector': [fine('it selects nothing', { 'any\nkey': '' })],
  'PodSandboxStatsFilter.id': [fine('it selects nothing', 'no such id')],
  'PodSandboxStatsFilter.label_selector': [fine('it selects nothing', { 'any\nkey': '' })],

  'PortForwardRequest.port': [wrong('64 Ki of them', hugeList(80)), wrong('negative', [-1]), wrong('65536', [65_536])],
  'CheckpointPodRequest.pod_sandbox_id': objectId,
  'CheckpointPodRequest.output_path': absolutePath,
  'CheckpointPodRequest.container_ids': [wrong('none', []), wrong('one twice', ['a', 'a'])],
  'CheckpointPodRequest.options': [wrong('an unknown one', { 'no.such.option': '1' }), ...textMap],
  'RestorePodRequest.options': [wrong('an unknown one', { 'no.such.option': '1' }), ...textMap],
  'RestorePodRequest.runtime_handler': [...line, wrong('nobody has configured it', 'kata')],
  'RestorePodRequest.checkpoint_path': absolutePath,
};
