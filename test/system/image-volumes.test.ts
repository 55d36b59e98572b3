// Images as volumes: read-only trees of their files in a container, by sub path, kept while they are used.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeArtifact, makeImage } from '../helpers/image-parts.ts';
import { create, fails, output, pull, runPod, scripted, shell, start, statusOf, type Pod } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
let pod: Pod;
let data: string;
let single: string;
let model: string;

test.before('a pod, and images with data', async () => {
  const registry = await startFakeRegistry();
  registry.push(
    'vol/data',
    '1',
    makeImage([
      { 'dir/': '755', 'dir/one': 'one\n', 'dir/old': 'below\n', run: '#!/bin/sh\necho ran\n' },
      {
        'dir/.wh.old': '',
        'dir/two': 'two\n',
        'deep/': '755',
        'deep/file': 'deep\n',
        up: '-> ../../../../dir',
        absolute: '-> /deep/file',
        nowhere: '-> /not/there',
      },
    ]),
  );
  registry.push('vol/single', '1', makeImage([{ only: 'only\n' }]));
  registry.push('vol/model', '1', makeArtifact({ 'model.bin': 'weights\n', 'conf/a.json': '[]\n' }));
  model = `${registry.host}/vol/model:1`;
  [data, single] = [`${registry.host}/vol/data:1`, `${registry.host}/vol/single:1`];
  await Promise.all([pull(daemon), pull(daemon, data), pull(daemon, single), pull(daemon, model)]);
  await registry.close();
  pod = await runPod(daemon);
});

const mounted = (image: string, image_sub_path = '', script = 'exec sleep 3600') => ({
  ...scripted(script),
  mounts: [{ container_path: '/vol', image: { image }, image_sub_path }],
});

test.serial(
  'image volume: its layers are one read-only tree, and it is told in the status with its digest',
  async (t) => {
    const id = await start(daemon, pod, mounted(data));
    t.is(await shell(daemon, id, 'cat /vol/dir/one /vol/dir/two; ls /vol/dir'), 'one\ntwo\none\ntwo');
    t.regex(await shell(daemon, id, 'touch /vol/dir/one 2>&1; rm /vol/run 2>&1'), /Read-only.*\n.*Read-only/);
    t.regex(await shell(daemon, id, 'sh -c /vol/run 2>&1'), /Permission denied/);
    t.regex(
      await shell(daemon, id, 'grep " /vol " /proc/self/mountinfo'),
      / \/vol ro,nosuid,nodev,noexec,.* - overlay /,
    );
    const [told] = (await statusOf(daemon, id)).mounts;
    const { image } = await daemon.image.ImageStatus({ image: { image: data } });
    t.like(told, { container_path: '/vol', host_path: '', image_sub_path: '' });
    t.like(told?.image, { image: data, image_ref: image?.repo_digests[0] });
    await daemon.runtime.RemoveContainer({ container_id: id });
  },
);

test.serial('image volume: an image of one layer, two volumes of one image, and one that may be run', async (t) => {
  const config = {
    ...scripted('cat /a/only /b/dir/one /c/one; /b/run; true'),
    mounts: [
      { container_path: '/a', image: { image: single } },
      { container_path: '/b', image: { image: data }, mount_options: ['exec'] },
      { container_path: '/c', image: { image: data }, image_sub_path: 'dir' },
    ],
  };
  t.is((await output(daemon, pod, config)).stdout.replace(/.*Permission denied.*\n/, ''), 'only\none\none\n');
});

test.serial('image volume with sub path: a directory, a file, and links that stay in the image', async (t) => {
  for (const path of ['dir', '/dir/', 'deep/../dir', 'up']) {
    t.is((await output(daemon, pod, mounted(data, path, 'cat /vol/two'))).stdout, 'two\n', path);
  }
  for (const path of ['deep/file', 'absolute']) {
    t.is((await output(daemon, pod, mounted(data, path, 'cat /vol'))).stdout, 'deep\n', path);
  }
});

test.serial('image volume with a sub path that is missing or leads out is ImageVolumeMountFailed', async (t) => {
  for (const path of ['no/such', 'dir/old', 'nowhere', 'deep/file/x', '..', '../etc', 'dir/../../etc']) {
    await fails(t, create(daemon, pod, mounted(data, path)), { code: 'UNKNOWN', message: /^ImageVolumeMountFailed: / });
  }
  t.deepEqual((await daemon.runtime.ListContainers({})).containers, []);
});

test.serial('image volume of an image that is not here, or that contradicts itself, is refused', async (t) => {
  const wrong = async (mount: object, code: 'NOT_FOUND' | 'INVALID_ARGUMENT', message: RegExp) => {
    const config = { ...scripted('true'), mounts: [{ container_path: '/vol', ...mount }] };
    await fails(t, create(daemon, pod, config), { code, message });
  };
  await wrong({ image: { image: 'registry.invalid/no/such:1' } }, 'NOT_FOUND', /mounts\[0\].*not present/);
  await wrong({ image: { image: data }, host_path: '/tmp' }, 'INVALID_ARGUMENT', /host_path is set beside image/);
  await wrong({ image: { image: '' } }, 'INVALID_ARGUMENT', /image\.image is empty/);
  await wrong({ host_path: '/tmp', image_sub_path: 'x' }, 'INVALID_ARGUMENT', /image_sub_path/);
  const propagation = 'PROPAGATION_BIDIRECTIONAL';
  await wrong({ image: { image: data }, propagation }, 'INVALID_ARGUMENT', /propagation/);
});

test.serial('artifact volume: its files by their names, whole or by sub path; it is listed, and not run', async (t) => {
  const id = await start(daemon, pod, {
    ...scripted('exec sleep 3600', { linux: { security_context: { run_as_user: { value: '1000' } } } }),
    mounts: [
      { container_path: '/vol', image: { image: model } },
      { container_path: '/one', image: { image: model }, image_sub_path: 'conf/a.json' },
    ],
  });
  t.is(
    await shell(daemon, id, 'cd /vol && find . -type f | sort && cat model.bin /one'),
    './conf/a.json\n./model.bin\nweights\n[]',
  );
  t.regex(await shell(daemon, id, 'touch /vol/x 2>&1'), /Read-only/);
  const { image } = await daemon.image.ImageStatus({ image: { image: model } });
  t.deepEqual(image?.repo_tags, [model]);
  t.true(Number(image?.size) > 0);
  const { mounts } = await statusOf(daemon, id);
  t.deepEqual(
    mounts.map((mount) => mount.image?.image_ref),
    [image?.repo_digests[0], image?.repo_digests[0]],
  );
  await daemon.runtime.RemoveContainer({ container_id: id });
  const config = { ...scripted('true'), image: { image: model } };
  await fails(t, create(daemon, pod, config), {
    code: 'INVALID_ARGUMENT',
    message: /artifact of type application\/x-test: it can be mounted as a volume, not run/,
  });
});

/** The layers that are here. */
const layers = (): string[] => readdirSync(join(daemon.root, 'layers')).filter((name) => /^[0-9a-f]{64}$/.test(name));

test.serial('an image that is removed stays mounted until the last container with it goes', async (t) => {
  const [one, two] = [await start(daemon, pod, mounted(single)), await start(daemon, pod, mounted(single))];
  const before = layers();
  await daemon.image.RemoveImage({ image: { image: single } });
  t.is((await daemon.image.ImageStatus({ image: { image: single } })).image, null);
  await fails(t, create(daemon, pod, mounted(single)), { code: 'NOT_FOUND' });
  await daemon.runtime.RemoveContainer({ container_id: one });
  t.is(await shell(daemon, two, 'cat /vol/only'), 'only');
  t.deepEqual(layers(), before);
  await daemon.runtime.RemoveContainer({ container_id: two });
  await until('its layer is swept', () => layers().length < before.length);
});

test.serial('a restarted daemon keeps what volumes need, and still tells their digests', async (t) => {
  const id = await start(daemon, pod, mounted(data));
  await daemon.image.RemoveImage({ image: { image: data } });
  const before = layers();
  await daemon.crash();
  t.is(await shell(daemon, id, 'cat /vol/dir/one'), 'one');
  t.deepEqual(layers(), before);
  t.regex((await statusOf(daemon, id)).mounts[0]?.image?.image_ref ?? '', /@sha256:/);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

endsWithoutResidue(test, daemon);
