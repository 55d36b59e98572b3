import { Client, credentials, Server, ServerCredentials, type ServiceError } from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AdminPorts, adminService } from '../../../src/admin/border.ts';
import type { AdminVerbs, LoadStep } from '../../../src/admin/verbs.ts';
import { connect } from '../../../src/cli/client.ts';
import { Failure, failedPrecondition, notFound } from '../../../src/lib/failure.ts';

interface Served {
  readonly socket: string;
  readonly seen: string[];
  readonly server: Server;
}

async function serve(t: ExecutionContext, verbs: Partial<AdminVerbs>): Promise<Served> {
  const directory = mkdtempSync(join(tmpdir(), 'podwright-admin-'));
  const socket = join(directory, 's.sock');
  const seen: string[] = [];
  let at = 0;
  const log = {
    info: (_: object, message: string) => void seen.push(`info ${message}`),
    warn: (_: object, message: string) => void seen.push(`warn ${message}`),
    error: (_: object, message: string) => void seen.push(`error ${message}`),
  };
  const ports: AdminPorts = {
    log,
    statusOf: (error) =>
      error instanceof Failure && error.kind === 'not-found'
        ? { code: 'NOT_FOUND', number: 5, message: error.message }
        : { code: 'INTERNAL', number: 13, message: String(error) },
    observe: (method, code, seconds) => seen.push(`${method} ${code} ${seconds}`),
    elapsedMs: () => (at += 500),
    onShutdown: () => seen.push('shut down'),
  };
  const server = new Server();
  const { definition, handlers } = adminService(verbs as AdminVerbs, ports);
  server.addService(definition, handlers);
  const bound = Promise.withResolvers<void>();
  server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
    error ? bound.reject(error) : bound.resolve(),
  );
  await bound.promise;
  t.teardown(() => {
    server.forceShutdown();
    rmSync(directory, { recursive: true });
  });
  return { socket, seen, server };
}

async function collect<T>(stream: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

test('trace, inspect and doctor answer what the verbs say', async (t) => {
  const stage = { name: 'network', startMs: 1.5, durationMs: 2.25, failed: false };
  const { socket, seen } = await serve(t, {
    trace: async (subject) => [
      {
        rpc: 'RunPodSandbox',
        subject,
        startedAtMs: 1_700_000_000_000.5,
        stages: [stage, { ...stage, durationMs: null, failed: true }],
      },
    ],
    inspect: async (id) => ({
      kind: 'container',
      value: {
        id,
        createdAt: 12345678901234567890n,
        env: ['A=secret'],
        config: { envs: [{ key: 'B', value: 'secret' }] },
        at: new Map([['k', 1]]),
      },
    }),
    doctor: async ({ collect }) => [
      { severity: 'warning', subject: 'network', problem: collect ? 'none' : 'one release is owed', advice: '' },
    ],
  });
  const client = connect(socket);
  t.teardown(() => client.close());
  const { calls } = await client.call('Trace', { sandboxId: 'abc' });
  t.deepEqual(calls, [
    {
      rpc: 'RunPodSandbox',
      sandboxId: 'abc',
      startedAtMs: '1700000000001',
      stages: [
        { name: 'network', startMs: 1.5, durationMs: 2.25, running: false, failed: false },
        { name: 'network', startMs: 1.5, durationMs: 0, running: true, failed: false },
      ],
    },
  ]);
  const { kind, json } = await client.call('Inspect', { id: 'x' });
  t.is(kind, 'container');
  t.deepEqual(JSON.parse(json), {
    id: 'x',
    createdAt: '12345678901234567890',
    env: ['A'],
    config: { envs: ['B'] },
    at: { k: 1 },
  });
  const { findings } = await client.call('Doctor', {});
  t.deepEqual(findings, [{ severity: 'warning', subject: 'network', problem: 'one release is owed', advice: '' }]);
  t.is((await client.call('Doctor', { collect: true })).findings[0]?.problem, 'none');
  t.deepEqual(
    seen.filter((line) => line.endsWith('0.5')),
    ['Trace OK 0.5', 'Inspect OK 0.5', 'Doctor OK 0.5', 'Doctor OK 0.5'],
  );
});

test('failures and bugs have their status and their log line', async (t) => {
  const { socket, seen } = await serve(t, {
    inspect: () => Promise.reject(notFound('no sandbox, container or image x')),
    doctor: () => Promise.reject(new TypeError('oops')),
    load: () => Promise.reject(notFound('no file /x')),
  });
  const client = connect(socket);
  t.teardown(() => client.close());
  const error = await t.throwsAsync(() => client.call('Inspect', { id: 'x' }), { instanceOf: Failure });
  t.is(error.kind, 'not-found');
  t.is(error.message, 'no sandbox, container or image x');
  await t.throwsAsync(() => client.call('Doctor', {}), { message: /oops/ });
  await t.throwsAsync(() => collect(client.stream('Load', { path: '/x' })), { message: 'no file /x' });
  t.deepEqual(seen, [
    'Inspect NOT_FOUND 0.5',
    'warn admin call refused',
    'Doctor INTERNAL 0.5',
    'error admin call hit a bug',
    'Load NOT_FOUND 0.5',
    'warn admin call refused',
  ]);
});

test('a load streams its steps, then its images', async (t) => {
  const { socket } = await serve(t, {
    load: async ({ path, reference }, onStep) => {
      onStep({ what: `layer ${path} ${reference}`, doneBytes: 5, totalBytes: 10 });
      return [{ id: 'sha256:1', tags: ['a:1', 'b:1'] }];
    },
  });
  const client = connect(socket);
  t.teardown(() => client.close());
  t.deepEqual(await collect(client.stream('Load', { path: '/x.tar', reference: 'r' })), [
    { step: { what: 'layer /x.tar r', doneBytes: '5', totalBytes: '10' }, event: 'step' },
    { image: { id: 'sha256:1', tags: ['a:1', 'b:1'] }, event: 'image' },
  ] as never);
  await t.throwsAsync(() => collect(client.stream('Load', { path: 'x.tar' })), {
    message: /path must be absolute, not "x\.tar"/,
  });
});

test('a caller that goes away aborts its load; a slow one misses steps but no image', async (t) => {
  const aborted = Promise.withResolvers<unknown>();
  const { socket, server } = await serve(t, {
    load: async ({ path }, onStep, signal) => {
      if (path === '/many') {
        const step: LoadStep = { what: 'x'.repeat(10_000), doneBytes: 0, totalBytes: 0 };
        for (let i = 0; i < 10_000; i++) onStep(step);
        return [{ id: 'sha256:1', tags: [] }];
      }
      signal.addEventListener('abort', () => aborted.resolve(signal.reason));
      onStep({ what: 'waiting', doneBytes: 0, totalBytes: 0 });
      return new Promise<never>(() => undefined);
    },
  });
  const client = connect(socket);
  t.teardown(() => client.close());
  for await (const { event } of client.stream('Load', { path: '/slow' })) {
    t.is(event, 'step');
    break;
  }
  t.is(((await aborted.promise) as Failure).kind, 'cancelled');
  const events = await collect(client.stream('Load', { path: '/many' }));
  t.true(events.length < 1000, `${events.length} events`);
  t.is(events.at(-1)?.event, 'image');
  t.truthy(server);
});

test('shutdown tells its steps, then ends the daemon', async (t) => {
  const { socket, seen } = await serve(t, {
    shutdown: async (onStep) => {
      onStep('pod a ended');
      onStep('network removed');
    },
  });
  const client = connect(socket);
  t.teardown(() => client.close());
  t.deepEqual(
    (await collect(client.stream('Shutdown', {}))).map(({ step }) => step),
    ['pod a ended', 'network removed'],
  );
  t.true(seen.includes('shut down'));
});

test('a shutdown that leaves something tells what, and ends the daemon all the same', async (t) => {
  const { socket, seen } = await serve(t, {
    shutdown: async (onStep) => {
      onStep('pod a ended');
      throw failedPrecondition('shut down: remove pod b: its network is owed');
    },
  });
  const client = connect(socket);
  t.teardown(() => client.close());
  await t.throwsAsync(collect(client.stream('Shutdown', {})), { message: /pod b: its network is owed/ });
  t.true(seen.includes('shut down'));
});

test('methods that are not there are UNIMPLEMENTED', async (t) => {
  const { socket } = await serve(t, {});
  const client = new Client(`unix:${socket}`, credentials.createInsecure());
  t.teardown(() => client.close());
  const { promise, resolve } = Promise.withResolvers<ServiceError | null>();
  const bytes = (value: Buffer): Buffer => value;
  client.makeUnaryRequest('/podwright.v1.Admin/Nothing', bytes, bytes, Buffer.alloc(0), (error) => resolve(error));
  t.is((await promise)?.code, 12);
});

test('a pull tells its progress and then its id', async (t) => {
  const running = {
    reference: 'docker.io/library/a:1',
    startedAt: 1_700_000_000_123_456_789n,
    layers: [{ digest: 'sha256:1', stage: 'downloading', bytes: 5, totalBytes: 9 }],
  };
  const inputs: object[] = [];
  const { socket } = await serve(t, {
    pull: async (input, onProgress) => {
      inputs.push(input);
      onProgress(running);
      return 'sha256:2';
    },
    pulls: async () => [running],
  });
  const client = connect(socket);
  t.teardown(() => client.close());
  const events = await collect(client.stream('Pull', { reference: 'a:1', username: 'me', password: 'x' }));
  t.deepEqual(inputs, [
    { reference: 'a:1', platform: '', username: 'me', password: 'x', authFile: null, skipVerify: false },
  ]);
  t.is(events.at(-1)?.id, 'sha256:2');
  const told = {
    reference: running.reference,
    startedAtMs: '1700000000123',
    layers: [{ digest: 'sha256:1', stage: 'downloading', doneBytes: '5', totalBytes: '9' }],
  };
  t.like(events[0]?.progress, told);
  t.like((await client.call('Pulls', {})).pulls[0], told);
  const refused = await t.throwsAsync(collect(client.stream('Pull', { reference: 'a', password: 'x' })));
  t.regex(refused.message, /a password needs a user name/);
});
