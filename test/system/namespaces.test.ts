// Whose processes, queues and names a container sees: pid and ipc namespaces by mode, sysctls of them.
import test from 'ava';
import { readFileSync, readlinkSync } from 'node:fs';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { exited, fails, podConfig, pull, runPod, scripted, shell, start, statusOf } from '../helpers/pods.ts';

const daemon = useDaemon(test);
test.before('an image', () => pull(daemon));

const modes = (options: { pid?: 'POD' | 'CONTAINER' | 'NODE'; ipc?: 'POD' | 'NODE' }) =>
  ({ linux: { security_context: { namespace_options: options } } }) as const;

test.serial('pid CONTAINER: each container has its own, and its command is number 1', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, scripted('exec sleep 3600'));
  t.is(await shell(daemon, id, 'tr "\\0" " " < /proc/1/cmdline'), 'sleep 3600');
  t.is(await shell(daemon, id, 'set -- /proc/[0-9]*; echo $#'), '2', 'itself and the shell that looks');
  await daemon.removePod(pod.id);
});

test.serial('pid POD: containers see each other, and number 1 reaps', async (t) => {
  const pod = await runPod(daemon, modes({ pid: 'POD' }));
  const one = await start(daemon, pod, scripted('exec sleep 1001', modes({ pid: 'POD' })));
  const two = await start(daemon, pod, scripted('exec sleep 1002', modes({ pid: 'POD' })));
  t.is(await shell(daemon, two, 'pgrep -f "[s]leep 1001" > /dev/null && echo seen'), 'seen');
  t.not(await shell(daemon, one, 'pgrep -f "[s]leep 1001"'), '1');
  await shell(daemon, one, '(setsid sh -c "sleep 0.05" &) ; sleep 0.3');
  t.is(await shell(daemon, one, 'grep -l "State:.*Z" /proc/[0-9]*/status 2>/dev/null | wc -l'), '0', 'no zombies');
  await daemon.runtime.StopContainer({ container_id: one, timeout: '0' });
  t.is((await statusOf(daemon, two)).state, 'CONTAINER_RUNNING');
  t.is(await shell(daemon, two, 'pgrep -f "[s]leep 1001" | wc -l'), '0');
  await daemon.removePod(pod.id);
});

test.serial('pid POD: the end of one container ends its own processes only', async (t) => {
  const pod = await runPod(daemon, modes({ pid: 'POD' }));
  const one = await start(daemon, pod, scripted('setsid sleep 1003 & sleep 0.1', modes({ pid: 'POD' })));
  const two = await start(daemon, pod, scripted('exec sleep 1004', modes({ pid: 'POD' })));
  await exited(daemon, one);
  t.is(
    await shell(
      daemon,
      two,
      'for n in 1 2 3 4 5; do pgrep -f "[s]leep 1003" > /dev/null || break; sleep 0.2; done; pgrep -f "[s]leep 1003" | wc -l',
    ),
    '0',
  );
  t.is(await shell(daemon, two, 'pgrep -f "[s]leep 1004" > /dev/null && echo lives'), 'lives');
  await daemon.removePod(pod.id);
});

test.serial("pid NODE: the host's processes are seen", async (t) => {
  const pod = await runPod(daemon, modes({ pid: 'NODE' }));
  const id = await start(daemon, pod, scripted('exec sleep 3600', modes({ pid: 'NODE' })));
  t.is(await shell(daemon, id, 'readlink /proc/self/ns/pid'), readlinkSync('/proc/self/ns/pid'));
  t.is(await shell(daemon, id, `test -d /proc/${daemon.pid} && echo seen`), 'seen');
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
