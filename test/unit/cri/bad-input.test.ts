// Each field of each request against its table of wrong values (test/bad-input), over the real wire and fake hands.
import { Client, credentials, status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import test from 'ava';
import type { ImageId } from '../../../src/lib/id.ts';
import { criFields } from '../../../src/cri/reflection.ts';
import { criService, type ServiceName } from '../../../src/proto/cri-codec.ts';
import type { ImageVerbs, RuntimeVerbs } from '../../../src/cri/verbs.ts';
import { baseOf, type World } from '../../bad-input/requests.ts';
import { type Code, isHuge, type Row } from '../../bad-input/row.ts';
import { allRows, doubled } from '../../bad-input/rows.ts';
import { brokenText, needsRows, places, requestWith, rowName, rowsOf, served, whereOf } from '../../bad-input/walk.ts';
import { sandboxConfig } from '../../helpers/builders.ts';
import { serveForTest, type TestServer } from '../../helpers/cri-server.ts';
import { fakeHost } from '../../helpers/fake-host.ts';

const all = places();
const world: World = { sandboxId: 'a'.repeat(64), running: 'b'.repeat(64), image: 'busybox', logs: '/var/log/pods/x' };

test('every field that is looked at has a table of wrong values: see CONTRIBUTING.md, "Bad input"', (t) => {
  const without = new Set(all.filter((place) => needsRows(place) && !(rowName(place) in allRows)).map(rowName));
  t.deepEqual([...without], []);
  t.deepEqual(doubled, []);
});

test('every table is of a field that the proto has', (t) => {
  const gone = Object.keys(allRows).filter((key) => {
    const [type = '', field] = key.split('.');
    return !criFields(type)?.some(({ name }) => name === field);
  });
  t.deepEqual(gone, []);
});

test('every served RPC has a request that the wrong ones are made from', (t) => {
  for (const [, method] of served) t.notThrows(() => baseOf(method, world), method);
});

/** Verbs that plan as the real ones and do nothing. */
async function verbs(): Promise<{ runtime: Partial<RuntimeVerbs>; images: Partial<ImageVerbs> }> {
  const host = fakeHost();
  const sandboxId = await host.run({ config: sandboxConfig(), runtimeHandler: '' });
  const nothing = async (): Promise<never> => ({}) as never;
  const empty = async (): Promise<never> => [] as never;
  const runtime: Partial<RuntimeVerbs> = {
    updateRuntimeConfig: nothing,
    runPodSandbox: (input) => host.run(input),
    createContainer: ({ config }) => host.create({ sandboxId, config }),
    restorePod: async ({ config, containerConfigs, runtimeHandler }) => {
      const pod = await host.run({ config, runtimeHandler });
      for (const each of containerConfigs) await host.create({ sandboxId: pod, config: each });
      return { sandboxId: pod, containers: [] };
    },
    stopPodSandbox: nothing,
    removePodSandbox: nothing,
    stopContainer: nothing,
    removeContainer: nothing,
    updateContainerResources: nothing,
    listPodSandbox: empty,
    listContainers: empty,
    listContainerStats: empty,
    listPodSandboxStats: empty,
  };
  const images: Partial<ImageVerbs> = {
    pullImage: async () => `sha256:${'1'.repeat(64)}` as ImageId,
    listImages: empty,
    imageStatus: async () => ({ image: null, info: {} }),
    removeImage: nothing,
  };
  return { runtime, images };
}

/** RPCs whose fake verb above can succeed; of the others only refusals are looked at here. */
const succeeding =
  /^(UpdateRuntimeConfig|RunPodSandbox|CreateContainer|Stop|Remove|UpdateContainerResources|List(PodSandbox|Container|Image)|PullImage|ImageStatus)/;

/** Sends bytes as the request of an RPC; answers the code and the message. */
function asker({ socket }: TestServer) {
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), { 'grpc.max_send_message_length': -1 });
  const ask = (service: ServiceName, method: string, bytes: Buffer): Promise<{ code: string; details: string }> => {
    const { promise, resolve } = Promise.withResolvers<{ code: string; details: string }>();
    const done = (error: ServiceError | null): void =>
      resolve({ code: grpcStatus[error?.code ?? 0] ?? '', details: error?.details ?? '' });
    const rpc = criService(service)[method];
    if (!rpc) throw new TypeError(method);
    client.makeUnaryRequest(
      rpc.path,
      () => bytes,
      (answer) => answer,
      bytes,
      { deadline: Date.now() + 120_000 },
      done,
    );
    return promise;
  };
  return { ask, close: () => client.close() };
}

const decides = ({ host, code }: Row, method: string): boolean =>
  host !== true && (code !== 'OK' || succeeding.test(method));

test('each wrong value of each field answers what its table says, and the border stays', async (t) => {
  const server = await serveForTest(t, await verbs());
  const { ask, close } = asker(server);
  t.teardown(close);
  const misread: string[] = [];
  const seen = new Set<Row>();
  let asked = 0;
  for (const place of all) {
    const { service, method } = place;
    for (const row of rowsOf(place)) {
      if (!decides(row, method) || (isHuge(row.value) && seen.has(row))) continue;
      seen.add(row);
      const rpc = criService(service)[method];
      const bytes = Buffer.from(rpc?.requestSerialize(requestWith(baseOf(method, world), place, row)) ?? []);
      const { code, details } = await ask(service, method, bytes);
      const wanted = [row.code].flat();
      if (!wanted.includes(code as Code))
        misread.push(`${whereOf(place)}: ${row.because}: ${code} ${details.slice(0, 300)}`);
      asked += 1;
    }
  }
  t.deepEqual(misread, []);
  t.log(`${asked} values of ${all.length} places`);
  t.deepEqual(
    server.log.filter(({ level }) => level === 'error'),
    [],
  );
});

test('a text that is not UTF-8 is INVALID_ARGUMENT in each field that takes one', async (t) => {
  const server = await serveForTest(t, await verbs());
  const { ask, close } = asker(server);
  t.teardown(close);
  for (const place of all.filter(({ field }) => field.type === 'string')) {
    const { service, method } = place;
    const { code, details } = await ask(service, method, brokenText(baseOf(method, world), place));
    t.is(code, 'INVALID_ARGUMENT', `${whereOf(place)}: ${details}`);
  }
});

test('bytes that are no message are INVALID_ARGUMENT', async (t) => {
  const server = await serveForTest(t, await verbs());
  const { ask, close } = asker(server);
  t.teardown(close);
  const wrong = {
    'a length that reaches too far': [0x0a, 0x7f, 0x61],
    'a text that reaches too far': [0x12, 0x03, 0x0a, 0x7f, 0x61],
    'a number without an end': [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    'an unknown wire type': [0x0f],
    'groups in groups': Array.from({ length: 200_000 }, () => 0x0b),
  };
  for (const [because, bytes] of Object.entries(wrong)) {
    const { code, details } = await ask('RuntimeService', 'CreateContainer', Buffer.from(bytes));
    t.is(code, 'INVALID_ARGUMENT', `${because}: ${details}`);
    t.regex(details, /cannot be read/, because);
  }
});

test('a refused request is logged with names of bounded length', async (t) => {
  const { log, client } = await serveForTest(t, await verbs());
  const metadata = { name: 'n'.repeat(100_000), namespace: 'n', uid: 'u' };
  await t.throwsAsync(client.runtime.RunPodSandbox({ config: { metadata } }), { message: /name is longer than 1024/ });
  t.is(String(log.at(-1)?.fields['pod']).length, 257);
});
