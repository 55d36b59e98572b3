// Pods whose records are lost, at a start: they are ended however they are found, and told.
import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { PodSandboxConfig } from '../../src/proto/generated/cri/runtime/v1/PodSandboxConfig.ts';
import { cgroupDriver, cgroupExists, removeCgroupTree } from '../helpers/cgroups.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { containerConfig, exec, pull, runPod, start, type Pod } from '../helpers/pods.ts';
import { mountsOf } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';
import { killed, lives, monitorOf, processesIn } from './processes.ts';

const daemon = useDaemon(test);
/** Another pod, which must not notice. */
let other: Pod;
let witness: string;

test.before('an image and a witness', async () => {
  await pull(daemon);
  other = await runPod(daemon);
  witness = await start(daemon, other, containerConfig());
});

const doctor = (): Promise<string> => daemon.podwright('doctor').catch((error: { stdout: string }) => error.stdout);

/** Makes a record unreadable: no next and no last content beside it (docs/state.md). */
async function tear(noun: 'sandboxes' | 'containers', id: string): Promise<void> {
  const dir = join(daemon.root, noun, id);
  for (const name of ['.status.json.new', '.status.json.old']) rmSync(join(dir, name), { force: true });
  truncateSync(join(dir, 'status.json'), 10);
}

/** What a kubelet gives its pods, and its pods' cgroups as it takes them away. */
function parent(): { readonly asked: string; readonly path: string } {
  const name = randomUUID().replaceAll('-', '');
  return cgroupDriver === 'systemd'
    ? { asked: `pwtest${name}.slice`, path: `/pwtest${name}.slice` }
    : { asked: `/pwtest-${name}`, path: `/pwtest-${name}` };
}

/** Takes it away, as a kubelet does: those who were in it may not all be reaped yet. */
const takeAway = ({ asked, path }: ReturnType<typeof parent>): Promise<unknown> =>
  until('the cgroup of the kubelet can be removed', () => {
    try {
      if (cgroupDriver === 'systemd') execFileSync('systemctl', ['stop', asked]);
      else if (cgroupExists(path)) removeCgroupTree(path);
      return true;
    } catch {
      return false;
    }
  });

const ends: readonly { readonly title: string; readonly end: (monitor: number) => unknown }[] = [
  { title: 'a monitor that hangs', end: (monitor) => process.kill(monitor, 'SIGSTOP') },
  { title: 'a dead monitor', end: killed },
];
const shapes: readonly { readonly title: string; readonly parent: boolean; readonly containers: boolean }[] = [
  { title: 'in a cgroup of ours', parent: false, containers: true },
  { title: "in the kubelet's cgroup", parent: true, containers: true },
  { title: "in the kubelet's cgroup, its containers without records too", parent: true, containers: false },
];

for (const { title: how, end } of ends) {
  for (const shape of shapes) {
    test.serial(`a pod without a record and with ${how}, ${shape.title}: all of it is ended, and told`, async (t) => {
      const kubelet = shape.parent ? parent() : null;
      if (kubelet) t.teardown(() => takeAway(kubelet));
      const linux: NonNullable<PodSandboxConfig['linux']> = {
        cgroup_parent: kubelet?.asked ?? '',
        security_context: { namespace_options: { pid: 'POD' } },
      };
      const pod = await runPod(daemon, { linux });
      const id = await start(
        daemon,
        pod,
        containerConfig({ linux: { security_context: linux.security_context ?? null } }),
      );
      const monitor = monitorOf(daemon, pod.id);
      const own = processesIn(pod.id, id);
      t.true(own.length >= 2, 'the pause process and the container');
      await daemon.kill9();
      await tear('sandboxes', pod.id);
      if (!shape.containers) await tear('containers', id);
      await end(monitor);
      await daemon.start();
      await until('its monitor is gone', () => !lives(monitor));
      await until('its processes are gone', () => processesIn(pod.id, id).length === 0 && !own.some(lives));
      await until('its namespace is unpinned', () => !existsSync(join(daemon.state, 'netns', pod.id)));
      t.false(mountsOf(daemon).some((each) => each.includes(pod.id) || each.includes(id)));
      const subject = `sandbox ${pod.id.slice(0, 13)} without a record`;
      t.true((await doctor()).includes(subject), await doctor());
      t.is((await exec(daemon, witness, 'true')).code, 0);
    });
  }
}

test.serial('what the start cannot take away is named, counted, and goes by itself when it can', async (t) => {
  const stray = randomUUID().replaceAll('-', '').repeat(2);
  const held = join(daemon.state, 'sandboxes', stray, 'held');
  await daemon.stop();
  mkdirSync(held, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'podwright-test', held]);
  t.teardown(() => spawnSync('umount', [held]));
  await daemon.start();
  const subject = `sandbox ${stray.slice(0, 13)} without a record`;
  t.true((await doctor()).includes(`${subject}: the start could not end it`));
  const owed = async (): Promise<string> =>
    /^podwright_owed_leftovers (\d+)$/m.exec(await (await fetch(daemon.metricsUrl)).text())?.[1] ?? '';
  t.is(await owed(), '1');
  await until('it is tried again, in vain', async () => /tried again \d+ times: .*EBUSY/.test(await doctor()));
  execFileSync('umount', [held]);
  await until('it is gone', () => !existsSync(join(daemon.state, 'sandboxes', stray)));
  await until('it is told', async () => (await doctor()).includes(`${subject}: nobody had it any more`));
  t.is(await owed(), '0');
});

endsWithoutResidue(test, daemon);
