// What callers get wrong: the code, the field that is named, and that nothing comes of it.
import test from 'ava';
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
  start,
  type Pod,
  statusOf,
} from '../helpers/pods.ts';

const daemon = useDaemon(test);
const nobody = 'f'.repeat(64);
let pod: Pod;
let running: string;
let ended: string;

test.before('a pod with a container that runs and one that has ended', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
  running = await start(daemon, pod, containerConfig());
  ended = await start(daemon, pod, scripted('exit 0'));
  await exited(daemon, ended);
});

test.serial('an id that nobody has is NOT_FOUND', async (t) => {
  const { runtime } = daemon;
  const calls = {
    podSandboxStatus: runtime.PodSandboxStatus({ pod_sandbox_id: nobody }),
    podSandboxStats: runtime.PodSandboxStats({ pod_sandbox_id: nobody }),
    createContainer: runtime.CreateContainer({ pod_sandbox_id: nobody, config: containerConfig() }),
    startContainer: runtime.StartContainer({ container_id: nobody }),
    containerStatus: runtime.ContainerStatus({ container_id: nobody }),
    containerStats: runtime.ContainerStats({ container_id: nobody }),
    updateContainerResources: runtime.UpdateContainerResources({ container_id: nobody, linux: { cpu_shares: '2' } }),
    reopenContainerLog: runtime.ReopenContainerLog({ container_id: nobody }),
    execSync: runtime.ExecSync({ container_id: nobody, cmd: ['true'] }),
  };
  for (const call of Object.values(calls)) await fails(t, call, { code: 'NOT_FOUND', message: /f{12}/ });
});

test.serial('stopping and removing what is not there is OK, and lists of it are empty', async (t) => {
  const { runtime, image } = daemon;
  await runtime.StopPodSandbox({ pod_sandbox_id: nobody });
  await runtime.RemovePodSandbox({ pod_sandbox_id: nobody });
  await runtime.StopContainer({ container_id: nobody, timeout: '1' });
  await runtime.RemoveContainer({ container_id: nobody });
  await image.RemoveImage({ image: { image: 'nobody/has:this' } });
  t.deepEqual((await runtime.ListContainers({ filter: { id: nobody } })).containers, []);
  t.deepEqual((await runtime.ListPodSandbox({ filter: { id: nobody } })).items, []);
  t.is((await image.ImageStatus({ image: { image: 'nobody/has:this' } })).image, null);
});

test.serial('a sandbox config that is wrong is INVALID_ARGUMENT and names the field', async (t) => {
  const config = podConfig(daemon);
  const linux = config.linux ?? {};
  const cases: [RegExp, object | null][] = [
    [/config is missing|config/, null],
    [/metadata/, { ...config, metadata: null }],
    [/metadata\.name/, { ...config, metadata: { ...config.metadata, name: '' } }],
    [/metadata\.namespace/, { ...config, metadata: { ...config.metadata, namespace: '' } }],
    [/metadata\.uid/, { ...config, metadata: { ...config.metadata, uid: '' } }],
    [/log_directory/, { ...config, log_directory: 'relative' }],
    [/hostname/, { ...config, hostname: 'h'.repeat(65) }],
    [/port_mappings\[0\]/, { ...config, port_mappings: [{ protocol: 'TCP', container_port: 80, host_port: 70000 }] }],
    [/port_mappings\[0\]\.container_port/, { ...config, port_mappings: [{ container_port: 0, host_port: 8080 }] }],
    [/cgroup_parent/, { ...config, linux: { ...linux, cgroup_parent: '/a/../../b' } }],
    [
      /sysctls.*kernel\.hostname|kernel\.hostname/,
      { ...config, linux: { ...linux, sysctls: { 'kernel.hostname': 'x' } } },
    ],
    [/windows/, { ...config, linux: null, windows: {} }],
    [
      /run_as_group/,
      { ...config, linux: { ...linux, security_context: { ...linux.security_context, run_as_group: { value: '1' } } } },
    ],
    [/network/, { ...config, linux: { ...linux, security_context: { namespace_options: { network: 'CONTAINER' } } } }],
  ];
  for (const [message, wrong] of cases) {
    await fails(t, daemon.runtime.RunPodSandbox({ config: wrong as never }), { code: 'INVALID_ARGUMENT', message });
  }
  const handler = daemon.runtime.RunPodSandbox({ config, runtime_handler: 'kata' });
  await fails(t, handler, { code: 'INVALID_ARGUMENT', message: /runtime_handler.*kata/ });
  t.is((await daemon.runtime.ListPodSandbox({})).items.length, 1);
});

test.serial('a container config that is wrong is INVALID_ARGUMENT and names the field', async (t) => {
  const security = (wish: object): object => ({ linux: { security_context: wish } });
  const cases: [RegExp, object][] = [
    [/metadata\.name/, { metadata: { name: '', attempt: 0 } }],
    [/image/, { image: null }],
    [/image\.image/, { image: { image: '' } }],
    [/log_path/, { log_path: '/absolute.log' }],
    [/log_path/, { log_path: '../up.log' }],
    [/envs\[0\]\.key/, { envs: [{ key: 'A=B', value: '' }] }],
    [/mounts\[0\]\.container_path/, { mounts: [{ container_path: '', host_path: '/tmp' }] }],
    [/mounts\[0\]\.host_path/, { mounts: [{ container_path: '/x', host_path: '' }] }],
    [/recursive_read_only/, { mounts: [{ container_path: '/x', host_path: '/tmp', recursive_read_only: true }] }],
    [/devices\[0\]\.permissions/, { devices: [{ host_path: '/dev/null', permissions: 'rwx' }] }],
    [
      /run_as_user.*run_as_username|run_as_username/,
      security({ run_as_user: { value: '1' }, run_as_username: 'root' }),
    ],
    [/run_as_group/, security({ run_as_group: { value: '1' } })],
    [/capabilities.*NO_SUCH/, security({ capabilities: { add_capabilities: ['NO_SUCH'] } })],
    [/localhost_ref/, security({ seccomp: { profile_type: 'Localhost', localhost_ref: '' } })],
    [/cpuset_cpus|cpuset/, { linux: { resources: { cpuset_cpus: 'none' } } }],
  ];
  for (const [message, wish] of cases) {
    await fails(t, create(daemon, pod, containerConfig(wish as never)), { code: 'INVALID_ARGUMENT', message });
  }
  const update = daemon.runtime.UpdateContainerResources({ container_id: running, windows: {} });
  await fails(t, update, { code: 'INVALID_ARGUMENT', message: /linux|windows/ });
  await fails(t, daemon.runtime.ExecSync({ container_id: running, cmd: [] }), {
    code: 'INVALID_ARGUMENT',
    message: /cmd/,
  });
  await fails(t, daemon.runtime.ExecSync({ container_id: running, cmd: ['true'], timeout: '-1' }), {
    code: 'INVALID_ARGUMENT',
    message: /timeout/,
  });
  const { containers } = await daemon.runtime.ListContainers({});
  t.is(containers.length, 2);
});

test.serial('an image that is not there is NOT_FOUND and says what to do', async (t) => {
  const config = containerConfig({ image: { image: 'registry.invalid/not/pulled:1' } });
  await fails(t, create(daemon, pod, config), { code: 'NOT_FOUND', message: /registry\.invalid\/not\/pulled:1.*pull/ });
});

test.serial('a call in the wrong state is FAILED_PRECONDITION', async (t) => {
  const { runtime } = daemon;
  const created = await create(daemon, pod, containerConfig());
  await fails(t, runtime.StartContainer({ container_id: running }), {
    code: 'FAILED_PRECONDITION',
    message: /running/,
  });
  await fails(t, runtime.StartContainer({ container_id: ended }), { code: 'FAILED_PRECONDITION', message: /exited/ });
  for (const id of [created, ended]) {
    await fails(t, runtime.ExecSync({ container_id: id, cmd: ['true'] }), { code: 'FAILED_PRECONDITION' });
    await fails(t, runtime.ReopenContainerLog({ container_id: id }), { code: 'FAILED_PRECONDITION' });
  }
  const update = runtime.UpdateContainerResources({ container_id: ended, linux: { cpu_shares: '2' } });
  await fails(t, update, { code: 'FAILED_PRECONDITION' });
  const privileged = containerConfig({ linux: { security_context: { privileged: true } } });
  await fails(t, create(daemon, pod, privileged), { code: 'FAILED_PRECONDITION', message: /privileged/ });
  await runtime.RemoveContainer({ container_id: created });
});

test.serial('the same name and attempt again is ALREADY_EXISTS with the id', async (t) => {
  const config = containerConfig();
  const id = await create(daemon, pod, config);
  await fails(t, create(daemon, pod, config), { code: 'ALREADY_EXISTS', message: new RegExp(id) });
  const other = { ...config, working_dir: '/elsewhere' };
  await fails(t, create(daemon, pod, other), { code: 'ALREADY_EXISTS', message: /workingDir|working_dir/ });
  await daemon.runtime.RemoveContainer({ container_id: id });
  const again = await create(daemon, pod, config);
  t.not(again, id);
  await daemon.runtime.RemoveContainer({ container_id: again });
});

test.serial('what is an answer’s field alone changes nothing in a request', async (t) => {
  const config = containerConfig();
  const id = await create(daemon, pod, { ...config, image: { ...config.image, image_ref: 'x' } });
  t.not((await statusOf(daemon, id)).image_ref, 'x');
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('a request that fails leaves the pod as it was', async (t) => {
  const { containers } = await daemon.runtime.ListContainers({ filter: { pod_sandbox_id: pod.id } });
  t.deepEqual(new Set(containers.map(({ id }) => id)), new Set([running, ended]));
});

endsWithoutResidue(test, daemon);
