// A daemon that leaves its node while it does not speak to the API server: what a daemon of before told goes all the same.
import { renameSync } from 'node:fs';
import test from 'ava';
import { type KubeLink, type KubeParts, linkKube } from '../../src/daemon/kube.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { FakeApi } from '../helpers/fake-api.ts';
import { until } from '../helpers/until.ts';

interface Room {
  readonly api: FakeApi;
  readonly kubeconfig: string;
  readonly link: KubeLink;
  readonly lines: string[];
  /** Whether the condition was taken away. */
  readonly isTaken: () => boolean;
}

/** A daemon's link with its node's condition alone, or with nothing that a node is told. */
async function withRoom(condition: boolean, act: (room: Room) => Promise<void>): Promise<void> {
  const api = new FakeApi();
  await api.start();
  api.handler = () => ({ status: 200, body: {} });
  const kubeconfig = api.kubeconfig();
  const lines: string[] = [];
  const log = (fields: object, text: string): void => void lines.push(`${text} ${JSON.stringify(fields)}`);
  const settings = { kubeconfig, nodeName: 'n-1', events: false, condition, runtimeClasses: false, slowPullMs: 1 };
  const link = linkKube({
    config: { kubernetes: settings, node: { runtimes: {} } },
    metrics: createMetrics({ version: '1', node: '2', onError: () => undefined }),
    log: { info: log, warn: log, error: log },
    recovery: { done: Promise.resolve() },
  } as unknown as KubeParts);
  const isTaken = (): boolean => api.asked.some(({ body }) => JSON.stringify(body)?.includes('"$patch":"delete"'));
  try {
    await act({ api, kubeconfig, link, lines, isTaken });
  } finally {
    await link.stop();
    await api.end();
  }
}

const keeps = 'the node keeps a condition or labels of podwright';

/** Starts where there is no kubeconfig. */
async function startWithout({ kubeconfig, link, lines }: Room): Promise<void> {
  renameSync(kubeconfig, `${kubeconfig}.away`);
  link.start();
  await until('it is told', () => lines.some((line) => line.startsWith('the API server is told nothing')));
}

test('where the kubeconfig cannot be used the log says that the node keeps it', (t) =>
  withRoom(true, async (room) => {
    await startWithout(room);
    room.link.leave();
    await room.link.stop();
    t.regex(room.lines.at(-1) ?? '', new RegExp(`^${keeps}.*ENOENT`));
  }));

test('where it can be used by then the condition goes', (t) =>
  withRoom(true, async (room) => {
    await startWithout(room);
    renameSync(`${room.kubeconfig}.away`, room.kubeconfig);
    room.link.leave();
    await room.link.stop();
    t.true(room.isTaken());
    t.false(room.lines.some((line) => line.startsWith(keeps)));
  }));

test('so it does where the kubeconfig is just being read', (t) =>
  withRoom(true, async (room) => {
    room.link.start();
    room.link.leave();
    await room.link.stop();
    t.true(room.isTaken());
  }));

test('a node that is told nothing keeps nothing, and one that only stops is asked nothing', async (t) => {
  await withRoom(false, async (room) => {
    await startWithout(room);
    room.link.leave();
    await room.link.stop();
    t.false(room.lines.some((line) => line.startsWith(keeps)));
  });
  await withRoom(true, async (room) => {
    await startWithout(room);
    await room.link.stop();
    t.false(room.lines.some((line) => line.startsWith(keeps)));
    t.is(room.api.asked.length, 0);
  });
});
