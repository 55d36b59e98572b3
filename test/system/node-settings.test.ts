// Settings of the node that change what every container gets: owners of devices, devices of privileged ones, parameters.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { output, pull, runPod, scripted, shell, start } from '../helpers/pods.ts';

const settings = [
  'container.device_ownership_from_security_context=true',
  'container.privileged_without_host_devices=true',
  'container.default_sysctls=net.core.somaxconn=77,kernel.msgmax=4242',
];
const daemon = useDaemon(test, { flags: settings.map((each) => `--set=${each}`) });
test.before('an image', () => pull(daemon));

test.serial('devices that are asked for belong to whom the container asks to run as', async (t) => {
  const pod = await runPod(daemon);
  const node = join(daemon.dir, 'node');
  execFileSync('mknod', ['-m', '600', node, 'c', '1', '5']);
  const config = (security_context: object) => ({
    ...scripted('stat -c "%u %g %a" /dev/own; head -c1 /dev/own | wc -c', { linux: { security_context } }),
    devices: [{ host_path: node, container_path: '/dev/own', permissions: 'rw' }],
  });
  const user = { run_as_user: { value: '1000' }, run_as_group: { value: '7' } };
  t.is((await output(daemon, pod, config(user))).stdout, '1000 7 600\n1\n');
  t.is((await output(daemon, pod, config({}))).stdout, '0 0 600\n1\n');
  await daemon.removePod(pod.id);
});

test.serial('a privileged container has only the devices that it asks for', async (t) => {
  const security_context = { privileged: true };
  const pod = await runPod(daemon, { linux: { security_context } });
  const script =
    'ls /dev/mem /dev/kmsg 2>&1 | grep -c "No such"; mknod /tmp/kmsg c 1 11; (head -c1 /tmp/kmsg) 2>&1 | tail -1';
  const { stdout } = await output(daemon, pod, scripted(script, { linux: { security_context } }));
  t.regex(stdout, /^2\n.*Operation not permitted\n$/);
  await daemon.removePod(pod.id);
});

test.serial("parameters of the node are each pod's unless it sets them, and never the host's", async (t) => {
  const read = 'cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax';
  const before = execFileSync('sh', ['-c', read]).toString();
  for (const [wish, expected] of [
    [{}, '77\n4242'],
    [{ sysctls: { 'net.core.somaxconn': '33' } }, '33\n4242'],
    [{ security_context: { namespace_options: { network: 'NODE', ipc: 'NODE' } } }, before.trim()],
  ] as const) {
    const pod = await runPod(daemon, { linux: wish });
    const id = await start(daemon, pod, scripted('exec sleep 3600', { linux: 'security_context' in wish ? wish : {} }));
    t.is(await shell(daemon, id, read), expected);
    await daemon.removePod(pod.id);
  }
  t.is(execFileSync('sh', ['-c', read]).toString(), before);
});

endsWithoutResidue(test, daemon);
