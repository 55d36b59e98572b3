import test from 'ava';
import type { OomKills, OomLimit } from '../../../src/lib/oom.ts';
import { type Container, containerState, type ContainerStatus, mayAct } from '../../../src/container/container.ts';
import { exitReason, recordExit } from '../../../src/container/exits.ts';
import { findImageVolumes, refuseArtifact, withLayers } from '../../../src/container/image-volumes.ts';
import { checkContainer, logPathOf, pidMode, targetOf } from '../../../src/container/plan.ts';
import type { ContainerImageFacts } from '../../../src/container/ports.ts';
import { mergeResources } from '../../../src/container/update-resources.ts';
import { Failure, type FailureKind } from '../../../src/lib/failure.ts';
import type { ContainerId, ImageId, SandboxId } from '../../../src/lib/id.ts';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';
import { image } from '../../helpers/fake-host.ts';
import { noLinuxLimits as none } from '../../helpers/no-limits.ts';

const exit = { exitCode: 0, reason: 'Completed', message: '', finishedAt: 9n } as const;
const container = (status: Partial<ContainerStatus>): Container => ({
  identity: {
    id: 'c' as ContainerId,
    sandboxId: 's' as SandboxId,
    config: containerConfig(),
    imageId: 'i' as ImageId,
    imageRef: '',
    chain: [],
    logPath: '',
    cgroupPath: '/p/c',
    stopSignal: 'SIGTERM',
    createdAt: 3n,
  },
  status: {
    phase: 'created',
    pid: 0,
    startTime: 0,
    bootId: 'b',
    startedAt: 0n,
    exit: null,
    user: { uid: 0, gid: 0, supplementalGroups: [] },
    resources: null,
    stopRequestedAt: 0n,
    deliveredAt: 0n,
    notes: [],
    ...status,
  },
});

test('the state follows from the facts', (t) => {
  t.is(containerState(container({})), 'created');
  t.is(containerState(container({ startedAt: 5n })), 'running');
  t.is(containerState(container({ startedAt: 5n, exit })), 'exited');
  t.is(containerState(container({ exit: { ...exit, reason: 'StartError', exitCode: 128 } })), 'exited');
  t.is(containerState(container({ startedAt: 5n, exit: { ...exit, reason: 'Unknown', exitCode: 255 } })), 'exited');
  t.is(containerState(container({ exit: { ...exit, reason: 'Unknown', exitCode: 255 } })), 'unknown');
});

test('what may be done in which state', (t) => {
  const states = ['created', 'running', 'exited', 'unknown'] as const;
  const verbs = ['start', 'exec', 'update', 'reopen-log'] as const;
  const allowed = verbs.flatMap((verb) =>
    states.filter((state) => mayAct(verb, state)).map((state) => `${verb}:${state}`),
  );
  t.deepEqual(allowed, ['start:created', 'exec:running', 'update:created', 'update:running', 'reopen-log:running']);
});

test('reasons in the words of the kubelet', (t) => {
  t.is(exitReason({ exitCode: 0, oomKilled: false }), 'Completed');
  t.is(exitReason({ exitCode: 1, oomKilled: false }), 'Error');
  t.is(exitReason({ exitCode: 137, oomKilled: true }), 'OOMKilled');
});

const fact = {
  containerId: 'c',
  exitCode: 2,
  oomKilled: false,
  finishedAt: 4n,
  started: true,
  startedAt: 0n,
  logDroppedBytes: 0,
};

test('the first exit fact stands, and ends after the start', (t) => {
  let record = container({ startedAt: 100n, pid: 7 });
  const records = {
    get: () => record,
    update: (_: string, patch: Partial<ContainerStatus>) =>
      (record = { ...record, status: { ...record.status, ...patch } }),
  };
  recordExit(records, fact);
  t.deepEqual(record.status.exit, { exitCode: 2, reason: 'Error', message: '', finishedAt: 101n });
  t.is(record.status.pid, 0);
  recordExit(records, { ...fact, exitCode: 9 });
  t.is(record.status.exit?.exitCode, 2);
});

test('what is said of an end that the OOM killer had to do with', (t) => {
  const oom = (limit: OomLimit, limitBytes = 0, kills = 1) => ({ kills, limit, limitBytes });
  const table: [Partial<typeof fact> & { oom?: OomKills }, string, string][] = [
    [{ oomKilled: true, oom: oom('own', 4096) }, 'OOMKilled', 'OOM killed: its own limit of 4096 bytes'],
    [{ oomKilled: true, oom: oom('own') }, 'OOMKilled', 'OOM killed: its own limit'],
    [{ oomKilled: true, oom: oom('pod', 9) }, 'OOMKilled', 'OOM killed: the limit of its pod of 9 bytes'],
    [{ oomKilled: true, oom: oom('above', 9) }, 'OOMKilled', 'OOM killed: a limit above its pod of 9 bytes'],
    [{ oomKilled: true, oom: oom('node') }, 'OOMKilled', 'OOM killed: the node had no memory left'],
    [{ oomKilled: true, oom: oom('unknown') }, 'OOMKilled', 'OOM killed'],
    [{ oomKilled: true }, 'OOMKilled', 'OOM killed'],
    [{ oom: oom('own', 5, 2) }, 'Error', '2 of its processes had been OOM killed: its own limit of 5 bytes'],
    [{ exitCode: 0, oom: oom('own', 5) }, 'Completed', ''],
    [
      { oomKilled: true, oom: oom('own', 1), logDroppedBytes: 7 },
      'OOMKilled',
      'OOM killed: its own limit of 1 bytes; 7 bytes of output were not logged',
    ],
  ];
  for (const [given, reason, message] of table) {
    let record = container({ startedAt: 100n, pid: 7 });
    const update = (_: string, patch: Partial<ContainerStatus>) =>
      (record = { ...record, status: { ...record.status, ...patch } });
    recordExit({ get: () => record, update }, { ...fact, ...given });
    t.like(record.status.exit, { reason, message });
  }
});

test('an update leaves alone what it does not name', (t) => {
  const before = {
    ...none,
    cpuShares: 512,
    memoryLimitBytes: 100,
    oomScoreAdj: 5,
    hugepageLimits: [{ pageSize: '2MB', limit: 1 }],
  };
  t.deepEqual(mergeResources(before, { ...none, memoryLimitBytes: 200, unified: { a: '1' } }), {
    ...before,
    memoryLimitBytes: 200,
    unified: { a: '1' },
  });
  t.deepEqual(mergeResources(before, { ...none, hugepageLimits: [{ pageSize: '2MB', limit: 7 }] }).hugepageLimits, [
    { pageSize: '2MB', limit: 7 },
  ]);
  t.is(mergeResources(null, none), none);
});

const sandbox: Sandbox = {
  identity: {
    id: 's' as SandboxId,
    config: sandboxConfig({ logDirectory: '/logs/' }),
    runtimeHandler: '',
    createdAt: 1n,
    cgroupPath: '/p',
    ownsCgroup: true,
  },
  status: {
    phase: 'ready',
    ips: [],
    hostInterface: null,
    monitor: null,
    pausePid: 0,
    stopRequestedAt: 0n,
    deliveredAt: 0n,
    updated: null,
  },
};

test('a log never leaves its directory', (t) => {
  const at = (logPath: string) => logPathOf(containerConfig({ logPath }), sandbox);
  t.deepEqual([at('c/0.log'), at('../../etc/x'), at('')], ['/logs/c/0.log', '/logs/etc/x', '']);
});

const base = containerConfig();
const refusals: [string, ReturnType<typeof containerConfig>, RegExp][] = [
  ['no name', containerConfig({ metadata: { name: '', attempt: 0 } }), /metadata.name is empty/],
  ['no image', containerConfig({ image: { ...base.image, image: '' } }), /image.image is empty/],
  [
    'privileged in a plain pod',
    containerConfig({ security: { ...base.security, privileged: true } }),
    /not privileged/,
  ],
  [
    'a variable without a name',
    containerConfig({
      env: [
        { key: 'A', value: '' },
        { key: '', value: '' },
      ],
    }),
    /envs\[1\].key/,
  ],
  ['a variable with = in its name', containerConfig({ env: [{ key: 'A=B', value: '' }] }), /envs\[0\].key/],
];
for (const [name, config, message] of refusals) {
  test(`refused: ${name}`, (t) => void t.throws(() => checkContainer(config, sandbox), { message }));
}

test('a log path needs a directory', (t) => {
  const without = { ...sandbox, identity: { ...sandbox.identity, config: sandboxConfig({ logDirectory: '' }) } };
  t.throws(() => checkContainer(base, without), { message: /no log_directory/ });
});

test('pid modes', (t) => {
  t.is(pidMode(base), 'container');
});

const joining = (targetId: string) =>
  containerConfig({
    security: { ...base.security, namespaces: { ...base.security.namespaces, pid: 'target', targetId } },
  });
const target = (sandboxId: string, startedAt: bigint) =>
  ({
    identity: { id: 't', sandboxId },
    status: { startedAt, exit: null },
  }) as unknown as Container;

test('pid TARGET: a running container of the same pod', (t) => {
  const running = target('s', 1n);
  t.is(
    targetOf(base, sandbox, () => running),
    null,
  );
  t.is(
    targetOf(joining('t'), sandbox, (id) => (id === 't' ? running : undefined)),
    running,
  );
  const table: [FailureKind, Container | undefined][] = [
    ['not-found', undefined],
    ['invalid-argument', target('other', 1n)],
    ['failed-precondition', target('s', 0n)],
  ];
  for (const [kind, found] of table) {
    const error = t.throws(() => targetOf(joining('t'), sandbox, () => found), { instanceOf: Failure });
    t.is(error?.kind, kind);
    t.regex(error?.message ?? '', /target_id/);
  }
});

const facts = (id: string, chain: string[], artifactType: string | null = null): ContainerImageFacts => ({
  ...image,
  id: id as ImageId,
  ref: `r@${id}`,
  chain,
  artifactType,
});
const volume = (reference: string, imageSubPath = '') => ({
  containerPath: '/v',
  hostPath: '',
  readonly: true,
  selinuxRelabel: false,
  propagation: 'private' as const,
  recursiveReadOnly: false,
  image: { image: reference, userSpecifiedImage: '', runtimeHandler: '', annotations: {} },
  imageSubPath,
  mountOptions: [],
});

test('image volumes: the image of each mount, its layers, one more below a single one', (t) => {
  const plain = { ...volume(''), image: null, hostPath: '/h' };
  const config = containerConfig({ mounts: [plain, volume('a', 'x/../y'), volume('b')] });
  const found = findImageVolumes(config, (name) => facts(name, name === 'a' ? ['1'] : ['1', '2'], 'some/type'));
  t.deepEqual(found, [
    { mount: 1, imageId: 'a' as ImageId, imageRef: 'r@a', chain: ['1'] },
    { mount: 2, imageId: 'b' as ImageId, imageRef: 'r@b', chain: ['1', '2'] },
  ]);
  const mounts = withLayers(config, found, (chain) => (chain.length === 0 ? ['empty'] : chain.toReversed()));
  t.deepEqual(
    mounts.map((mount) => mount.image),
    [null, { lower: ['1', 'empty'], subPath: 'x/../y' }, { lower: ['2', '1'], subPath: '' }],
  );
});

test('image volumes that cannot be', (t) => {
  const table: [FailureKind, string, string[] | null][] = [
    ['not-found', '', null],
    ['image-volume-mount-failed', '', []],
    ['image-volume-mount-failed', '..', ['1']],
    ['image-volume-mount-failed', 'a/../../b', ['1']],
  ];
  for (const [kind, path, chain] of table) {
    const config = containerConfig({ mounts: [volume('i', path)] });
    const error = t.throws(() => findImageVolumes(config, () => chain && facts('i', chain)), { instanceOf: Failure });
    t.is(error?.kind, kind, path);
  }
});

test('an artifact is not run', (t) => {
  t.notThrows(() => refuseArtifact(facts('i', []), 'i'));
  t.throws(() => refuseArtifact(facts('i', [], 'application/x'), 'i'), { message: /artifact of type application\/x/ });
});
