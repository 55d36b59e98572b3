import test from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import { podFiles } from '../../../src/sandbox/files.ts';
import { planSandbox } from '../../../src/sandbox/plan.ts';
import type { NamespaceOptions, SandboxConfig } from '../../../src/sandbox/sandbox.ts';
import { sandboxConfig } from '../../helpers/builders.ts';

const facts = { hostname: 'node-1', defaultSysctls: [] };
const withNamespaces = (namespaces: Partial<NamespaceOptions>, more: Partial<SandboxConfig> = {}): SandboxConfig => {
  const config = sandboxConfig(more);
  return { ...config, security: { ...config.security, namespaces: { ...config.security.namespaces, ...namespaces } } };
};

const ids = { containerId: 0, hostId: 1000, length: 10 };
const userns = { uids: ids, gids: ids };

test("a user namespace, with the host's network too", (t) => {
  for (const network of ['pod', 'node'] as const) {
    t.deepEqual(planSandbox(withNamespaces({ network, userns }), facts).userns, userns);
  }
  t.is(planSandbox(withNamespaces({ userns: null }), facts).userns, null);
});

test('a pod of its own', (t) => {
  t.deepEqual(
    planSandbox(sandboxConfig({ sysctls: { 'net.ipv4.ip_forward': '1', 'kernel.shm_rmid_forced': '1' } }), facts),
    {
      network: 'pod',
      ipc: 'pod',
      pid: 'container',
      userns: null,
      hostname: 'web',
      sysctls: [
        { name: 'net.ipv4.ip_forward', value: '1' },
        { name: 'kernel.shm_rmid_forced', value: '1' },
      ],
    },
  );
});

test("the node's own kernel parameters: the pod's win, and a host's namespace is left alone", (t) => {
  const defaultSysctls = ['net.ipv4.ping_group_range=0 65535', 'net.core.somaxconn=9', 'kernel.shmmax=7'];
  const of = (config: SandboxConfig) =>
    Object.fromEntries(
      planSandbox(config, { ...facts, defaultSysctls }).sysctls.map(({ name, value }) => [name, value]),
    );
  t.deepEqual(of(sandboxConfig({ sysctls: { 'net/core/somaxconn': '1', 'net.ipv4.ip_forward': '1' } })), {
    'net.ipv4.ping_group_range': '0 65535',
    'net.core.somaxconn': '1',
    'kernel.shmmax': '7',
    'net.ipv4.ip_forward': '1',
  });
  t.deepEqual(of(withNamespaces({ network: 'node' })), { 'kernel.shmmax': '7' });
  t.false(
    'net.ipv4.ping_group_range' in of(withNamespaces({ userns })),
    'its groups would have to be the namespace’s own',
  );
  t.deepEqual(of(withNamespaces({ network: 'node', ipc: 'node' })), {});
});

test('the host name of the host: with its network, or when none was given', (t) => {
  t.is(planSandbox(withNamespaces({ network: 'node' }), facts).hostname, 'node-1');
  t.is(planSandbox(sandboxConfig({ hostname: '' }), facts).hostname, 'node-1');
});

const refusals: [string, SandboxConfig, RegExp][] = [
  [
    'no name',
    sandboxConfig({ metadata: { name: '', namespace: 'n', uid: 'u', attempt: 0 } }),
    /config.metadata.name is empty/,
  ],
  [
    'no namespace',
    sandboxConfig({ metadata: { name: 'n', namespace: '', uid: 'u', attempt: 0 } }),
    /config.metadata.namespace is empty/,
  ],
  [
    'no uid',
    sandboxConfig({ metadata: { name: 'n', namespace: 'n', uid: '', attempt: 0 } }),
    /config.metadata.uid is empty/,
  ],
  ['a long host name', sandboxConfig({ hostname: 'x'.repeat(65) }), /hostname/],
  ['a network of a container', withNamespaces({ network: 'container' }), /namespace_options.network/],
  ["the host's pids with a user namespace", withNamespaces({ pid: 'node', userns }), /namespace_options.pid: NODE/],
  ["the host's ipc with a user namespace", withNamespaces({ ipc: 'node', userns }), /namespace_options.ipc: NODE/],
  ['pid target', withNamespaces({ pid: 'target' }), /namespace_options.pid/],
  [
    'net sysctl on the host',
    withNamespaces({ network: 'node' }, { sysctls: { 'net.core.somaxconn': '1' } }),
    /host's network/,
  ],
  ['ipc sysctl on the host', withNamespaces({ ipc: 'node' }, { sysctls: { 'fs.mqueue.msg_max': '1' } }), /host's ipc/],
  ['a sysctl of the whole host', sandboxConfig({ sysctls: { 'vm.swappiness': '1' } }), /not namespaced/],
  ['a sysctl with a path', sandboxConfig({ sysctls: { 'net/../../x': '1' } }), /no sysctl name/],
];
for (const [name, config, message] of refusals) {
  test(`refused: ${name}`, (t) => {
    const error = t.throws(() => planSandbox(config, facts), { instanceOf: Failure, message });
    t.is((error as Failure).kind, 'invalid-argument');
  });
}

test('pod files from DNSConfig', (t) => {
  const made = podFiles({
    hostname: 'web',
    ips: ['10.0.0.2', 'fd00::2'],
    dns: { servers: ['10.96.0.10', '8.8.8.8'], searches: ['a.b', 'c'], options: ['ndots:5'] },
    hostNetwork: false,
    host: { hosts: 'H', resolvConf: 'R' },
  });
  t.is(made.resolvConf, 'search a.b c\nnameserver 10.96.0.10\nnameserver 8.8.8.8\noptions ndots:5\n');
  t.is(made.hostname, 'web\n');
  t.regex(made.hosts, /^127\.0\.0\.1\tlocalhost\n[\s\S]*10\.0\.0\.2\tweb\nfd00::2\tweb\n$/);
});

test("pod files without DNSConfig or with the host network are the host's", (t) => {
  const made = podFiles({
    hostname: 'n',
    ips: [],
    dns: { servers: [], searches: [], options: [] },
    hostNetwork: true,
    host: { hosts: 'H\n', resolvConf: 'R\n' },
  });
  t.deepEqual(made, { hosts: 'H\n', hostname: 'n\n', resolvConf: 'R\n' });
});
