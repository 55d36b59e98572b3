// Images from a registry: every form of them, by tag and digest, listed, used and removed.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { startFakeRegistry } from '../helpers/fake-registry.ts';
import {
  containerConfig,
  create,
  exited,
  fails,
  output,
  pull,
  runPod,
  scripted,
  start,
  statusOf,
  type Pod,
} from '../helpers/pods.ts';
import { makeImage } from '../helpers/image-parts.ts';
import { kitArchive, kitImage, ref, registryHost } from '../helpers/registry.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
let pod: Pod;

test.before('a pod', async () => {
  pod = await runPod(daemon);
});

/** Chain ids of the unpacked layers. */
const layers = (): string[] => readdirSync(join(daemon.root, 'layers')).filter((name) => /^[0-9a-f]{64}$/.test(name));

const list = async (image = ''): Promise<string[]> =>
  (await daemon.image.ListImages({ filter: { image: { image } } })).images.map(({ id }) => id).toSorted();

const plainForms = ['oci', 'docker', 'plain', 'zstd', 'members', 'frames', 'mixed', 'empty', 'many'];
for (const form of plainForms) {
  test.serial(`test/${form} is pulled under its config's digest and runs`, async (t) => {
    const { config_digest } = await kitImage(`test/${form}`);
    t.is(await pull(daemon, ref(`test/${form}`)), config_digest);
    const script = 'busybox true && ls /many 2>/dev/null | wc -l';
    const { stdout, status } = await output(daemon, pod, scripted(script, { image: { image: ref(`test/${form}`) } }));
    t.is(stdout.trim(), form === 'many' ? '120' : '0');
    t.is(status.exit_code, 0);
  });
}

for (const check of ['layers', 'strict']) {
  test.serial(`test/${check} finds its layers unpacked to the letter`, async (t) => {
    await pull(daemon, ref(`test/${check}`));
    const { stdout } = await output(
      daemon,
      pod,
      containerConfig({ image: { image: ref(`test/${check}`) }, command: [] }),
    );
    t.is(stdout.trim().split('\n').at(-1), `${check}: ok`, stdout);
  });
}

for (const form of ['multi', 'multi-docker']) {
  test.serial(`test/${form}: of an index the machine's platform is taken`, async (t) => {
    await pull(daemon, ref(`test/${form}`));
    const { stdout } = await output(
      daemon,
      pod,
      containerConfig({ image: { image: ref(`test/${form}`) }, command: [] }),
    );
    t.is(stdout.trim(), process.arch === 'x64' ? 'amd64' : process.arch);
  });
}

test.serial(
  'test/conf: what the config says is what the process gets, and the status tells the stop signal',
  async (t) => {
    await pull(daemon, ref('test/conf'));
    const config = containerConfig({ image: { image: ref('test/conf') }, command: [] });
    const id = await start(daemon, pod, config);
    await exited(daemon, id);
    t.is((await statusOf(daemon, id)).stop_signal, 'SIGNAL_SIGUSR1');
    await daemon.runtime.RemoveContainer({ container_id: id });
    const { stdout } = await output(daemon, pod, {
      ...config,
      metadata: { name: 'conf', attempt: 1 },
      log_path: 'conf.log',
    });
    const [pwd, id_, ...env] = stdout.trim().split('\n');
    t.is(pwd, '/srv/not/there');
    t.regex(id_ ?? '', /www-data/);
    for (const one of ['FOO=image', 'EMPTY=', 'EQ=a=b']) t.true(env.includes(one), one);
  },
);

test.serial('test/scratch and test/bare: no shell, no config', async (t) => {
  await pull(daemon, ref('test/scratch'));
  const id = await start(daemon, pod, containerConfig({ image: { image: ref('test/scratch') }, command: [] }));
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  await daemon.runtime.RemoveContainer({ container_id: id });
  await pull(daemon, ref('test/bare'));
  const bare = containerConfig({ image: { image: ref('test/bare') }, command: [] });
  await t.throwsAsync(create(daemon, pod, bare), { message: /no command/ });
  t.is((await output(daemon, pod, { ...bare, command: ['/bin/echo', 'hi'] })).stdout, 'hi\n');
});

test.serial('by digest, by tag and by id it is one image with all its names', async (t) => {
  const { digest, config_digest } = await kitImage('test/oci');
  const byDigest = `${registryHost}/test/oci@${digest}`;
  t.is(await pull(daemon, byDigest), config_digest);
  for (const image of [
    byDigest,
    ref('test/oci'),
    config_digest,
    config_digest.slice('sha256:'.length),
    `${registryHost}/test/oci`,
  ]) {
    const status = await daemon.image.ImageStatus({ image: { image } });
    t.is(status.image?.id, config_digest, image);
  }
  const { image } = await daemon.image.ImageStatus({ image: { image: ref('test/oci') }, verbose: true });
  t.true(image?.repo_tags.includes(ref('test/oci')));
  t.true(image?.repo_digests.includes(byDigest));
  t.true(BigInt(image?.size ?? 0) > 0n);
  const { images } = await daemon.image.ListImages({});
  t.is(images.filter(({ id }) => id === config_digest).length, 1);
});

test.serial('the user of an image is told: a number or a name', async (t) => {
  const uid = ref('k8s-staging-cri-tools/test-image-user-uid');
  const username = ref('k8s-staging-cri-tools/test-image-user-username');
  await Promise.all([pull(daemon, uid), pull(daemon, username)]);
  t.is((await daemon.image.ImageStatus({ image: { image: uid } })).image?.uid?.value, '1002');
  t.is((await daemon.image.ImageStatus({ image: { image: username } })).image?.username, 'www-data');
});

test.serial('two tags of one image are one image; removing it removes both', async (t) => {
  const repo = 'k8s-staging-cri-tools/test-image-tags';
  await Promise.all(['1', '2', '3'].map((tag) => pull(daemon, ref(`${repo}:${tag}`))));
  const { config_digest } = await kitImage(repo);
  t.deepEqual(await list(ref(`${repo}:2`)), [config_digest]);
  const { image } = await daemon.image.ImageStatus({ image: { image: config_digest } });
  t.deepEqual(
    image?.repo_tags.toSorted(),
    ['1', '2', '3'].map((tag) => ref(`${repo}:${tag}`)),
  );
  await daemon.image.RemoveImage({ image: { image: ref(`${repo}:1`) } });
  t.deepEqual(await list(ref(`${repo}:2`)), []);
});

test.serial('many pulls of one image at once are one', async (t) => {
  await daemon.image.RemoveImage({ image: { image: ref('test/many') } });
  const ids = await Promise.all(Array.from({ length: 10 }, () => pull(daemon, ref('test/many'))));
  t.is(new Set(ids).size, 1);
});

test.serial('a container outlives its image, whose layers go when it goes', async (t) => {
  const image = ref('test/mixed');
  const { config_digest } = await kitImage('test/mixed');
  await pull(daemon, image);
  const id = await start(daemon, pod, scripted('sleep 3600', { image: { image } }));
  await daemon.image.RemoveImage({ image: { image } });
  t.is((await daemon.image.ImageStatus({ image: { image } })).image, null);
  const answer = await daemon.runtime.ExecSync({ container_id: id, cmd: ['ls', '/zstd', '/plain', '/gzip'] });
  t.is(answer.exit_code, 0);
  t.is((await statusOf(daemon, id)).image_id, config_digest);
  const before = layers().length;
  await daemon.runtime.RemoveContainer({ container_id: id });
  await until('its layers are swept', () => layers().length < before);
});

test.serial('ImageFsInfo counts what the store holds', async (t) => {
  const used = async (): Promise<bigint> => {
    const { image_filesystems } = await daemon.image.ImageFsInfo({});
    t.true(existsSync(image_filesystems[0]?.fs_id?.mountpoint ?? ''));
    return BigInt(image_filesystems[0]?.used_bytes?.value ?? 0);
  };
  await daemon.image.RemoveImage({ image: { image: ref('test/plain') } });
  // what goes with it goes in the background, and must not be gone in between
  const blob = join(daemon.root, 'content/blobs/sha256', (await kitImage('test/plain')).config_digest.slice(7));
  await until('it is swept', () => !existsSync(blob));
  const before = await used();
  await pull(daemon, ref('bench/tools'));
  const after = await used();
  t.true(after > before);
  await daemon.image.RemoveImage({ image: { image: ref('bench/tools') } });
  await until('the room is free again', async () => (await used()) < after);
});

test.serial('a name or a tag that the registry does not have is NOT_FOUND with the host', async (t) => {
  for (const image of [
    ref('test/none-such'),
    ref('test/oci:none-such'),
    `${registryHost}/test/oci@sha256:${'0'.repeat(64)}`,
  ]) {
    await fails(t, pull(daemon, image), { code: 'NOT_FOUND', message: new RegExp(registryHost) });
  }
  for (const image of ['lower/UPPER', 'a b', '', 'x@sha256:123']) {
    await fails(t, pull(daemon, image), { code: 'INVALID_ARGUMENT' });
  }
});

test.serial('a registry that is down is told with its address', async (t) => {
  const fake = await startFakeRegistry();
  await fake.close();
  const message = await fails(t, pull(daemon, `${fake.host}/some/image:1`), {
    code: 'UNKNOWN',
    message: /^RegistryUnavailable: /,
  });
  t.true(message.includes(fake.host));
});

test.serial('a registry that wants a password: refused without, taken with, never logged', async (t) => {
  const fake = await startFakeRegistry();
  t.teardown(() => fake.close());
  fake.auth = { type: 'basic', username: 'ann', password: 'secret-of-ann' };
  const image = { image: `${fake.host}/private/image:1` };
  await fails(t, daemon.image.PullImage({ image }), { code: 'PERMISSION_DENIED', message: new RegExp(fake.host) });
  const wrong = { username: 'ann', password: 'guessed-wrong' };
  await fails(t, daemon.image.PullImage({ image, auth: wrong }), { code: 'PERMISSION_DENIED' });
  const right = { username: 'ann', password: 'secret-of-ann' };
  await fails(t, daemon.image.PullImage({ image, auth: right }), { code: 'NOT_FOUND' });
  for (const word of ['secret-of-ann', 'guessed-wrong', Buffer.from('ann:secret-of-ann').toString('base64')]) {
    t.false(daemon.log(10_000_000).includes(word));
  }
});

test.serial('the command pulls too, with credentials, and tells each layer', async (t) => {
  const fake = await startFakeRegistry();
  t.teardown(() => fake.close());
  fake.auth = { type: 'basic', username: 'ann', password: 'secret-of-ann' };
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const image = makeImage([{ file: `for the command ${process.pid}` }], { architecture });
  fake.push('private/image', '1', image);
  const reference = `${fake.host}/private/image:1`;
  await t.throwsAsync(daemon.podwright('pull', reference), { message: /401|unauthorized|denied/i });
  t.is(await daemon.podwright('pull', '--creds', 'ann:secret-of-ann', reference), `${image.config.digest}\n`);
  t.regex(await daemon.podwright('pulls'), /^IMAGE +LAYERS/);
  t.false(daemon.log(10_000_000).includes('secret-of-ann'));
});

test.serial('archives are loaded by the command and run', async (t) => {
  for (const archive of ['demo.tar', 'demo.docker.tar.gz', 'demo', 'layers.tar']) {
    t.regex(await daemon.podwright('load', await kitArchive(archive)), /sha256:[0-9a-f]{64}/, archive);
  }
  const demo = await kitImage('podwright/demo');
  const id = await start(daemon, pod, containerConfig({ image: { image: demo.config_digest }, command: [] }));
  t.is((await daemon.runtime.ExecSync({ container_id: id, cmd: ['true'] })).exit_code, 0);
  await daemon.runtime.RemoveContainer({ container_id: id });
  const named = await daemon.podwright('load', '--name', 'my.registry/named:1', await kitArchive('demo.tar'));
  t.regex(named, /sha256:/);
});

test.serial('images are the same after a restart, and all of them can be removed', async (t) => {
  const before = await daemon.image.ListImages({});
  await daemon.restart();
  const after = await daemon.image.ListImages({});
  const plain = (images: typeof after.images): object[] =>
    images.map((image) => ({ ...image })).toSorted((a, b) => a.id.localeCompare(b.id));
  t.deepEqual(plain(after.images), plain(before.images));
  for (const { id } of after.images) await daemon.image.RemoveImage({ image: { image: id } });
  t.deepEqual(await list(), []);
  const entries = (): string[] => ['content/sha256', 'ingest'].flatMap((dir) => readdirSync(join(daemon.root, dir)));
  await until('layers and blobs are swept', () => layers().length + entries().length === 0);
});

endsWithoutResidue(test, daemon);
