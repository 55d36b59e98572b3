import test from 'ava';
import { chainIds, findImage, type ImageRecord, imageUser, imageView, isPinned } from '../../../src/image/image.ts';
import type { ChainId, Digest, ImageId } from '../../../src/lib/id.ts';

const hex = (start: string): string => start.padEnd(64, '0');
const digest = (start: string): Digest => `sha256:${hex(start)}` as string as Digest;

const record = (id: string, patch: Partial<ImageRecord> = {}): ImageRecord => ({
  id: digest(id) as string as ImageId,
  repoTags: [],
  repoDigests: [],
  chain: [],
  layers: [],
  sizeBytes: 1,
  user: { uid: null, username: '' },
  config: {
    env: [],
    entrypoint: [],
    cmd: [],
    workingDir: '',
    user: '',
    stopSignal: '',
    volumes: [],
    labels: {},
    exposedPorts: [],
  },
  platform: { os: 'linux', architecture: 'amd64', variant: '' },
  manifestDigest: digest(`${id}e`),
  mediaType: 'm',
  targetDigest: digest(`${id}f`),
  blobsKept: false,
  userSpecifiedImage: '',
  annotations: {},
  pulledAt: 1n,
  namedAt: 1n,
  ...patch,
});

test('chain ids follow the image specification', (t) => {
  const diffs = [
    `sha256:${'a'.repeat(64)}`,
    `sha256:${'b'.repeat(64)}`,
    `sha256:${'c'.repeat(64)}`,
  ] as string[] as Digest[];
  // printf 'sha256:aaa… sha256:bbb…' | sha256sum
  t.deepEqual(chainIds(diffs).slice(0, 1), [diffs[0] as string as ChainId]);
  t.is(chainIds(diffs)[1], 'sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c' as ChainId);
  t.is(chainIds(diffs).length, 3);
  t.deepEqual(chainIds([]), []);
});

for (const [user, uid, username] of [
  ['', null, ''],
  ['0', 0, ''],
  ['1000:1000', 1000, ''],
  ['nobody', null, 'nobody'],
  ['nobody:nogroup', null, 'nobody'],
  ['4294967295', 4294967295, ''],
  ['4294967296', null, '4294967296'],
  ['-1', null, '-1'],
  [':5', null, ''],
] as const) {
  test(`user ${JSON.stringify(user)}`, (t) => t.deepEqual(imageUser(user), { uid, username }));
}

const busybox = record('abcd12', {
  repoTags: ['docker.io/library/busybox:latest', 'docker.io/library/busybox:1.36', 'r.io:5000/busybox:x'],
  repoDigests: [`docker.io/library/busybox@${digest('d1')}`],
});
const other = record('abcd34', { repoTags: ['docker.io/library/abcd12:latest'] });
const dangling = record('ffff', { manifestDigest: digest('dada') });
const all = [busybox, other, dangling];

for (const [text, found] of [
  ['busybox', busybox],
  ['busybox:1.36', busybox],
  ['docker.io/library/busybox', busybox],
  ['busybox:1.35', null],
  ['r.io:5000/busybox:x', busybox],
  ['r.io/busybox:x', null],
  [`busybox@${digest('d1')}`, busybox],
  [`busybox:anything@${digest('d1')}`, busybox],
  [`r.io:5000/busybox@${digest('d1')}`, null],
  [`busybox@${busybox.manifestDigest}`, busybox],
  [`busybox@${busybox.id}`, busybox],
  [`busybox@${digest('99')}`, null],
  [busybox.id, busybox],
  [hex('abcd12'), busybox],
  ['sha256:abcd12', busybox],
  ['abcd1200', busybox],
  ['abcd12', other],
  ['abcd3', other],
  ['ffff', dangling],
  ['fff', null],
  ['eeee', null],
  [digest('dada'), dangling],
  [hex('dada'), dangling],
  ['sha256:dada', null],
] as const) {
  test(`finds ${text.slice(0, 70)}`, (t) => t.is(findImage(all, text), found));
}

test('an ambiguous beginning of an id is refused', (t) => {
  t.throws(() => findImage(all, 'sha256:abcd'), { message: /beginning of more than one id/ });
});

test('pinned by glob, by any name', (t) => {
  t.true(isPinned(busybox, ['docker.io/library/busybox:*']));
  t.true(isPinned(busybox, ['nothing', '*/busybox:x']));
  t.true(isPinned(busybox, [busybox.id]));
  t.true(isPinned(busybox, ['*@sha256:d1*']));
  t.false(isPinned(busybox, ['docker.io/library/busybox']));
  t.false(isPinned(busybox, ['dockerXio/library/busybox:*']));
  t.false(isPinned(busybox, []));
  t.false(isPinned(dangling, ['docker.io/*']));
});

test('a view says what a container refers to', (t) => {
  t.is(imageView(busybox, []).ref, `docker.io/library/busybox@${digest('d1')}`);
  t.like(imageView(dangling, ['*']), { ref: dangling.id, pinned: true });
});
