// A host path on a file system that never answers (ruling 6): the call for it waits or fails, and nobody else notices.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ContainerConfig } from '../../src/proto/generated/cri/runtime/v1/ContainerConfig.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { containerConfig, exec, podConfig, pull, runPod, start, type Pod } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

// whatever there is in criu's place is not reached
const daemon = useDaemon(test, { flags: ['--set', 'checkpoint.criu=/bin/true'] });
test.before('an image', () => pull(daemon));

/** A FUSE mount whose server never reads a request; `end` breaks it, so that all who wait get an error. */
async function hungMount(t: ExecutionContext): Promise<{ dir: string; end: () => Promise<void> }> {
  const dir = join(daemon.dir, 'hung');
  mkdirSync(dir, { recursive: true });
  const script =
    'exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 pwt-hung "$1" && echo mounted && exec sleep 3600';
  const server: ChildProcess = spawn('bash', ['-c', script, 'bash', dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  server.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await until('it is mounted', () => said.includes('mounted'));
  let ended: Promise<void> | null = null;
  const end = (): Promise<void> => {
    ended ??= (async () => {
      server.kill('SIGKILL');
      await until('the server is gone', () => server.exitCode !== null || server.signalCode !== null);
      execFileSync('umount', ['-l', dir]);
    })();
    return ended;
  };
  t.teardown(end);
  return { dir, end };
}

/** What everybody else does: another pod, and another container of the same pod. */
async function othersWork(t: ExecutionContext, neighbours: readonly string[]): Promise<void> {
  for (const id of neighbours) {
    const from = performance.now();
    t.is((await exec(daemon, id, 'true')).code, 0);
    t.true(performance.now() - from < 60_000, 'an exec of another container does not wait for the hung path');
  }
  const fresh = await runPod(daemon);
  t.is((await exec(daemon, await start(daemon, fresh, containerConfig()), 'true')).code, 0);
  await daemon.removePod(fresh.id);
  const { stats } = await daemon.runtime.ListContainerStats({}, { deadlineMs: 60_000 });
  t.true(stats.length >= neighbours.length);
}

/** Asks for a container that needs the hung path, looks at the others meanwhile and after a crash, then lets go. */
async function hang(
  t: ExecutionContext,
  make: (dir: string) => { pod?: object; config: ContainerConfig },
): Promise<void> {
  const { dir, end } = await hungMount(t);
  const { pod: wish = {}, config } = make(dir);
  const [pod, other]: [Pod, Pod] = [await runPod(daemon), await runPod(daemon)];
  const neighbours = [await start(daemon, pod, containerConfig()), await start(daemon, other, containerConfig())];
  const hungPod = Object.keys(wish).length === 0 ? pod : { config: podConfig(daemon, wish), id: '' };
  if (hungPod.id === '')
    Object.assign(hungPod, { id: (await daemon.runtime.RunPodSandbox({ config: hungPod.config })).pod_sandbox_id });
  const request = { pod_sandbox_id: hungPod.id, config, sandbox_config: hungPod.config };
  const call = daemon.runtime.CreateContainer(request, { deadlineMs: 4000 });
  const failed = t.throwsAsync(call);
  await othersWork(t, neighbours);
  await failed;
  await daemon.crash();
  await othersWork(t, neighbours);
  await end();
  for (const each of new Set([pod.id, other.id, hungPod.id])) {
    await until('the pod can be removed', () =>
      daemon.removePod(each).then(
        () => true,
        () => false,
      ),
    );
  }
  t.deepEqual(await daemon.leftOfPods(), []);
}

test.serial('a mount source that hangs', (t) =>
  hang(t, (dir) => ({
    config: containerConfig({ mounts: [{ container_path: '/data', host_path: `${dir}/volume` }] }),
  })),
);

test.serial('a log path that hangs', (t) =>
  hang(t, (dir) => ({ pod: { log_directory: `${dir}/logs` }, config: containerConfig({ log_path: 'c/0.log' }) })),
);

test.serial('a device that hangs', (t) =>
  hang(t, (dir) => ({
    config: containerConfig({ devices: [{ host_path: `${dir}/dev`, container_path: '/dev/x', permissions: 'r' }] }),
  })),
);

test.serial("a checkpoint's place that hangs", async (t) => {
  const { dir, end } = await hungMount(t);
  const [pod, other] = [await runPod(daemon), await runPod(daemon)];
  const captured = await start(daemon, pod, containerConfig());
  const neighbours = [captured, await start(daemon, other, containerConfig())];
  const restore = { checkpoint_path: `${dir}/pod`, config: podConfig(daemon), container_configs: [containerConfig()] };
  const late = { deadlineMs: 4000 };
  const calls = [
    daemon.runtime.CheckpointPod(
      { pod_sandbox_id: pod.id, output_path: `${dir}/out`, container_ids: [captured] },
      late,
    ),
    daemon.runtime.RestorePod(restore, late),
  ];
  const failed = Promise.all(calls.map((call) => t.throwsAsync(call as Promise<never>, { any: true })));
  await othersWork(t, neighbours);
  await failed;
  await daemon.crash();
  await othersWork(t, neighbours);
  await end();
  await until('every pod can be removed', () =>
    daemon.removeAllPods().then(
      () => true,
      () => false,
    ),
  );
  t.deepEqual(await daemon.leftOfPods(), []);
});

endsWithoutResidue(test, daemon);
