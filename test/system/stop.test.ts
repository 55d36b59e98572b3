// The hard ends of containers: paused, stuck in the kernel, out of memory; and whose stop signal counts.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { criStream } from '../helpers/cri-client.ts';
import { cgroupDirs, containerPath } from '../helpers/cgroups.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  exited,
  fails,
  logOf,
  type Pod,
  pull,
  runPod,
  scripted,
  start,
  statusOf,
  textOf,
} from '../helpers/pods.ts';
import { ref } from '../helpers/registry.ts';
import { cgroupMounts } from '../helpers/residue.ts';
import { stuckMount } from '../helpers/stuck-mount.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
let pod: Pod;

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
});

/** Handles SIGTERM, and says when it is ready to. */
const polite = 'trap "exit 7" TERM; echo ready; while :; do sleep 0.05; done';

const ready = (id: string): Promise<unknown> =>
  until('the handler is set', async () => textOf(await logOf(daemon, id)).includes('ready'));

/** The two freezers of this host: of the v1 hierarchy, and of the unified tree. */
const freezers = {
  'freezer.state': { frozen: 'FROZEN', here: existsSync('/sys/fs/cgroup/freezer') },
  'cgroup.freeze': {
    frozen: '1',
    here: cgroupMounts().some(
      (dir) => existsSync(join(dir, 'cgroup.procs')) && existsSync(join(dir, 'cgroup.controllers')),
    ),
  },
} as const;
type Freezer = keyof typeof freezers;

/** A test of one freezer; skipped, saying so, on a host without it. */
const withFreezer = (freezer: Freezer, title: string, run: (t: ExecutionContext) => Promise<void>): void => {
  if (freezers[freezer].here) test.serial(`${title} (${freezer})`, run);
  else test.serial.skip(`${title} (${freezer}) [this host has no ${freezer}]`, run);
};

const freezerFile = (id: string, freezer: Freezer): string | undefined =>
  cgroupDirs(containerPath(pod.id, id))
    .map((dir) => join(dir, freezer))
    .find((file) => existsSync(file));

/** Freezes a container as docker pause, or somebody else, would. */
async function freeze(id: string, freezer: Freezer): Promise<void> {
  const file = freezerFile(id, freezer);
  if (file === undefined) throw new Error(`no ${freezer}`);
  writeFileSync(file, freezers[freezer].frozen);
  await until('it is frozen', () => {
    if (freezer === 'freezer.state') return readFileSync(file, 'utf8').trim() === 'FROZEN';
    return /^frozen 1$/m.test(readFileSync(join(file, '../cgroup.events'), 'utf8'));
  });
}

for (const freezer of Object.keys(freezers) as Freezer[]) {
  withFreezer(freezer, 'a paused container is thawed to take its stop signal', async (t) => {
    const id = await start(daemon, pod, scripted(polite));
    await ready(id);
    await freeze(id, freezer);
    await daemon.runtime.StopContainer({ container_id: id, timeout: '60' });
    t.like(await statusOf(daemon, id), { state: 'CONTAINER_EXITED', exit_code: 7, reason: 'Error' });
    await daemon.runtime.RemoveContainer({ container_id: id });
  });

  withFreezer(freezer, 'a paused container is killed and removed without a grace', async (t) => {
    const [stopped, removed] = [await start(daemon, pod, scripted(polite)), await start(daemon, pod, scripted(polite))];
    await freeze(stopped, freezer);
    await freeze(removed, freezer);
    await daemon.runtime.StopContainer({ container_id: stopped, timeout: '0' });
    t.like(await statusOf(daemon, stopped), { state: 'CONTAINER_EXITED', exit_code: 137 });
    await daemon.runtime.RemoveContainer({ container_id: removed });
    await fails(t, daemon.runtime.ContainerStatus({ container_id: removed }), { code: 'NOT_FOUND' });
    await daemon.runtime.RemoveContainer({ container_id: stopped });
  });
}

test.serial('one that is paused during its grace is killed at the end of it', async (t) => {
  const id = await start(daemon, pod, scripted('trap "" TERM; echo ready; while :; do sleep 0.05; done'));
  await ready(id);
  const stop = daemon.runtime.StopContainer({ container_id: id, timeout: '20' });
  const freezer = freezerFile(id, 'freezer.state') === undefined ? 'cgroup.freeze' : 'freezer.state';
  const record = join(daemon.root, 'containers', id, 'status.json');
  await until('the stop has begun', () => !readFileSync(record, 'utf8').includes('"stopRequestedAt":"0"'));
  await freeze(id, freezer);
  await stop;
  t.like(await statusOf(daemon, id), { state: 'CONTAINER_EXITED', exit_code: 137 });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('a process that the kernel does not let go is named, and the container ends when it is free', async (t) => {
  const dir = join(daemon.dir, 'stuck');
  const mount = await stuckMount(t, join(dir, 'mount'));
  const mounts = [{ host_path: dir, container_path: '/stuck', propagation: 'PROPAGATION_PRIVATE' as const }];
  const id = await start(daemon, pod, scripted('ls /stuck/mount & echo ready; wait', { mounts }));
  await ready(id);
  await mount.asked();
  const why = await fails(t, daemon.runtime.StopContainer({ container_id: id, timeout: '1' }), {
    code: 'DEADLINE_EXCEEDED',
  });
  t.regex(why, /pid \d+ \(ls\) D in \w+/);
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  await mount.release();
  t.like(await exited(daemon, id), { exit_code: 137 });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('whenever a container is told to have stopped for memory, it is OOMKilled already', async (t) => {
  const memory = String(24 * 1024 * 1024);
  const linux = { resources: { memory_limit_in_bytes: memory, memory_swap_limit_in_bytes: memory } };
  const events = criStream(daemon.socket, 'GetContainerEvents');
  await until('the subscription is there', async () =>
    /^podwright_event_subscribers 1$/m.test(await (await fetch(daemon.metricsUrl)).text()),
  );
  const seen = new Map<string, string>();
  const reading = (async () => {
    for await (const { container_id, container_event_type, containers_statuses } of events) {
      if (container_event_type !== 'CONTAINER_STOPPED_EVENT') continue;
      const own = containers_statuses.find(({ id }) => id === container_id);
      seen.set(container_id, `${own?.exit_code} ${own?.reason}`);
    }
  })().catch(() => undefined);
  const ids: string[] = [];
  for (let n = 0; n < 10; n += 1)
    ids.push(await start(daemon, pod, containerConfig({ command: ['tail', '/dev/zero'], linux })));
  await until('all have stopped', () => ids.every((id) => seen.has(id)));
  t.deepEqual(
    ids.map((id) => seen.get(id)),
    ids.map(() => '137 OOMKilled'),
  );
  for (const id of ids) {
    t.like(await statusOf(daemon, id), { exit_code: 137, reason: 'OOMKilled' });
    await daemon.runtime.RemoveContainer({ container_id: id });
  }
  events.close();
  await reading;
});

test.serial("the image's stop signal counts where the request has none, and the request's before it", async (t) => {
  const image = { image: ref('test/conf') };
  await pull(daemon, image.image);
  const script =
    'trap "exit 11" USR1; trap "exit 12" USR2; trap "exit 13" TERM; echo ready; while :; do sleep 0.05; done';
  const wish = { image, args: [], working_dir: '/' };
  for (const [stop_signal, effective, code] of [
    [undefined, 'SIGNAL_SIGUSR1', 11],
    ['SIGNAL_SIGUSR2', 'SIGNAL_SIGUSR2', 12],
  ] as const) {
    const id = await start(daemon, pod, scripted(script, stop_signal === undefined ? wish : { ...wish, stop_signal }));
    await ready(id);
    t.is((await statusOf(daemon, id)).stop_signal, effective);
    await daemon.runtime.StopContainer({ container_id: id, timeout: '60' });
    t.like(await statusOf(daemon, id), { exit_code: code });
    await daemon.runtime.RemoveContainer({ container_id: id });
  }
});

test.serial('each end has its reason', async (t) => {
  const ends: readonly (readonly [string, number, string])[] = [
    ['exit 0', 0, 'Completed'],
    ['exit 5', 5, 'Error'],
  ];
  for (const [script, exit_code, reason] of ends) {
    const id = await start(daemon, pod, scripted(script));
    t.like(await exited(daemon, id), { exit_code, reason });
    await daemon.runtime.RemoveContainer({ container_id: id });
  }
});

test.serial(
  'a created container that is stopped stays as it is, and its start is refused after a failed one',
  async (t) => {
    const id = await create(daemon, pod, containerConfig({ command: ['/no/such/program'] }));
    await daemon.runtime.StopContainer({ container_id: id, timeout: '5' });
    t.is((await statusOf(daemon, id)).state, 'CONTAINER_CREATED');
    await fails(t, daemon.runtime.StartContainer({ container_id: id }), {
      code: 'INVALID_ARGUMENT',
      message: /\/no\/such\/program/,
    });
    const status = await statusOf(daemon, id);
    t.like(status, { state: 'CONTAINER_EXITED', exit_code: 128, reason: 'StartError', started_at: '0' });
    t.regex(status.message, /\/no\/such\/program/);
    await fails(t, daemon.runtime.StartContainer({ container_id: id }), { code: 'FAILED_PRECONDITION' });
    await daemon.runtime.RemoveContainer({ container_id: id });
  },
);

endsWithoutResidue(test, daemon);
