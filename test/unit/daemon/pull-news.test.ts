import test from 'ava';
import type { CallContext, ImageVerbs, PullImage } from '../../../src/cri/verbs.ts';
import { withPullNews } from '../../../src/daemon/pull-news.ts';
import type { News } from '../../../src/kube/news.ts';
import { cancelled, invalidArgument, registryUnavailable } from '../../../src/lib/failure.ts';
import type { ImageId } from '../../../src/lib/id.ts';
import { until } from '../../helpers/until.ts';

const pod = { namespace: 'shop', name: 'web', uid: 'u-1' };
const asked = (image: string, of: PullImage['pod'] = pod): PullImage =>
  ({ image: { image }, credentials: null, pod: of }) as unknown as PullImage;
const call = {} as CallContext;

/** The verbs with a pull of this kind, and the news of it. */
function make(pull: () => Promise<string>, slowMs = 0) {
  const told: News[] = [];
  const verbs = withPullNews({ pullImage: async () => (await pull()) as ImageId } as unknown as ImageVerbs, {
    tell: (news) => void told.push(news),
    progress: () => [
      {
        reference: 'docker.io/library/busybox:latest',
        startedAt: 0n,
        layers: [
          { digest: 'a', chainId: 'a', bytes: 10, totalBytes: 100, stage: 'downloading' },
          { digest: 'b', chainId: 'b', bytes: 50, totalBytes: 50, stage: 'done' },
        ] as never,
      },
    ],
    slowMs,
  });
  return { told, verbs };
}

test('a pull that succeeds is no news', async (t) => {
  const { told, verbs } = make(async () => 'sha256:1');
  t.is(await verbs.pullImage(asked('busybox'), call), 'sha256:1' as ImageId);
  t.deepEqual(told, []);
});

test('a pull that fails is told with its host and cause, and fails as before', async (t) => {
  const cause = registryUnavailable('get manifest from m.example: no connection', new Error('refused'), {
    host: 'm.example',
  });
  const failure = registryUnavailable('pull image x', cause);
  const { told, verbs } = make(() => Promise.reject(failure));
  t.is(await t.throwsAsync(verbs.pullImage(asked('r.example/x'), call)), failure);
  t.deepEqual(told, [
    {
      type: 'pull-failed',
      pod,
      image: 'r.example/x',
      host: 'm.example',
      cause: 'pull image x: get manifest from m.example: no connection: refused',
    },
  ]);
});

test('a failure that names no host is about the one of the reference', async (t) => {
  const { told, verbs } = make(() => Promise.reject(invalidArgument('no')));
  await t.throwsAsync(verbs.pullImage(asked('r.example:5000/x'), call));
  await t.throwsAsync(verbs.pullImage(asked('No Reference'), call));
  t.deepEqual(
    told.map((news) => news.type === 'pull-failed' && news.host),
    ['r.example:5000', 'nowhere'],
  );
});

test('a caller that went away, and one that names no pod, is no news', async (t) => {
  const gone = make(() => Promise.reject(cancelled('gone')));
  await t.throwsAsync(gone.verbs.pullImage(asked('x'), call));
  const nameless = make(() => Promise.reject(invalidArgument('no')));
  await t.throwsAsync(nameless.verbs.pullImage(asked('x', null), call));
  await t.throwsAsync(nameless.verbs.pullImage(asked('x', { ...pod, uid: '' }), call));
  t.deepEqual([...gone.told, ...nameless.told], []);
});

test('a pull that takes long is told once, while it runs', async (t) => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const { told, verbs } = make(() => promise, 1);
  const pulling = verbs.pullImage(asked('busybox'), call);
  await until('it is told', () => told.length > 0);
  resolve('sha256:1');
  await pulling;
  t.deepEqual(told, [
    {
      type: 'pull-slow',
      pod,
      image: 'busybox',
      host: 'docker.io',
      seconds: 0,
      bytes: 60,
      totalBytes: 150,
      stages: { downloading: 1, done: 1 },
    },
  ]);
});
