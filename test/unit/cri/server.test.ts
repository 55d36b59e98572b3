import { once } from 'node:events';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import { startCriServer } from '../../../src/cri/server.ts';
import { imageService } from '../../../src/cri/image-service.ts';
import { criMethods } from '../../../src/cri/reflection.ts';
import { runtimeService } from '../../../src/cri/runtime-service.ts';
import type { ServiceName } from '../../../src/proto/cri-codec.ts';
import { grpcCodes, statusRules } from '../../../src/cri/status-codes.ts';
import type { CallContext, ImageVerbs, RuntimeVerbs } from '../../../src/cri/verbs.ts';
import { Failure, type FailureKind, notFound } from '../../../src/lib/failure.ts';
import type { SandboxId } from '../../../src/lib/id.ts';
import type { Container } from '../../../src/container/container.ts';
import { containerConfig } from '../../helpers/builders.ts';
import { serveForTest, socketFiles } from '../../helpers/cri-server.ts';

const version: RuntimeVerbs['version'] = async () => ({ runtimeName: 'podwright', runtimeVersion: '1.2.3' });
const pod = { config: { metadata: { name: 'a', namespace: 'b', uid: 'c' } } };

async function refused(t: ExecutionContext, call: Promise<unknown>): Promise<ServiceError> {
  return (await t.throwsAsync(call)) as ServiceError;
}

test('Version answers all four fields', async (t) => {
  const { client, observed, log } = await serveForTest(t, { runtime: { version } });
  t.deepEqual(await client.runtime.Version(), {
    version: '0.1.0',
    runtime_name: 'podwright',
    runtime_version: '1.2.3',
    runtime_api_version: 'v1',
  });
  t.like(observed, [{ method: 'Version', code: 'OK' }]);
  t.like(log, [{ level: 'debug', fields: { method: 'Version', code: 'OK' } }]);
});

test('every RPC of the proto is in a table', (t) => {
  const unserved = (service: ServiceName, table: object): string[] =>
    criMethods(service).filter((method) => !Object.hasOwn(table, method));
  t.deepEqual([...unserved('RuntimeService', runtimeService), ...unserved('ImageService', imageService)], []);
});

test('an RPC that the proto does not have yet answers UNIMPLEMENTED', async (t) => {
  const { socket } = await serveForTest(t, {});
  const client = new Client(`unix:${socket}`, credentials.createInsecure());
  t.teardown(() => client.close());
  const { promise, resolve } = Promise.withResolvers<ServiceError | null>();
  const bytes = (value: Buffer): Buffer => value;
  client.makeUnaryRequest('/runtime.v1.RuntimeService/Foretell', bytes, bytes, Buffer.alloc(0), resolve);
  t.is((await promise)?.code, status.UNIMPLEMENTED);
});

test('our code numbers are those of gRPC', (t) => {
  for (const [name, number] of Object.entries(grpcCodes)) t.is(status[name as keyof typeof status], number);
});

test('each failure kind has its code and prefix', async (t) => {
  const kinds = Object.keys(statusRules) as FailureKind[];
  let kind: FailureKind = 'internal';
  const { client } = await serveForTest(t, {
    runtime: {
      async version() {
        throw new Failure(kind, 'outer', { cause: new Error('inner ü\ud800') });
      },
    },
  });
  for (kind of kinds) {
    const error = await refused(t, client.runtime.Version());
    t.is(error.code, status[statusRules[kind].code], kind);
    t.is(error.details, `${statusRules[kind].prefix}outer: inner ü\ufffd`, kind);
  }
  t.is(statusRules['registry-unavailable'].prefix, 'RegistryUnavailable: ');
  t.is(statusRules['signature-validation-failed'].prefix, 'SignatureValidationFailed: ');
  t.is(statusRules['image-volume-mount-failed'].prefix, 'ImageVolumeMountFailed: ');
  t.is(statusRules['rro-unsupported'].prefix, 'RROUnsupported: ');
});

test('what is not a Failure is INTERNAL and logged with its stack', async (t) => {
  const { client, log, observed } = await serveForTest(t, {
    runtime: {
      async version() {
        throw new TypeError('x is not a function');
      },
    },
  });
  const error = await refused(t, client.runtime.Version());
  t.is(error.code, status.INTERNAL);
  t.is(error.details, 'x is not a function');
  const line = log.find(({ level }) => level === 'error');
  t.regex(String(line?.fields.stack), /server\.test\.ts/);
  t.is(observed[0]?.code, 'INTERNAL');
});

test('a failed mutation is logged as a warning, a failed read only for debugging', async (t) => {
  const missing = async () => {
    throw notFound('no such thing');
  };
  const { client, log } = await serveForTest(t, { runtime: { startContainer: missing, containerStatus: missing } });
  await refused(t, client.runtime.StartContainer({ container_id: 'x' }));
  await refused(t, client.runtime.ContainerStatus({ container_id: 'x' }));
  t.deepEqual(
    log.map(({ level, fields }) => [level, fields.containerId, fields.code]),
    [
      ['warn', 'x', 'NOT_FOUND'],
      ['debug', 'x', 'NOT_FOUND'],
    ],
  );
});

/** Waits until the border has reported as many calls: a caller that is gone hears of nothing. */
async function reported(observed: readonly { readonly code: string }[], count: number): Promise<string[]> {
  while (observed.length < count) await sleep(5);
  return observed.map(({ code }) => code);
}

/** A verb that waits for its signal and tells what it was. */
function waiting() {
  const started = Promise.withResolvers<void>();
  const { promise, resolve } = Promise.withResolvers<Failure>();
  const verb = (_: unknown, { signal, onDelivered }: CallContext): Promise<never> => {
    onDelivered(() => resolve(new Failure('internal', 'delivered')));
    started.resolve();
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        resolve(signal.reason as Failure);
        reject(signal.reason as Failure);
      });
    });
  };
  return { verb, started: started.promise, ended: promise };
}

/** The host's clock until a call has begun; then its deadline has passed, however late a busy machine hears of that. */
function clockPast(started: Promise<void>): () => number {
  let aheadMs = 0;
  void started.then(() => (aheadMs = 3_600_000));
  return () => Date.now() + aheadMs;
}

/** Makes a call whose deadline passes while its verb runs: a longer one where the machine had not begun it by then. */
async function outlasted(
  t: ExecutionContext,
  started: Promise<void>,
  call: (deadlineMs: number) => Promise<unknown>,
): Promise<void> {
  for (let deadlineMs = 500; ; deadlineMs *= 2) {
    t.is((await refused(t, call(deadlineMs))).code, status.DEADLINE_EXCEEDED);
    if (await Promise.race([started.then(() => true), sleep(0, false)])) return;
  }
}

test.serial("a caller's deadline fires the signal", async (t) => {
  const { verb, started, ended } = waiting();
  const { client, observed } = await serveForTest(t, { runtime: { runPodSandbox: verb }, nowMs: clockPast(started) });
  await outlasted(t, started, (deadlineMs) => client.runtime.RunPodSandbox(pod, { deadlineMs }));
  t.is((await ended).kind, 'deadline-exceeded');
  t.is((await reported(observed, 1)).at(-1), 'DEADLINE_EXCEEDED');
});

test.serial("a caller's cancel fires the signal, and nothing is delivered", async (t) => {
  const { verb, started, ended } = waiting();
  const { client, observed } = await serveForTest(t, { runtime: { runPodSandbox: verb } });
  const abort = new AbortController();
  const call = client.runtime.RunPodSandbox(pod, { signal: abort.signal, deadlineMs: 60_000 });
  await started;
  abort.abort();
  t.is((await refused(t, call)).code, status.CANCELLED);
  t.is((await ended).kind, 'cancelled');
  t.deepEqual(await reported(observed, 1), ['CANCELLED']);
});

test.serial('a success after the caller went away is not delivered', async (t) => {
  const delivered: string[] = [];
  const { promise: started, resolve: begun } = Promise.withResolvers<void>();
  const { client, observed } = await serveForTest(t, {
    nowMs: clockPast(started),
    runtime: {
      async runPodSandbox({ config }, { signal, onDelivered }) {
        onDelivered(() => delivered.push(config.metadata.name));
        if (config.metadata.name !== 'slow') return 'id' as SandboxId;
        begun();
        if (!signal.aborted) await once(signal, 'abort');
        return 'id' as SandboxId;
      },
    },
  });
  await client.runtime.RunPodSandbox(pod);
  const slow = { config: { metadata: { ...pod.config.metadata, name: 'slow' } } };
  await outlasted(t, started, (deadlineMs) => client.runtime.RunPodSandbox(slow, { deadlineMs }));
  const codes = await reported(observed, 2);
  t.deepEqual([codes[0], codes.at(-1)], ['OK', 'DEADLINE_EXCEEDED']);
  // one more: what the one before delivers would have come by then
  await client.runtime.RunPodSandbox({ config: { metadata: { ...pod.config.metadata, name: 'last' } } });
  while (!delivered.includes('last')) await sleep(5);
  t.deepEqual(delivered, ['a', 'last']);
});

test.serial('an answer counts as delivered when it has left, not when it is handed over', async (t) => {
  const delivered = Promise.withResolvers<void>();
  let done = false;
  const early = Promise.withResolvers<boolean>();
  const { client } = await serveForTest(t, {
    runtime: {
      async runPodSandbox(_, { onDelivered }) {
        onDelivered(() => {
          done = true;
          delivered.resolve();
        });
        // runs when the answer has been handed over, and before anything that its leaving brings about
        setImmediate(() => early.resolve(done));
        return 'id' as SandboxId;
      },
    },
  });
  await client.runtime.RunPodSandbox(pod);
  t.false(await early.promise);
  await delivered.promise;
});

test('the signal does not fire after a normal end', async (t) => {
  let kept: AbortSignal | undefined;
  const { client } = await serveForTest(t, {
    runtime: {
      async version(input, context) {
        kept = context.signal;
        return version(input, context);
      },
    },
  });
  await client.runtime.Version();
  await sleep(30);
  t.false(kept?.aborted);
});

test('while recovering: some answer, lists wait, the rest is UNAVAILABLE', async (t) => {
  const recovery = Promise.withResolvers<void>();
  let recovering: Promise<void> | null = recovery.promise;
  const { client } = await serveForTest(t, {
    recovering: () => recovering,
    runtime: {
      version,
      listContainers: async () => [],
      stopContainer: async () => {},
      runtimeConfig: async () => ({ cgroupDriver: 'cgroupfs' }),
    },
  });
  await client.runtime.Version();
  t.is((await client.runtime.RuntimeConfig()).linux?.cgroup_driver, 'CGROUPFS');
  t.is((await refused(t, client.runtime.StopContainer({ container_id: 'x' }))).code, status.UNAVAILABLE);
  t.is((await refused(t, client.runtime.ListContainers({}, { deadlineMs: 300 }))).code, status.DEADLINE_EXCEEDED);
  const list = client.runtime.ListContainers();
  t.is(await Promise.race([list.then(() => 'answered'), sleep(50, 'waits')]), 'waits');
  recovering = null;
  recovery.resolve();
  t.deepEqual((await list).containers, []);
  await client.runtime.StopContainer({ container_id: 'x' });
});

test('a request of 16 MiB and an answer of almost 16 MiB pass; larger ones are RESOURCE_EXHAUSTED', async (t) => {
  const limit = 16 * 1024 * 1024;
  let size = limit - 64;
  const { client } = await serveForTest(t, {
    runtime: {
      execSync: async ({ command }) => ({
        stdout: Buffer.alloc(size),
        stderr: Buffer.alloc(0),
        exitCode: command.length,
      }),
    },
  });
  const exec = (bytes: number) =>
    client.runtime.ExecSync({
      container_id: 'c',
      cmd: Array.from({ length: Math.ceil(bytes / 1e5) }, (_, i) => 'x'.repeat(Math.min(1e5, bytes - i * 1e5))),
    });
  const answer = await exec(limit - 2048);
  t.is(answer.stdout.length, size);
  t.is((await refused(t, exec(limit))).code, status.RESOURCE_EXHAUSTED);
  size = limit + 1;
  const error = await refused(t, exec(1));
  t.is(error.code, status.RESOURCE_EXHAUSTED);
  t.regex(error.details, /larger than a message may be/);
});

test('a wrong field comes back by name', async (t) => {
  const { client } = await serveForTest(t, {});
  const missing = await refused(
    t,
    client.runtime.CreateContainer({ pod_sandbox_id: 's', config: { image: { image: 'i' } } }),
  );
  t.is(missing.code, status.INVALID_ARGUMENT);
  t.is(missing.details, 'config.metadata is missing');
});

test('ListContainers gives exact times and follows a replaced object', async (t) => {
  const container = (startedAt: bigint): Container =>
    ({
      identity: {
        id: 'c',
        sandboxId: 's',
        config: containerConfig(),
        imageId: 'i',
        imageRef: 'r',
        createdAt: 1795001234567890123n,
      },
      status: { exit: null, startedAt },
    }) as unknown as Container;
  let all = [container(0n)];
  const { client } = await serveForTest(t, { runtime: { listContainers: async () => all } });
  const [before] = (await client.runtime.ListContainers()).containers;
  t.is(BigInt(before?.created_at ?? 0), 1795001234567890123n);
  t.is(before?.state, 'CONTAINER_CREATED');
  all = [container(1n)];
  t.is((await client.runtime.ListContainers()).containers[0]?.state, 'CONTAINER_RUNNING');
});

test('the trace of the caller arrives', async (t) => {
  let seen = '';
  const { client } = await serveForTest(t, {
    runtime: {
      async version(input, context) {
        seen = context.traceparent;
        return version(input, context);
      },
    },
  });
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  await client.runtime.Version({}, { metadata: { traceparent } });
  t.is(seen, traceparent);
});

const serverParts = (socket: string) => ({
  socket,
  files: socketFiles,
  runtime: { version } as RuntimeVerbs,
  images: {} as ImageVerbs,
  ports: {
    log: { debug() {}, info() {}, warn() {}, error() {} },
    recovering: () => null,
    observe() {},
    beginCall: () => null,
    newRequestId: () => 'r',
    elapsedMs: () => 0,
    nowMs: () => 0,
  },
  host: {},
  services: [],
});

test('the socket has mode 0660; a second daemon is refused; stop removes it', async (t) => {
  const { socket, server, client } = await serveForTest(t, { runtime: { version } });
  t.is(statSync(socket).mode & 0o777, 0o660);
  t.false(existsSync(`${socket}.new`));
  const error = (await t.throwsAsync(startCriServer(serverParts(socket)), { instanceOf: Failure })) as Failure;
  t.is(error.kind, 'failed-precondition');
  await client.runtime.Version();
  client.close();
  await server.stop(1000);
  t.false(existsSync(socket));
});

test('a socket that nobody listens on, and any leftover file, is replaced', async (t) => {
  const first = await serveForTest(t, { runtime: { version } });
  const socket = `${first.socket}.stale`;
  const stale = createServer().listen(socket);
  await once(stale, 'listening');
  await socketFiles.rename(socket, `${socket}.kept`);
  stale.close();
  await socketFiles.rename(`${socket}.kept`, socket);
  writeFileSync(`${socket}.new`, '');
  const server = await startCriServer(serverParts(socket));
  t.true(statSync(socket).isSocket());
  await server.stop(1000);
});

test('a path too long for a socket is refused in words', async (t) => {
  const error = (await t.throwsAsync(startCriServer(serverParts(`/tmp/${'x'.repeat(120)}`)))) as Failure;
  t.is(error.kind, 'invalid-argument');
});

test('stop waits for a running call', async (t) => {
  const started = Promise.withResolvers<void>();
  const { client, server } = await serveForTest(t, {
    runtime: {
      async version(input, context) {
        started.resolve();
        await sleep(100);
        return version(input, context);
      },
    },
  });
  const call = client.runtime.Version();
  await started.promise;
  await server.stop(5000);
  t.is((await call).runtime_name, 'podwright');
});
