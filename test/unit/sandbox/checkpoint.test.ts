// CheckpointPod and RestorePod over hands in memory.
import test from 'ava';
import type { ContainerConfig } from '../../../src/container/container.ts';
import { Failure, type FailureKind } from '../../../src/lib/failure.ts';
import type { ContainerId } from '../../../src/lib/id.ts';
import { KeyedLock } from '../../../src/lib/keyed-lock.ts';
import type { Captured } from '../../../src/oci/captured.ts';
import { type CheckpointPodPorts, checkpointPod, type CheckpointRequest } from '../../../src/sandbox/checkpoint.ts';
import { decodeManifest, directoryOf, encodeManifest } from '../../../src/sandbox/checkpoint-manifest.ts';
import { type RestorePodPorts, restorePod } from '../../../src/sandbox/restore.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';
import { fakeHost } from '../../helpers/fake-host.ts';

const never = new AbortController().signal;
const choices = { tcpEstablished: true, tcpClose: false, externalUnixSockets: false, fileLocks: true };
const captured = { image: 'i' } as Captured;
const named = (name: string): ContainerConfig => containerConfig({ metadata: { name, attempt: 0 } });

/** A pod with two running containers, and the ports of CheckpointPod over it. */
async function running() {
  const host = fakeHost();
  const sandboxId = await host.run({ config: sandboxConfig(), runtimeHandler: '' });
  const ids = [];
  for (const name of ['a', 'Not A Name']) {
    const id = await host.create({ sandboxId, config: named(name) });
    await host.start(id);
    ids.push(id);
  }
  const requests: CheckpointRequest[] = [];
  const ports: CheckpointPodPorts = {
    records: host.sandboxRecords,
    containers: host.containerRecords,
    locks: new KeyedLock(),
    monitors: {
      isAlive: () => true,
      async checkpoint(_, request) {
        requests.push(request);
        return { frozenMs: 1 };
      },
    },
    captureOf: ({ identity }) => ({
      target: { containerId: identity.id, directory: '', bundle: '/b', upper: '/u', external: [], files: [] },
      captured,
    }),
    criu: 'criu',
    runtime: 'podwright 0',
    nowMs: () => 0,
  };
  return { host, sandboxId, ids, ports, requests };
}

test('a pod is captured in one call, with what it takes to bring it back', async (t) => {
  const { sandboxId, ids, ports, requests } = await running();
  await checkpointPod(ports, { sandboxId, outputPath: '/out', containerIds: ids, choices }, never);
  const [request] = requests;
  t.is(requests.length, 1);
  t.deepEqual(
    request?.targets.map(({ containerId, directory }) => [containerId, directory]),
    [
      [ids[0], 'a'],
      [ids[1], ids[1]],
    ],
  );
  const manifest = decodeManifest(request?.manifest ?? Buffer.alloc(0), '/out');
  t.deepEqual(
    manifest.containers.map(({ name }) => name),
    ['a', 'Not A Name'],
  );
  t.like(request, { output: '/out', staging: '', shm: true, choices });
});

test('what is not a selection of running containers of the pod is refused', async (t) => {
  const { host, sandboxId, ids, ports, requests } = await running();
  const created = await host.create({ sandboxId, config: named('created') });
  const otherPod = await host.run({
    config: sandboxConfig({ metadata: { name: 'other', namespace: 'n', uid: 'u', attempt: 0 } }),
    runtimeHandler: '',
  });
  const foreign = await host.create({ sandboxId: otherPod, config: named('f') });
  const table: readonly [readonly string[], FailureKind, RegExp][] = [
    [[], 'invalid-argument', /empty/],
    [[ids[0] as string, ids[0]?.slice(0, 12) as string], 'invalid-argument', /twice/],
    [[foreign], 'invalid-argument', /is not of sandbox/],
    [[created], 'failed-precondition', /not running/],
    [['no such'], 'not-found', /does not exist/],
  ];
  for (const [containerIds, kind, message] of table) {
    const call = checkpointPod(ports, { sandboxId, outputPath: '/out', containerIds, choices }, never);
    const error = await t.throwsAsync(call, { instanceOf: Failure, message });
    t.is(error?.kind, kind);
  }
  await t.throwsAsync(checkpointPod(ports, { sandboxId: 'x', outputPath: '/o', containerIds: ids, choices }, never), {
    message: /sandbox x does not exist/,
  });
  t.deepEqual(requests, []);
});

test('directories are named after containers, unless that could be something else', (t) => {
  t.is(directoryOf('web-1.x', 'id'), 'web-1.x');
  for (const name of ['..', '.', 'a/b', 'A', '', 'pod.json', 'devshm-checkpoint.tar', `a${'b'.repeat(250)}`])
    t.is(directoryOf(name, 'id'), 'id', name);
});

const manifestOf = (names: readonly string[]) => ({
  version: 1,
  runtime: 'r',
  at: '',
  sandbox: { id: 's', metadata: sandboxConfig().metadata, namespaces: sandboxConfig().security.namespaces },
  containers: names.map((name) => ({ name, id: name, directory: name, captured })),
});

/** RestorePod over a host in memory, from a checkpoint of these containers. */
function restoring(names: readonly string[], bytes: Buffer = encodeManifest(manifestOf(names))) {
  const host = fakeHost();
  const from: string[] = [];
  const ports: RestorePodPorts = {
    locks: new KeyedLock(),
    runtimes: {},
    runSandbox: (input) => host.run(input),
    async createContainer({ restore, ...input }) {
      from.push(restore.checkpoint);
      return (await host.create(input)) as ContainerId;
    },
    containersOf: (sandboxId) =>
      host.containerRecords
        .list()
        .filter(({ identity }) => identity.sandboxId === sandboxId)
        .map(({ identity }) => identity.id),
    monitors: { loadCheckpoint: async () => bytes },
    teardown: (id) => host.teardown(id),
    criu: 'criu',
  };
  const delivered: (() => void)[] = [];
  const run = (configs: readonly ContainerConfig[]) =>
    restorePod(
      ports,
      {
        config: sandboxConfig(),
        runtimeHandler: '',
        checkpointPath: '/c/',
        containerConfigs: configs,
        tcpClose: false,
      },
      { signal: never, onDelivered: (then) => void delivered.push(then) },
    );
  return { host, run, from, delivered };
}

test('a pod comes back with a container for each config', async (t) => {
  const { host, run, from, delivered } = restoring(['a', 'b']);
  const { sandboxId, containers } = await run([named('b'), named('a')]);
  t.deepEqual(
    containers.map(({ name }) => name),
    ['b', 'a'],
  );
  t.deepEqual(from, ['/c/b', '/c/a']);
  t.is(host.sandboxRecords.get(sandboxId)?.status.phase, 'ready');
  t.is(delivered.length, 1);
});

test('names that are not those of the checkpoint are refused, and nothing stays', async (t) => {
  const table: readonly [readonly string[], RegExp, FailureKind][] = [
    [[], /is empty/, 'invalid-argument'],
    [['a', 'a'], /there twice/, 'invalid-argument'],
    [['a', 'c'], /has no container c/, 'failed-precondition'],
    [['a'], /container b of checkpoint .* is missing/, 'failed-precondition'],
  ];
  for (const [names, message, kind] of table) {
    const { host, run } = restoring(['a', 'b']);
    const error = await t.throwsAsync(run(names.map(named)), { instanceOf: Failure, message });
    t.is(error?.kind, kind);
    t.deepEqual([...host.resources], []);
    t.is(host.sandboxRecords.list().length, 0);
  }
});

test('whichever call fails while a pod is restored, nothing stays and the retry succeeds', async (t) => {
  const dry = restoring(['a', 'b']);
  await dry.run([named('a'), named('b')]);
  t.true(dry.host.calls.length >= 12);
  for (let k = 0; k < dry.host.calls.length; k += 1) {
    const { host, run } = restoring(['a', 'b']);
    host.failAtCall(k);
    await t.throwsAsync(run([named('a'), named('b')]), { instanceOf: Failure }, `call ${k}`);
    t.deepEqual([...host.resources], [], `after ${dry.host.calls[k]} failed`);
    t.is(host.sandboxRecords.list().length + host.containerRecords.list().length, 0);
    await run([named('a'), named('b')]);
  }
});

test('a manifest that is none is refused by name', (t) => {
  const good = manifestOf(['a']);
  const table: readonly [unknown, RegExp][] = [
    ['{', /no JSON/],
    [null, /no version/],
    [{ ...good, version: 2 }, /newer than 1/],
    [{ ...good, sandbox: null }, /nothing of a sandbox/],
    [{ ...good, containers: [{ ...good.containers[0], directory: '../x' }] }, /lists no containers/],
    [{ ...good, containers: [{ name: 'a' }] }, /lists no containers/],
  ];
  for (const [value, message] of table) {
    const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
    t.throws(() => decodeManifest(bytes, '/c'), { instanceOf: Failure, message });
  }
  t.deepEqual(decodeManifest(encodeManifest(good), '/c') as object, good);
});

test('a pod whose namespaces are others is refused', async (t) => {
  const manifest = manifestOf(['a']);
  const { namespaces } = manifest.sandbox;
  const bytes = encodeManifest({
    ...manifest,
    sandbox: { ...manifest.sandbox, namespaces: { ...namespaces, ipc: 'node' } },
  });
  const { host, run } = restoring(['a'], bytes);
  await t.throwsAsync(run([named('a')]), { instanceOf: Failure, message: /namespace_options\.ipc is pod/ });
  t.deepEqual([...host.resources], []);
});
