// Files that went or lie: run-time files wiped, a stale socket and pid file, the torn record of an image.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { dist, endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  exec,
  fails,
  output,
  pull,
  runPod,
  scripted,
  start,
  statusOf,
} from '../helpers/pods.ts';
import { ref } from '../helpers/registry.ts';
import { mountsOf } from '../helpers/residue.ts';
import { sweep } from '../helpers/sweep.ts';
import { until } from '../helpers/until.ts';
import { killed, lives, monitorOf, processesIn } from './processes.ts';

const run = promisify(execFile);
const daemon = useDaemon(test);

/** Layers that are not of the image which loses its record or a layer. */
let others: ReadonlySet<string>;

test.before('an image', async () => {
  await pull(daemon);
  others = new Set(readdirSync(join(daemon.root, 'layers')));
});

/** What `podwright doctor` finds; its status tells that there is something. */
const doctor = (): Promise<string> => daemon.podwright('doctor').catch((error: { stdout: string }) => error.stdout);

const stateOf = async (id: string): Promise<string | undefined> =>
  (await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: id })).status?.state;

test.serial(
  'run-time files and processes gone within one boot: NOTREADY, EXITED, removable, and a new pod runs',
  async (t) => {
    const pod = await runPod(daemon);
    const id = await start(daemon, pod, containerConfig());
    await daemon.kill9();
    await sweep(daemon);
    rmSync(daemon.state, { recursive: true });
    await daemon.start();
    t.is(await stateOf(pod.id), 'SANDBOX_NOTREADY');
    t.like(await statusOf(daemon, id), { state: 'CONTAINER_EXITED', exit_code: 255, reason: 'Unknown' });
    await daemon.removePod(pod.id);
    const fresh = await runPod(daemon);
    t.is((await output(daemon, fresh, scripted('echo here'))).stdout, 'here\n');
    await daemon.removePod(fresh.id);
    t.deepEqual(await daemon.leftOfPods(), []);
  },
);

test.serial('run-time files gone under pods that live: they can be stopped, with all their processes', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, containerConfig());
  const monitor = monitorOf(daemon, pod.id);
  t.teardown(async () => {
    if (lives(monitor)) await killed(monitor);
    await until('the pod can be removed', () =>
      daemon
        .removePod(pod.id)
        .then(() => true)
        .catch(() => false),
    );
  });
  await daemon.kill9();
  for (const point of mountsOf(daemon)) await run('umount', ['-l', point]);
  rmSync(daemon.state, { recursive: true });
  await daemon.start();
  t.is((await daemon.runtime.ListPodSandbox({})).items.length, 1);
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: pod.id }, { deadlineMs: 60_000 });
  t.is(await stateOf(pod.id), 'SANDBOX_NOTREADY');
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_EXITED');
  await until('all its processes are gone', () => processesIn(id).length === 0 && !lives(monitor));
});

test.serial('a stale socket and pid file are replaced, whatever process has that pid now', async (t) => {
  const pod = await runPod(daemon);
  await daemon.kill9();
  t.true(existsSync(daemon.socket));
  writeFileSync(join(daemon.state, 'podwrightd.pid'), `${process.pid}\n`);
  await daemon.start();
  t.is(await stateOf(pod.id), 'SANDBOX_READY');
  t.is(readFileSync(join(daemon.state, 'podwrightd.pid'), 'utf8').trim(), String(daemon.pid));
  await daemon.removePod(pod.id);
});

test.serial('a socket on which another process listens is not taken away from it', async (t) => {
  await daemon.kill9();
  rmSync(daemon.socket);
  const other = createServer((connection) => connection.destroy());
  await new Promise<void>((resolve) => other.listen(daemon.socket, resolve));
  await t.throwsAsync(daemon.start(), { message: /another daemon listens on/ });
  await new Promise((resolve) => other.close(resolve));
  await daemon.start();
  t.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);
});

test.serial(
  'a second daemon on the same root says why it does not start, also right after a crash of the first',
  async (t) => {
    const pod = await runPod(daemon);
    await daemon.crash();
    const second = await run(join(dist, 'podwrightd'), daemon.flags).then(
      () => '',
      ({ stderr }: { stderr: string }) => stderr,
    );
    t.true(second.includes(`another podwrightd works in ${daemon.root}`), second);
    t.is(await stateOf(pod.id), 'SANDBOX_READY');
    await daemon.removePod(pod.id);
  },
);

test.serial(
  'the torn record of an image is set aside and named; its containers run on, and it can be pulled again',
  async (t) => {
    const image = ref('test/layers');
    const [kept, torn] = [await pull(daemon), await pull(daemon, image)];
    const pod = await runPod(daemon);
    const id = await start(daemon, pod, scripted('sleep 3600', { image: { image } }));
    const name = `${torn.replace('sha256:', '')}.json`;
    await daemon.kill9();
    truncateSync(join(daemon.root, 'images', name), 100);
    await daemon.start();
    t.deepEqual(
      (await daemon.image.ListImages({})).images.map((each) => each.id),
      [kept],
    );
    t.is((await daemon.image.ImageStatus({ image: { image } })).image, null);
    t.true(readdirSync(join(daemon.root, 'quarantine')).includes(`image-${name}`));
    t.true((await doctor()).includes(torn.replace('sha256:', '')), await doctor());
    t.is((await exec(daemon, id, 'true')).code, 0);
    t.is((await statusOf(daemon, id)).image_id, torn);
    await fails(t, create(daemon, pod, scripted('true', { image: { image } })), { code: 'NOT_FOUND' });
    t.is(await pull(daemon, image), torn);
    t.is((await output(daemon, pod, containerConfig({ image: { image }, command: [] }))).status.exit_code, 0);
    await daemon.removePod(pod.id);
    await daemon.image.RemoveImage({ image: { image } });
  },
);

test.serial('a layer that lost its record costs the images that stand on it, not the start', async (t) => {
  const image = ref('test/layers');
  await pull(daemon, image);
  const layers = join(daemon.root, 'layers');
  const [own] = readdirSync(layers).filter((name) => /^[0-9a-f]{64}$/.test(name) && !others.has(name));
  if (own === undefined) return t.fail('it has a layer of its own');
  await daemon.kill9();
  truncateSync(join(layers, own, 'layer.json'), 5);
  mkdirSync(join(layers, '.staging-half'), { recursive: true });
  await daemon.start();
  t.is((await daemon.image.ImageStatus({ image: { image } })).image, null);
  t.is((await daemon.image.ListImages({})).images.length, 1);
  await pull(daemon, image);
  const pod = await runPod(daemon);
  t.is((await output(daemon, pod, containerConfig({ image: { image }, command: [] }))).status.exit_code, 0);
  await daemon.removePod(pod.id);
});

endsWithoutResidue(test, daemon);
