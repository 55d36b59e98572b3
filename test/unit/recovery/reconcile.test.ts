import test from 'ava';
import type { Container, ContainerStatus } from '../../../src/container/container.ts';
import type { ContainerId, ImageId, SandboxId } from '../../../src/lib/id.ts';
import { parseExitFile } from '../../../src/recovery/observe.ts';
import {
  type FoundContainer,
  type FoundExit,
  type MonitorFinding,
  reconcile,
  type Stranger,
} from '../../../src/recovery/reconcile.ts';
import type { Sandbox, SandboxStatus } from '../../../src/sandbox/sandbox.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';

const monitor = { pid: 5, startTime: 9, bootId: 'now', version: '0' };
const sandbox = (status: Partial<SandboxStatus> = {}): Sandbox => ({
  identity: {
    id: 's' as SandboxId,
    config: sandboxConfig(),
    runtimeHandler: '',
    createdAt: 1n,
    cgroupPath: '/p/s',
    ownsCgroup: true,
  },
  status: {
    phase: 'ready',
    ips: [],
    hostInterface: null,
    monitor,
    pausePid: 0,
    stopRequestedAt: 0n,
    deliveredAt: 2n,
    updated: null,
    ...status,
  },
});
const container = (status: Partial<ContainerStatus> = {}, sandboxId = 's'): Container => ({
  identity: {
    id: 'c' as ContainerId,
    sandboxId: sandboxId as SandboxId,
    config: containerConfig(),
    imageId: 'i' as ImageId,
    imageRef: 'i',
    chain: [],
    logPath: '',
    cgroupPath: '/p/s/c',
    stopSignal: 'SIGTERM',
    createdAt: 1n,
  },
  status: {
    phase: 'created',
    pid: 7,
    startTime: 3,
    bootId: 'now',
    startedAt: 5n,
    exit: null,
    user: { uid: 0, gid: 0, supplementalGroups: [] },
    resources: null,
    stopRequestedAt: 0n,
    deliveredAt: 2n,
    notes: [],
    ...status,
  },
});
const exit: FoundExit = {
  containerId: 'c',
  exitCode: 3,
  oomKilled: false,
  finishedAt: 9n,
  started: true,
  startedAt: 0n,
  logDroppedBytes: 0,
};
const fact = (more: Partial<FoundContainer> = {}): FoundContainer => ({
  containerId: 'c',
  pid: 7,
  startTime: 3,
  startedAt: 5n,
  exit: null,
  ...more,
});

interface Case {
  readonly sandbox?: Sandbox;
  readonly container?: Container;
  readonly finding?: MonitorFinding;
  readonly fact?: FoundContainer;
  readonly exitFile?: FoundExit;
  readonly snapshots?: string[];
  readonly bundles?: string[];
  readonly orphans?: string[];
  readonly strangers?: Stranger[];
}
const actions = (c: Case): string[] =>
  reconcile({
    sandboxes: c.sandbox ? [c.sandbox] : [],
    containers: c.container ? [c.container] : [],
    monitors: new Map(c.finding ? [['s', c.finding]] : []),
    facts: new Map(c.fact ? [['c', c.fact]] : []),
    exits: new Map(c.exitFile ? [['c', c.exitFile]] : []),
    snapshots: c.snapshots ?? [],
    bundles: c.bundles ?? [],
    orphans: c.orphans ?? [],
    strangers: c.strangers ?? [],
  }).map((a) => a.type);

const table: [string, Case, string[]][] = [
  ['all well: nothing', { sandbox: sandbox(), container: container(), finding: 'adopted', fact: fact() }, []],
  ['a creation that never ended', { sandbox: sandbox({ phase: 'creating' }), finding: 'dead' }, ['teardown-sandbox']],
  [
    'a removal that never ended, with its containers',
    { sandbox: sandbox({ phase: 'removing' }), container: container(), finding: 'adopted' },
    ['teardown-sandbox'],
  ],
  ['a stop that never ended', { sandbox: sandbox({ stopRequestedAt: 3n }), finding: 'adopted' }, ['stop-sandbox']],
  ['a stopped sandbox', { sandbox: sandbox({ phase: 'stopped', stopRequestedAt: 3n }) }, []],
  [
    'the host restarted',
    { sandbox: sandbox(), container: container(), finding: 'other-boot' },
    ['lose-container', 'stop-sandbox'],
  ],
  [
    'the host restarted, but the exit was seen',
    { sandbox: sandbox(), container: container(), finding: 'other-boot', exitFile: exit },
    ['record-exit', 'stop-sandbox'],
  ],
  ['the monitor died', { sandbox: sandbox(), container: container(), finding: 'dead' }, ['lose-container']],
  [
    'the monitor died after the exit',
    { sandbox: sandbox(), container: container(), finding: 'dead', exitFile: exit },
    ['record-exit'],
  ],
  [
    'a silent monitor: believed, and tried again',
    { sandbox: sandbox(), container: container(), finding: 'silent' },
    ['reach-monitor'],
  ],
  [
    'an exit while the daemon was down',
    { sandbox: sandbox(), container: container(), finding: 'adopted', fact: fact({ exit }) },
    ['record-exit'],
  ],
  [
    'a start that was not recorded',
    { sandbox: sandbox(), container: container({ startedAt: 0n }), finding: 'adopted', fact: fact() },
    ['record-start'],
  ],
  [
    'start and exit unrecorded',
    { sandbox: sandbox(), container: container({ startedAt: 0n }), finding: 'adopted', fact: fact({ exit }) },
    ['record-start', 'record-exit'],
  ],
  [
    'a container that its monitor does not know',
    { sandbox: sandbox(), container: container(), finding: 'adopted' },
    ['lose-container'],
  ],
  [
    'a container in the making',
    { sandbox: sandbox(), container: container({ phase: 'creating' }), finding: 'adopted' },
    ['teardown-container'],
  ],
  ['a container without a sandbox', { container: container() }, ['teardown-container']],
  [
    'an exited container',
    {
      sandbox: sandbox(),
      container: container({ exit: { exitCode: 0, reason: 'Completed', message: '', finishedAt: 8n } }),
      finding: 'dead',
    },
    [],
  ],
  ['a monitor without a sandbox', { orphans: ['s'] }, ['end-orphan']],
  [
    'a container whose record is damaged ends before its layer goes',
    { sandbox: sandbox(), finding: 'adopted', strangers: [{ sandboxId: 's', containerId: 'x' }], snapshots: ['x'] },
    ['forget-container', 'remove-snapshot'],
  ],
  [
    'a pod whose record is damaged, with its container',
    { container: container(), orphans: ['s'] },
    ['end-orphan', 'teardown-container'],
  ],
  ['a writable layer without a container', { snapshots: ['x'] }, ['remove-snapshot']],
  ['a bundle without a container', { bundles: ['x'] }, ['remove-bundle']],
];
for (const [name, given, expected] of table) test(name, (t) => t.deepEqual(actions(given), expected));

test('exit files count only for their container and boot', (t) => {
  const file = {
    version: 1,
    boot_id: 'now',
    containerId: 'c',
    exitCode: 3,
    finishedAt: '1700000000000000009',
    oomKilled: true,
    started: true,
    startedAt: 0n,
    logDroppedBytes: '4',
  };
  t.deepEqual(parseExitFile(file, 'c', 'now'), {
    containerId: 'c',
    exitCode: 3,
    oomKilled: true,
    finishedAt: 1_700_000_000_000_000_009n,
    started: true,
    startedAt: 0n,
    logDroppedBytes: 4,
  });
  t.is(parseExitFile(file, 'c', 'before'), null);
  t.is(parseExitFile(file, 'd', 'now'), null);
  t.is(parseExitFile({ ...file, exitCode: 'x' }, 'c', 'now'), null);
  t.is(parseExitFile({ ...file, finishedAt: 'soon' }, 'c', 'now'), null);
  t.is(parseExitFile({ ...file, finishedAt: 1.5 }, 'c', 'now'), null);
  t.is(parseExitFile(null, 'c', 'now'), null);
});
