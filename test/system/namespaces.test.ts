// Whose processes, queues and names a container sees: pid and ipc namespaces by mode, sysctls of them.
import test from 'ava';
import { readFileSync, readlinkSync } from 'node:fs';
import type { ContainerConfig } from '../../src/proto/generated/cri/runtime/v1/ContainerConfig.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  exited,
  fails,
  podConfig,
  pull,
  runPod,
  scripted,
  shell,
  start,
  statusOf,
} from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
test.before('an image', () => pull(daemon));

const modes = (options: { pid?: 'POD' | 'CONTAINER' | 'NODE'; ipc?: 'POD' | 'NODE' }) =>
  ({ linux: { security_context: { namespace_options: options } } }) as const;

/** A container whose first process is that command from the first moment: no shell that is about to become it. */
const sleeping = (seconds: number, wish: ContainerConfig = {}): ContainerConfig =>
  containerConfig({ ...wish, command: ['sleep', String(seconds)] });

test.serial('pid CONTAINER: each container has its own, and its command is number 1', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, sleeping(3600));
  t.is(await shell(daemon, id, 'tr "\\0" " " < /proc/1/cmdline'), 'sleep 3600');
  t.is(await shell(daemon, id, 'set -- /proc/[0-9]*; echo $#'), '2', 'itself and the shell that looks');
  await daemon.removePod(pod.id);
});

test.serial('pid POD: containers see each other, and number 1 reaps', async (t) => {
  const pod = await runPod(daemon, modes({ pid: 'POD' }));
  const one = await start(daemon, pod, sleeping(1001, modes({ pid: 'POD' })));
  const two = await start(daemon, pod, sleeping(1002, modes({ pid: 'POD' })));
  t.is(await shell(daemon, two, 'pgrep -f "[s]leep 1001" > /dev/null && echo seen'), 'seen');
  t.not(await shell(daemon, one, 'pgrep -f "[s]leep 1001"'), '1');
  await shell(daemon, one, '(setsid sh -c "sleep 0.05" &) ; sleep 0.3');
  // whoever has just ended is one for a moment
  await until(
    'there are no zombies',
    async () => (await shell(daemon, one, 'grep -l "State:.*Z" /proc/[0-9]*/status 2>/dev/null | wc -l')) === '0',
  );
  await daemon.runtime.StopContainer({ container_id: one, timeout: '0' });
  t.is((await statusOf(daemon, two)).state, 'CONTAINER_RUNNING');
  t.is(await shell(daemon, two, 'pgrep -f "[s]leep 1001" | wc -l'), '0');
  await daemon.removePod(pod.id);
});

test.serial('pid POD: the end of one container ends its own processes only', async (t) => {
  const pod = await runPod(daemon, modes({ pid: 'POD' }));
  const one = await start(daemon, pod, scripted('setsid sleep 1003 & sleep 0.1', modes({ pid: 'POD' })));
  const two = await start(daemon, pod, sleeping(1004, modes({ pid: 'POD' })));
  await exited(daemon, one);
  await until('its own have ended', async () => (await shell(daemon, two, 'pgrep -f "[s]leep 1003" | wc -l')) === '0');
  t.is(await shell(daemon, two, 'pgrep -f "[s]leep 1004" > /dev/null && echo lives'), 'lives');
  await daemon.removePod(pod.id);
});

test.serial("pid NODE: the host's processes are seen", async (t) => {
  const pod = await runPod(daemon, modes({ pid: 'NODE' }));
  const id = await start(daemon, pod, sleeping(3600, modes({ pid: 'NODE' })));
  t.is(await shell(daemon, id, 'readlink /proc/self/ns/pid'), readlinkSync('/proc/self/ns/pid'));
  t.is(await shell(daemon, id, `test -d /proc/${daemon.pid} && echo seen`), 'seen');
  await daemon.removePod(pod.id);
});

const joining = (target_id: string) =>
  ({ linux: { security_context: { namespace_options: { pid: 'TARGET', target_id } } } }) as const;

test.serial("pid TARGET: another container's processes are seen, and end with it", async (t) => {
  const pod = await runPod(daemon);
  const target = await start(daemon, pod, scripted('sleep 1005 & exec sleep 1006'));
  await until('both run', async () => {
    const said = await shell(daemon, target, 'tr "\\0" " " < /proc/1/cmdline; pgrep -f "^[s]leep 1005"');
    return /^sleep 1006\s+\d+$/.test(said);
  });
  const debug = await start(daemon, pod, sleeping(1007, joining(target)));
  const ns = 'readlink /proc/self/ns/pid';
  t.is(await shell(daemon, debug, ns), await shell(daemon, target, ns));
  t.is(await shell(daemon, debug, 'tr "\\0" " " < /proc/1/cmdline'), 'sleep 1006');
  t.is(await shell(daemon, debug, 'pgrep -f "[s]leep 1005" > /dev/null && echo seen'), 'seen');
  t.is(await shell(daemon, target, 'pgrep -f "[s]leep 1007" > /dev/null && echo seen'), 'seen');
  t.not(
    await shell(daemon, debug, 'readlink /proc/self/ns/mnt'),
    await shell(daemon, target, 'readlink /proc/1/ns/mnt'),
  );
  const second = await start(daemon, pod, sleeping(1008, joining(debug)));
  t.is(await shell(daemon, second, ns), await shell(daemon, target, ns), 'the target of a target');
  await daemon.runtime.StopContainer({ container_id: debug, timeout: '0' });
  t.is((await statusOf(daemon, target)).state, 'CONTAINER_RUNNING');
  await daemon.runtime.StopContainer({ container_id: target, timeout: '0' });
  t.is((await exited(daemon, second)).exit_code, 137, 'the kernel ends what is left of a pid namespace');
  await daemon.removePod(pod.id);
});

test.serial("pid TARGET: a target in the pod's or the host's pid namespace is joined there", async (t) => {
  for (const pid of ['POD', 'NODE'] as const) {
    const pod = await runPod(daemon, modes({ pid }));
    const target = await start(daemon, pod, sleeping(1009, modes({ pid })));
    const debug = await start(daemon, pod, sleeping(1010, joining(target)));
    const ns = 'readlink /proc/self/ns/pid';
    t.is(await shell(daemon, debug, ns), await shell(daemon, target, ns));
    t.is(await shell(daemon, debug, 'pgrep -f "[s]leep 1009" > /dev/null && echo seen'), 'seen');
    await daemon.runtime.StopContainer({ container_id: target, timeout: '0' });
    t.is((await statusOf(daemon, debug)).state, 'CONTAINER_RUNNING', 'that namespace lives on');
    await daemon.removePod(pod.id);
  }
});

test.serial('pid TARGET: what cannot be joined is refused and leaves nothing', async (t) => {
  const [pod, other] = [await runPod(daemon), await runPod(daemon)];
  const elsewhere = await start(daemon, other, sleeping(3600));
  const made = await create(daemon, pod, sleeping(3600));
  const ended = await start(daemon, pod, scripted('true'));
  await exited(daemon, ended);
  const hidden = await start(daemon, pod, sleeping(3600));
  const table = [
    [elsewhere, 'INVALID_ARGUMENT', /in another pod/],
    [made, 'FAILED_PRECONDITION', /is created, not running/],
    [ended, 'FAILED_PRECONDITION', /is exited, not running/],
    ['f'.repeat(64), 'NOT_FOUND', /does not exist/],
    ['', 'INVALID_ARGUMENT', /target_id is empty/],
  ] as const;
  for (const [id, code, message] of table) {
    await fails(t, create(daemon, pod, scripted('true', joining(id))), { code, message });
  }
  const { containers } = await daemon.runtime.ListContainers({ filter: { pod_sandbox_id: pod.id } });
  t.deepEqual(new Set(containers.map(({ id }) => id)), new Set([made, ended, hidden]));
  await Promise.all([pod, other].map(({ id }) => daemon.removePod(id)));
});

test.serial('pid TARGET: a target that put something else on /proc is not joined', async (t) => {
  const privileged = { linux: { security_context: { privileged: true } } } as const;
  const pod = await runPod(daemon, privileged);
  const target = await start(daemon, pod, scripted('mount -t tmpfs x /proc; exec sleep 3600', privileged));
  await until('it has done so', async () => (await shell(daemon, target, 'ls /proc')) === '');
  await fails(t, create(daemon, pod, scripted('true', joining(target))), {
    code: 'INVALID_ARGUMENT',
    message: /does not show that namespace any more/,
  });
  await daemon.removePod(pod.id);
});

test.serial("ipc POD: queues and memory are the pod's; NODE: the host's", async (t) => {
  const own = await runPod(daemon);
  const [one, two] = [
    await start(daemon, own, scripted('sleep 3600')),
    await start(daemon, own, scripted('sleep 3600')),
  ];
  const ns = 'readlink /proc/self/ns/ipc';
  t.is(await shell(daemon, one, ns), await shell(daemon, two, ns));
  t.not(await shell(daemon, one, ns), readlinkSync('/proc/self/ns/ipc'));
  t.is(await shell(daemon, one, 'df -m /dev/shm | tail -1 | awk "{print \\$2}"'), '64');
  const host = await runPod(daemon, modes({ ipc: 'NODE' }));
  const id = await start(daemon, host, scripted('sleep 3600', modes({ ipc: 'NODE' })));
  t.is(await shell(daemon, id, ns), readlinkSync('/proc/self/ns/ipc'));
  await Promise.all([own, host].map((pod) => daemon.removePod(pod.id)));
});

test.serial("names are the pod's own: a container may not change the host's", async (t) => {
  const pod = await runPod(daemon, { hostname: 'own-name' });
  const id = await start(daemon, pod, scripted('sleep 3600'));
  t.is(await shell(daemon, id, 'hostname'), 'own-name');
  t.not(await shell(daemon, id, 'readlink /proc/self/ns/uts'), readlinkSync('/proc/self/ns/uts'));
  t.regex(await shell(daemon, id, 'hostname other 2>&1'), /not permitted/);
  await daemon.removePod(pod.id);
});

test.serial('sysctls of the ipc namespace are set in the pod alone', async (t) => {
  const file = '/proc/sys/kernel/shm_rmid_forced';
  const before = readFileSync(file, 'utf8');
  const pod = await runPod(daemon, {
    linux: { sysctls: { 'kernel.shm_rmid_forced': '1', 'kernel.msgmax': '4096', 'fs.mqueue.msg_max': '11' } },
  });
  const id = await start(daemon, pod, scripted('sleep 3600'));
  t.is(await shell(daemon, id, `cat ${file} /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max`), '1\n4096\n11');
  t.is(readFileSync(file, 'utf8'), before);
  await daemon.removePod(pod.id);
});

test.serial("a sysctl that is not the pod's to set is refused and leaves nothing", async (t) => {
  for (const sysctls of [{ 'vm.swappiness': '1' }, { 'kernel.../x': '1' }]) {
    await fails(t, daemon.runtime.RunPodSandbox({ config: podConfig(daemon, { linux: { sysctls } as never }) }), {
      code: 'INVALID_ARGUMENT',
      message: /sysctls/,
    });
  }
  const wrong = { linux: { sysctls: { 'net.no.such': '1' } } };
  await t.throwsAsync(runPod(daemon, wrong), { message: /net\.no\.such/ });
  t.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);
  t.deepEqual(await daemon.leftOfPods(), []);
});

endsWithoutResidue(test, daemon);
