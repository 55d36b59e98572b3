import test from 'ava';
import { eventDraft, type News, quantity } from '../../../src/kube/news.ts';

const pod = { namespace: 'shop', name: 'web', uid: 'u-1' };
const memory = { usage: 60 * 2 ** 20, peak: 64 * 2 ** 20, limit: 64 * 2 ** 20 };

const words: readonly (readonly [News, string, string])[] = [
  [
    {
      type: 'oom',
      pod,
      container: 'main',
      main: true,
      kills: 1,
      limit: 'own',
      limitBytes: 67_108_864,
      containerMemory: memory,
      podMemory: { usage: 70 * 2 ** 20, peak: null, limit: null },
    },
    'OOMKilling',
    'container main was OOM killed: its own limit of 67108864 bytes was reached (1 killed so far); the container uses 60Mi, used at most 64Mi, may use 64Mi; its pod uses 70Mi, has no limit',
  ],
  [
    {
      type: 'oom',
      pod,
      container: 'main',
      main: false,
      kills: 3,
      limit: 'node',
      limitBytes: 0,
      containerMemory: null,
      podMemory: null,
    },
    'OOMKilling',
    'a process of container main was OOM killed; the container goes on: the node had no memory left (3 killed so far)',
  ],
  [
    {
      type: 'oom',
      pod,
      container: 'main',
      main: true,
      kills: 1,
      limit: 'unknown',
      limitBytes: 0,
      containerMemory: null,
      podMemory: null,
    },
    'OOMKilling',
    'container main was OOM killed (1 killed so far)',
  ],
  [
    { type: 'pull-failed', pod, image: 'r.example/a:1', host: 'r.example', cause: 'its name cannot be resolved' },
    'ImagePullFailed',
    'could not pull image r.example/a:1 from r.example: its name cannot be resolved',
  ],
  [
    {
      type: 'pull-slow',
      pod,
      image: 'r.example/a:1',
      host: 'r.example',
      seconds: 60,
      bytes: 6 * 2 ** 20,
      totalBytes: 80 * 2 ** 20,
      stages: { downloading: 2, done: 1 },
    },
    'ImagePullSlow',
    'pulling image r.example/a:1 from r.example takes long: after 60 s 6Mi of 80Mi are here (102.4Ki per second); layers: 2 downloading, 1 done',
  ],
  [
    {
      type: 'pull-slow',
      pod,
      image: 'r.example/a:1',
      host: 'r.example',
      seconds: 60,
      bytes: 0,
      totalBytes: 0,
      stages: {},
    },
    'ImagePullSlow',
    'pulling image r.example/a:1 from r.example takes long: after 60 s its manifest is not here',
  ],
  [
    { type: 'disk-full', pod, container: 'main', usedBytes: 2 ** 20, limitBytes: 2 ** 20 },
    'DiskQuotaReached',
    'the writable layer of container main holds 1Mi, its limit is 1Mi: writes fail',
  ],
  [
    { type: 'swept', what: ['sandbox a without a record', 'writable layer b without a container'] },
    'LeftoversSwept',
    'took away what was left behind: sandbox a without a record, writable layer b without a container',
  ],
];
for (const [news, reason, message] of words) {
  test(`${reason}: ${message.slice(-90)}`, (t) => {
    const draft = eventDraft(news, 5);
    t.is(draft.message, message);
    t.is(draft.reason, reason);
    t.is(draft.atMs, 5);
    t.deepEqual(draft.pod, news.type === 'swept' ? null : pod);
    t.is(draft.type, news.type === 'swept' ? 'Normal' : 'Warning');
    t.is(draft.container, 'container' in news ? 'main' : '');
  });
}

test('a message is no longer than the API server takes', (t) => {
  const news: News = { type: 'pull-failed', pod, image: 'a', host: 'b', cause: 'x'.repeat(5000) };
  const { message } = eventDraft(news, 0);
  t.is(message.length, 1024);
  t.true(message.endsWith('...'));
});

for (const [bytes, text] of [
  [0, '0'],
  [1023, '1023'],
  [1536, '1.5Ki'],
  [64 * 2 ** 20, '64Mi'],
  [3 * 2 ** 40, '3Ti'],
  [5000 * 2 ** 40, '5000Ti'],
] as const) {
  test(`${bytes} bytes are ${text}`, (t) => t.is(quantity(bytes), text));
}
