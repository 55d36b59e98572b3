import test, { type ExecutionContext } from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import type { ContainerId, ImageId, SandboxId } from '../../../src/lib/id.ts';
import { criMessage } from '../../../src/proto/cri-codec.ts';
import type { Container } from '../../../src/container/container.ts';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
import { decodeContainerConfig, encodeContainer, encodeContainerStatus } from '../../../src/cri/convert/container.ts';
import { decodeContainerFilter, decodeSandboxFilter } from '../../../src/cri/convert/filters.ts';
import { decodePull } from '../../../src/cri/convert/image.ts';
import { decodeExecSync, decodeStop, decodeUpdate } from '../../../src/cri/convert/requests.ts';
import { encodeResources } from '../../../src/cri/convert/resources.ts';
import { decodeSandboxConfig, encodeSandboxStatus } from '../../../src/cri/convert/sandbox.ts';
import { decodeSignal, encodeSignal } from '../../../src/cri/convert/signals.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';

/** As the wire gives it. */
const received = (type: string, message: object): never => {
  const codec = criMessage(type);
  return codec.deserialize(codec.serialize(message)) as never;
};
const sandboxOf = (config: object) => decodeSandboxConfig(received('PodSandboxConfig', config));
const containerOf = (config: object) => decodeContainerConfig(received('ContainerConfig', config));

const pod = { metadata: { name: 'web', namespace: 'default', uid: 'u', attempt: 2 } };
const box = { metadata: { name: 'c', attempt: 1 }, image: { image: 'busybox' } };
const secured = (security_context: object) => ({ ...box, linux: { security_context } });

function refuses(t: ExecutionContext, message: string, work: () => unknown): void {
  const error = t.throws(work, { instanceOf: Failure }, message);
  t.is(error?.kind, 'invalid-argument');
  t.is(error?.message, message);
}

test('a minimal sandbox config has the proto defaults', (t) => {
  t.deepEqual(sandboxOf(pod), {
    ...sandboxConfig(),
    metadata: { name: 'web', namespace: 'default', uid: 'u', attempt: 2 },
    hostname: '',
    logDirectory: '',
    security: {
      ...sandboxConfig().security,
      namespaces: { network: 'pod', pid: 'pod', ipc: 'pod', targetId: '' },
    },
  });
});

test('a full sandbox config arrives whole', (t) => {
  const config = sandboxOf({
    ...pod,
    hostname: 'h',
    log_directory: '/var/log/pods/x',
    dns_config: { servers: ['10.0.0.1'], searches: ['svc'], options: ['ndots:5'] },
    port_mappings: [{ protocol: 'UDP', container_port: 53, host_port: 5353, host_ip: '127.0.0.1' }],
    labels: { a: 'b' },
    annotations: { c: 'd' },
    linux: {
      cgroup_parent: '/kubepods/pod1',
      sysctls: { 'net.core.somaxconn': '1' },
      overhead: { cpu_shares: 2 },
      security_context: {
        namespace_options: { network: 'NODE', pid: 'CONTAINER', ipc: 'NODE' },
        run_as_user: { value: 0 },
        run_as_group: { value: 7 },
        supplemental_groups: [1, 2],
        supplemental_groups_policy: 'Strict',
        privileged: true,
        seccomp: { profile_type: 'Localhost', localhost_ref: '/p.json' },
      },
    },
  });
  t.deepEqual(config.dns, { servers: ['10.0.0.1'], searches: ['svc'], options: ['ndots:5'] });
  t.deepEqual(config.portMappings, [{ protocol: 'udp', containerPort: 53, hostPort: 5353, hostIp: '127.0.0.1' }]);
  t.is(config.overhead?.cpuShares, 2);
  t.is(config.resources, null);
  t.deepEqual(config.security, {
    namespaces: { network: 'node', pid: 'container', ipc: 'node', targetId: '' },
    selinux: null,
    runAsUser: 0,
    runAsGroup: 7,
    readonlyRootfs: false,
    supplementalGroups: [1, 2],
    supplementalGroupsPolicy: 'strict',
    privileged: true,
    seccomp: { type: 'localhost', localhostRef: '/p.json' },
    apparmor: null,
  });
});

test('wrong sandbox fields are refused by name', (t) => {
  const cases: [string, object][] = [
    ['config.metadata is missing', {}],
    ['config.metadata.uid is empty', { metadata: { name: 'a', namespace: 'b' } }],
    ['config.windows is set without config.linux', { ...pod, windows: {} }],
    ['config.hostname is longer than 64 bytes', { ...pod, hostname: 'ä'.repeat(33) }],
    ['config.log_directory "logs" is not an absolute path', { ...pod, log_directory: 'logs' }],
    ['config.dns_config.servers[0] contains a control character', { ...pod, dns_config: { servers: ['1\nevil'] } }],
    [
      'config.port_mappings[0].container_port 0 is not between 1 and 65535',
      { ...pod, port_mappings: [{ host_port: 1 }] },
    ],
    ['config.port_mappings[0].protocol has the unknown value 9', { ...pod, port_mappings: [{ protocol: 9 }] }],
    [
      'config.linux.security_context.namespace_options.network CONTAINER is not possible: only POD and NODE',
      { ...pod, linux: { security_context: { namespace_options: { network: 'CONTAINER' } } } },
    ],
    [
      'config.linux.security_context.run_as_group is set without run_as_user',
      { ...pod, linux: { security_context: { run_as_group: { value: 1 } } } },
    ],
    [
      'config.linux.security_context.run_as_user 4294967295 is not between 0 and 4294967294',
      { ...pod, linux: { security_context: { run_as_user: { value: 4294967295 } } } },
    ],
  ];
  for (const [message, config] of cases) refuses(t, message, () => sandboxOf(config));
  refuses(t, 'config is missing', () => decodeSandboxConfig(null));
});

test('a container config arrives whole', (t) => {
  const config = containerOf({
    ...box,
    envs: [{ key: 'A', value: Buffer.from('ü=1') }],
    mounts: [
      {
        container_path: '/d',
        host_path: '/h',
        readonly: true,
        recursive_read_only: true,
        mount_options: ['noexec', 'nodev'],
      },
      { container_path: '/i', image: { image: 'sha256:1', annotations: { a: 'b' } }, image_sub_path: 'x/y' },
    ],
    devices: [{ host_path: '/dev/fuse', permissions: 'rw' }],
    stop_signal: 'SIGNAL_SIGRTMINPLUS3',
    linux: {
      resources: { cpu_quota: -1, memory_limit_in_bytes: '9223372036854775807', unified: { 'memory.high': '1' } },
      security_context: {
        seccomp_profile_path: 'localhost//p',
        apparmor_profile: 'unconfined',
        capabilities: { add_capabilities: ['ALL'] },
      },
    },
  });
  t.deepEqual(config.env, [{ key: 'A', value: 'ü=1' }]);
  t.deepEqual(config.mounts, [
    {
      containerPath: '/d',
      hostPath: '/h',
      readonly: true,
      selinuxRelabel: false,
      propagation: 'private',
      recursiveReadOnly: true,
      image: null,
      imageSubPath: '',
      mountOptions: ['noexec', 'nodev'],
    },
    {
      containerPath: '/i',
      hostPath: '',
      readonly: false,
      selinuxRelabel: false,
      propagation: 'private',
      recursiveReadOnly: false,
      image: { image: 'sha256:1', userSpecifiedImage: '', runtimeHandler: '', annotations: { a: 'b' } },
      imageSubPath: 'x/y',
      mountOptions: [],
    },
  ]);
  t.deepEqual(config.devices, [{ hostPath: '/dev/fuse', containerPath: '/dev/fuse', permissions: 'rw' }]);
  t.is(config.stopSignal, 'SIGRTMIN+3');
  t.is(config.resources?.cpuQuota, -1);
  t.is(config.resources?.cpuPeriod, null);
  t.is(config.resources?.memoryLimitBytes, 2 ** 63 - 4096);
  t.deepEqual(config.resources?.unified, { 'memory.high': '1' });
  t.deepEqual(config.security.seccomp, { type: 'localhost', localhostRef: '/p' });
  t.deepEqual(config.security.apparmor, { type: 'unconfined', localhostRef: '' });
  t.deepEqual(config.security.capabilities, { add: ['ALL'], drop: [], addAmbient: [] });
});

test('wrong container fields are refused by name, without values of the environment', (t) => {
  const mount = { container_path: '/d', host_path: '/h' };
  const cases: [string, object][] = [
    ['config.metadata is missing', { image: { image: 'x' } }],
    ['config.image is missing', { metadata: { name: 'c' } }],
    ['config.image.image is empty', { ...box, image: {} }],
    ['config.envs[0].key is empty', { ...box, envs: [{}] }],
    ['config.envs[0].key contains "="', { ...box, envs: [{ key: 'A=B' }] }],
    ['config.envs[0].value is not valid UTF-8', { ...box, envs: [{ key: 'A', value: Buffer.from([0xff]) }] }],
    ['config.envs[0].value contains a NUL byte', { ...box, envs: [{ key: 'A', value: Buffer.from([0]) }] }],
    ['config.command[1] contains a NUL byte', { ...box, command: ['a', 'b\0'] }],
    ['config.log_path "/x" is not relative to the log_directory', { ...box, log_path: '/x' }],
    ['config.log_path "a/../../x" leaves the log_directory', { ...box, log_path: 'a/../../x' }],
    ['config.mounts[0].host_path is empty', { ...box, mounts: [{ container_path: '/d' }] }],
    [
      'config.mounts[0].recursive_read_only is set without readonly',
      { ...box, mounts: [{ ...mount, recursive_read_only: true }] },
    ],
    [
      'config.mounts[0].recursive_read_only is set with PROPAGATION_BIDIRECTIONAL',
      {
        ...box,
        mounts: [{ ...mount, readonly: true, recursive_read_only: true, propagation: 'PROPAGATION_BIDIRECTIONAL' }],
      },
    ],
    [
      'config.devices[0].permissions is not made of r, w and m, each once at most',
      { ...box, devices: [{ host_path: '/d', permissions: 'x' }] },
    ],
    [
      'config.linux.resources.oom_score_adj 1001 is not between -1000 and 1000',
      { ...box, linux: { resources: { oom_score_adj: 1001 } } },
    ],
    [
      'config.linux.resources.unified["../x"] is not a cgroup file',
      { ...box, linux: { resources: { unified: { '../x': '1' } } } },
    ],
    [
      'config.linux.security_context.run_as_username is set beside run_as_user',
      secured({ run_as_user: { value: 1 }, run_as_username: 'n' }),
    ],
    [
      'config.linux.security_context.seccomp.localhost_ref "p" is not an absolute path',
      secured({ seccomp: { profile_type: 'Localhost', localhost_ref: 'p' } }),
    ],
    [
      'config.linux.security_context.masked_paths[0] "proc" is not an absolute path',
      secured({ masked_paths: ['proc'] }),
    ],
  ];
  for (const [message, config] of cases) refuses(t, message, () => containerOf(config));
});

test('a profile that is absent is unconfined, one that is empty is the default', (t) => {
  t.is(containerOf(secured({})).security.seccomp, null);
  t.deepEqual(containerOf(secured({ seccomp: {} })).security.seccomp, { type: 'runtime-default', localhostRef: '' });
});

const container: Container = {
  identity: {
    id: 'c1' as ContainerId,
    sandboxId: 's1' as SandboxId,
    config: containerConfig({ labels: { l: '1' } }),
    imageId: 'sha256:1' as ImageId,
    imageRef: 'docker.io/library/busybox@sha256:2',
    chain: [],
    logPath: '/var/log/pods/x/c/0.log',
    cgroupPath: '/x',
    stopSignal: 'SIGUSR1',
    createdAt: 1795001234567890123n,
  },
  status: {
    phase: 'created',
    pid: 0,
    startTime: 0,
    bootId: 'b',
    startedAt: 1795001234567890124n,
    exit: { exitCode: 137, reason: 'OOMKilled', message: 'm', finishedAt: 1795001234567890125n },
    user: { uid: 1, gid: 2, supplementalGroups: [2, 3] },
    resources: null,
    stopRequestedAt: 0n,
    deliveredAt: 0n,
    notes: [],
  },
};

test('a container status has exact times and every fact', (t) => {
  const status: Record<string, unknown> = received('ContainerStatus', encodeContainerStatus(container));
  t.like(status, {
    id: 'c1',
    state: 'CONTAINER_EXITED',
    created_at: '1795001234567890123',
    started_at: '1795001234567890124',
    finished_at: '1795001234567890125',
    exit_code: 137,
    reason: 'OOMKilled',
    image_id: 'sha256:1',
    image_ref: 'docker.io/library/busybox@sha256:2',
    log_path: '/var/log/pods/x/c/0.log',
    resources: null,
    stop_signal: 'SIGNAL_SIGUSR1',
    labels: { l: '1' },
    user: { linux: { uid: '1', gid: '2', supplemental_groups: ['2', '3'] } },
  });
  t.is(encodeContainer(container).state, 'CONTAINER_EXITED');
});

const sandbox = (network: 'pod' | 'node', ips: string[]): Sandbox => ({
  identity: {
    id: 's1' as SandboxId,
    config: sandboxConfig({
      security: { ...sandboxConfig().security, namespaces: { network, pid: 'pod', ipc: 'pod', targetId: '' } },
    }),
    runtimeHandler: '',
    createdAt: 5n,
    cgroupPath: '/x',
    ownsCgroup: true,
  },
  status: {
    phase: 'ready',
    ips,
    hostInterface: null,
    monitor: null,
    pausePid: 0,
    stopRequestedAt: 0n,
    deliveredAt: 0n,
    updated: null,
  },
});

test('a sandbox status shows addresses, echoes namespaces, and info only when asked', (t) => {
  const answer = { containers: [container], timestamp: 9n, info: { pid: '1' } };
  const view = { sandbox: sandbox('pod', ['10.0.0.2', 'fd00::2']), state: 'ready' } as const;
  const own = encodeSandboxStatus({ view, ...answer }, true);
  t.deepEqual(own.status?.network, { ip: '10.0.0.2', additional_ips: [{ ip: 'fd00::2' }] });
  t.is(own.status?.linux?.namespaces?.options?.network, 'POD');
  t.deepEqual(own.info, { pid: '1' });
  t.is(own.containers_statuses?.length, 1);
  const host = encodeSandboxStatus({ view: { sandbox: sandbox('node', []), state: 'not-ready' }, ...answer }, false);
  t.is(host.status?.network, null);
  t.is(host.status?.state, 'SANDBOX_NOTREADY');
  t.is(host.status?.linux?.namespaces?.options?.network, 'NODE');
  t.deepEqual(host.info, {});
});

test('an absent state filter is not the state zero', (t) => {
  t.is(decodeSandboxFilter(null).state, null);
  t.is(decodeSandboxFilter(received('PodSandboxFilter', {})).state, null);
  t.is(decodeSandboxFilter(received('PodSandboxFilter', { state: {} })).state, 'ready');
  t.is(decodeContainerFilter(received('ContainerFilter', { state: { state: 'CONTAINER_EXITED' } })).state, 'exited');
});

test('signals go there and back, names CRI lacks are the default', (t) => {
  for (const name of ['SIGTERM', 'SIGRTMIN', 'SIGRTMIN+15', 'SIGRTMAX-1', 'SIGRTMAX']) {
    t.is(decodeSignal('f', encodeSignal(name)), name);
  }
  t.is(decodeSignal('f', 'SIGNAL_RUNTIME_DEFAULT'), '');
  t.is(encodeSignal('SIGWEIRD'), 'SIGNAL_RUNTIME_DEFAULT');
  t.is(encodeSignal('constructor'), 'SIGNAL_RUNTIME_DEFAULT');
});

test('timeouts are milliseconds; update and exec need their parts', (t) => {
  t.is(decodeStop(received('StopContainerRequest', { container_id: 'a', timeout: 30 })).timeoutMs, 30_000);
  refuses(t, 'container_id is empty', () => decodeStop(received('StopContainerRequest', {})));
  refuses(t, 'cmd is empty', () => decodeExecSync(received('ExecSyncRequest', { container_id: 'a' })));
  refuses(t, 'linux is missing', () =>
    decodeUpdate(received('UpdateContainerResourcesRequest', { container_id: 'a', windows: {} })),
  );
});

test('resources go there and back', (t) => {
  const wire = {
    cpu_period: '100000',
    cpu_quota: '-1',
    cpu_shares: '2',
    memory_limit_in_bytes: '1048576',
    oom_score_adj: '-998',
    cpuset_cpus: '0-1',
    cpuset_mems: '0',
    hugepage_limits: [{ page_size: '2MB', limit: '0' }],
    unified: { 'memory.min': '1' },
    memory_swap_limit_in_bytes: '2097152',
  };
  const { resources } = decodeUpdate(received('UpdateContainerResourcesRequest', { container_id: 'a', linux: wire }));
  t.deepEqual(received('LinuxContainerResources', encodeResources(resources)), wire);
});

test('a pull knows its pod, and empty credentials are none', (t) => {
  const pull = (auth: object | null) =>
    decodePull(received('PullImageRequest', { image: { image: 'x' }, auth, sandbox_config: pod }));
  t.deepEqual(pull(null).pod, { namespace: 'default', name: 'web', uid: 'u' });
  t.is(pull({ server_address: 'r.io' }).credentials, null);
  t.is(pull({ username: 'u', password: 'p' }).credentials?.password, 'p');
});
