// Streaming RPCs over a real connection: what a reader gets, what a slow or gone one costs, how a stream ends.
import { setTimeout as sleep } from 'node:timers/promises';
import { type ServiceError, status } from '@grpc/grpc-js';
import test from 'ava';
import { batchBytes, batches } from '../../../src/cri/encoded-list.ts';
import { notFound } from '../../../src/lib/failure.ts';
import type { Container } from '../../../src/container/container.ts';
import type { Image } from '../../../src/image/image.ts';
import { containerOf, sandboxConfig, sandboxOf } from '../../helpers/builders.ts';
import { type CriStream, criStream } from '../../helpers/cri-client.ts';
import { serveForTest } from '../../helpers/cri-server.ts';
import { until } from '../../helpers/until.ts';

const sizes = (entries: readonly number[]): number[] =>
  [...batches(entries.map((bytes) => Buffer.alloc(bytes)))].map(({ byteLength }) => byteLength);

test('a batch is filled up to its limit, and never empty', (t) => {
  const table: readonly (readonly [string, readonly number[], readonly number[]])[] = [
    ['nothing', [], []],
    ['one', [1], [1]],
    ['one that is too large alone', [batchBytes + 5], [batchBytes + 5]],
    ['exactly full', [batchBytes - 1, 1], [batchBytes]],
    ['one byte over', [batchBytes - 1, 2], [batchBytes - 1, 2]],
    ['a large one between small ones', [1, batchBytes * 2, 1], [1, batchBytes * 2, 1]],
    ['many', Array.from({ length: 5 }, () => batchBytes / 2), [batchBytes, batchBytes, batchBytes / 2]],
  ];
  for (const [what, entries, expected] of table) t.deepEqual(sizes(entries), [...expected], what);
});

test('entries are made when their batch is asked for', (t) => {
  let made = 0;
  function* entries(): Generator<Buffer> {
    for (let i = 0; i < 10; i += 1) {
      made += 1;
      yield Buffer.alloc(batchBytes);
    }
  }
  const stream = batches(entries());
  stream.next();
  t.is(made, 2);
});

const containersOf = (count: number, labelBytes: number): Container[] =>
  Array.from({ length: count }, (_, i) => containerOf({ id: `c${i}`, labels: { large: 'x'.repeat(labelBytes) } }));

async function ended(stream: CriStream<unknown>): Promise<ServiceError> {
  try {
    await stream.all();
  } catch (error) {
    return error as ServiceError;
  } finally {
    stream.close();
  }
  throw new Error('the stream ended well');
}

test('each item comes once and in order, in several messages, then the end', async (t) => {
  const containers = containersOf(300, 20_000);
  const { socket, observed } = await serveForTest(t, { runtime: { listContainers: async () => containers } });
  const stream = criStream(socket, 'StreamContainers', { filter: null });
  const messages = await stream.all();
  stream.close();
  t.is(messages.length, 6);
  t.deepEqual(
    messages.flatMap((message) => message.containers.map(({ id }) => id)),
    containers.map(({ identity }) => identity.id as string),
  );
  t.like(observed, [{ method: 'StreamContainers', code: 'OK' }]);
});

test('300 sandboxes with large labels come as they are, and as the list gives them', async (t) => {
  const config = sandboxConfig({ labels: { large: 'x'.repeat(15_000) } });
  const views = Array.from({ length: 300 }, (_, i) => ({
    sandbox: sandboxOf({ id: `s${i}`, config }),
    state: i % 2 === 0 ? ('ready' as const) : ('not-ready' as const),
  }));
  const { socket, client } = await serveForTest(t, { runtime: { listPodSandbox: async () => views } });
  const stream = criStream(socket, 'StreamPodSandboxes');
  const messages = await stream.all();
  stream.close();
  t.true(messages.length > 4 && messages.every((message) => message.pod_sandboxes.length > 0));
  t.deepEqual(
    messages.flatMap((message) => message.pod_sandboxes),
    (await client.runtime.ListPodSandbox({})).items,
  );
});

test('no items: the end without a message', async (t) => {
  const none = async (): Promise<readonly never[]> => [];
  const { socket } = await serveForTest(t, {
    runtime: { listContainers: none, listPodSandbox: none, listContainerStats: none, listPodSandboxStats: none },
  });
  const names = ['StreamContainers', 'StreamPodSandboxes', 'StreamContainerStats', 'StreamPodSandboxStats'] as const;
  for (const name of names) {
    const stream = criStream(socket, name);
    t.deepEqual(await stream.all(), [], name);
    stream.close();
  }
});

test('StreamImages gives what ListImages gives', async (t) => {
  const image = { id: 'sha256:aa', repoTags: ['a:1'], repoDigests: [], sizeBytes: 5, annotations: {} };
  const user = { uid: 7, username: '' };
  const images = [{ ...image, user, pinned: true, userSpecifiedImage: 'a' } as unknown as Image];
  const { client } = await serveForTest(t, { images: { listImages: async () => images } });
  const streamed = (await client.image.StreamImages({})) as unknown as { images: object[] };
  t.deepEqual(streamed.images, (await client.image.ListImages({})).images);
});

test('a reader that does not read holds the making of messages up, and no other call', async (t) => {
  const containers = containersOf(800, 100_000);
  let encoded = 0;
  const counted = containers.map((container) => ({
    ...container,
    get status() {
      encoded += 1;
      return container.status;
    },
  }));
  const { socket, client, observed } = await serveForTest(t, {
    runtime: {
      listContainers: async () => counted,
      version: async () => ({ runtimeName: 'podwright', runtimeVersion: '1' }),
    },
  });
  const stalled = criStream(socket, 'StreamContainers');
  const [first] = await stalled.take(1);
  t.true((first?.containers.length ?? 0) > 0);
  // what a reader takes in ahead of being asked, and one message beyond, is all that is made
  let before = -1;
  await until('no more messages are made', async () => {
    if (encoded === before) return true;
    before = encoded;
    await sleep(300);
    return false;
  });
  await client.runtime.Version();
  t.true(encoded < containers.length / 2, `${encoded} of ${containers.length} were encoded`);
  const rest = await stalled.all();
  t.is((first?.containers.length ?? 0) + rest.flatMap((message) => message.containers).length, containers.length);
  stalled.close();
  t.like(
    observed.filter(({ method }) => method === 'StreamContainers'),
    [{ code: 'OK' }],
  );
});

test('a reader that goes away ends the stream, and it is told as cancelled', async (t) => {
  const containers = containersOf(400, 100_000);
  const { socket, observed } = await serveForTest(t, { runtime: { listContainers: async () => containers } });
  const stream = criStream(socket, 'StreamContainers');
  await stream.take(1);
  stream.close();
  await until('the border has seen it', () => observed.length === 1);
  t.is(observed[0]?.code, 'CANCELLED');
});

test("a reader's deadline ends the stream with DEADLINE_EXCEEDED", async (t) => {
  const { socket } = await serveForTest(t, {
    runtime: {
      listContainers: (_, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    },
  });
  t.is((await ended(criStream(socket, 'StreamContainers', { deadlineMs: 1000 }))).code, status.DEADLINE_EXCEEDED);
});

test('a verb that fails gives its code, also behind messages', async (t) => {
  const { socket, observed } = await serveForTest(t, {
    runtime: {
      async listContainers() {
        throw notFound('no such thing');
      },
      async listPodSandbox() {
        const broken = { state: 'ready', sandbox: null };
        return [broken] as never;
      },
    },
  });
  const error = await ended(criStream(socket, 'StreamContainers'));
  t.deepEqual([error.code, error.details], [status.NOT_FOUND, 'no such thing']);
  t.is((await ended(criStream(socket, 'StreamPodSandboxes'))).code, status.INTERNAL);
  t.deepEqual(
    observed.map(({ code }) => code),
    ['NOT_FOUND', 'INTERNAL'],
  );
});

test('a streamed list waits for recovery', async (t) => {
  const recovery = Promise.withResolvers<void>();
  let over = false;
  const { socket } = await serveForTest(t, {
    runtime: { listContainers: async () => containersOf(over ? 1 : 0, 1) },
    recovering: () => recovery.promise,
  });
  const stream = criStream(socket, 'StreamContainers');
  const all = stream.all();
  await sleep(50);
  over = true;
  recovery.resolve();
  t.is((await all).length, 1);
  stream.close();
});
