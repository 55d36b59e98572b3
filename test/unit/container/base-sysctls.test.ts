// Kernel parameters of a base spec: never the node's, and never in place of what the pod asked for.
import test from 'ava';
import { planContainer } from '../../../src/container/plan.ts';
import type { SandboxId } from '../../../src/lib/id.ts';
import { type BaseSpec, noBase } from '../../../src/oci/base-spec.ts';
import { noEdits } from '../../../src/oci/edits.ts';
import type { Sandbox, SandboxConfig } from '../../../src/sandbox/sandbox.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';
import { image } from '../../helpers/fake-host.ts';

const ofBase = {
  'net.core.somaxconn': '5',
  'net.ipv4.ping_group_range': '0 2147483647',
  'kernel.msgmax': '4096',
  'fs/mqueue/msg_max': '7',
};

function sysctlsOf(config: SandboxConfig, base: BaseSpec = { ...noBase, sysctl: ofBase }) {
  const sandbox = { identity: { id: 's' as SandboxId, config } } as unknown as Sandbox;
  return planContainer({
    id: 'c',
    config: containerConfig(),
    sandbox,
    image: image.config,
    user: { uid: 5, gid: 6, groups: [6], home: '/' },
    cgroupPath: '/c',
    netns: null,
    files: { hosts: '/h', hostname: '/n', resolvConf: '/r' },
    hostname: 'h',
    mounts: [],
    edits: noEdits,
    base,
    hooks: () => [],
    apparmor: '',
    selinux: undefined,
    host: {
      capabilities: [],
      defaultCapabilities: [],
      rlimits: {},
      ownCgroupNamespace: true,
      noWritableCgroups: null,
      privilegedDevices: false,
      ownedDevices: false,
    },
  }).linux.sysctl;
}

const { security } = sandboxConfig();
const withNamespaces = (changed: object, more: Partial<SandboxConfig> = {}): SandboxConfig =>
  sandboxConfig({ ...more, security: { ...security, namespaces: { ...security.namespaces, ...changed } } });
const ids = [{ containerId: 0, hostId: 100_000, length: 65_536 }];

for (const [name, config, left] of [
  ['a pod with namespaces of its own', sandboxConfig(), Object.keys(ofBase)],
  ['a pod on the node’s network', withNamespaces({ network: 'node' }), ['kernel.msgmax', 'fs/mqueue/msg_max']],
  ['a pod with the node’s ipc', withNamespaces({ ipc: 'node' }), ['net.core.somaxconn', 'net.ipv4.ping_group_range']],
  ['a pod with both', withNamespaces({ network: 'node', ipc: 'node' }), []],
  [
    'a pod with a user namespace',
    withNamespaces({ userns: { uids: ids, gids: ids } }),
    ['net.core.somaxconn', 'kernel.msgmax', 'fs/mqueue/msg_max'],
  ],
  [
    'a pod that asks for some itself',
    sandboxConfig({ sysctls: { 'net/core/somaxconn': '9', 'fs.mqueue.msg_max': '9' } }),
    ['net.ipv4.ping_group_range', 'kernel.msgmax'],
  ],
] as const)
  test(`kernel parameters of a base spec in ${name}`, (t) =>
    t.deepEqual(Object.keys(sysctlsOf(config) ?? {}), [...left]));

test('a handler without a base spec sets none', (t) => t.is(sysctlsOf(sandboxConfig(), noBase), undefined));
