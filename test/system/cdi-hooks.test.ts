// Hooks of CDI devices: when and where each kind is run, what it is told, and what comes of one that fails or hangs.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { HookKind } from '../../src/oci/types.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  create,
  exec,
  exited,
  fails,
  output,
  pidOf,
  type Pod,
  podConfig,
  pull,
  runPod,
  scripted,
  start,
  statusOf,
} from '../helpers/pods.ts';
import { handlersConfig, missing, runtimes } from '../helpers/runtimes.ts';
import { until } from '../helpers/until.ts';

const dir = mkdtempSync('/tmp/pwt-hooks-');
const [specs, out, script] = [join(dir, 'cdi'), join(dir, 'out'), join(dir, 'hook')];
const handlers = handlersConfig();
const daemon = useDaemon(test, { flags: [`--config=${handlers.file}`, `--cdi-spec-dirs=${specs}`] });
let pod: Pod;

/** What a hook says of itself, a line each: what it read, its namespaces, directory, user, OOM score and environment. */
const tell = [
  'cat; echo',
  ...['net', 'ipc', 'uts', 'mnt', 'pid'].map((kind) => `readlink /proc/self/ns/${kind}`),
  'pwd; id -u; cat /proc/self/oom_score_adj; env | sort | tr "\\n" " "; echo',
].join('; ');

test.before('a pod, and a hook', async () => {
  for (const path of [specs, out]) mkdirSync(path);
  // $1: the name of what it writes; $2: a script
  writeFileSync(script, `#!/bin/sh\nname=$1\n{ ${tell}; } > ${out}/$1.new\nmv ${out}/$1.new ${out}/$1\n`, {
    mode: 0o755,
  });
  writeFileSync(script, `echo $1 >> ${out}/order\neval "$2"\n`, { flag: 'a' });
  await pull(daemon);
  pod = await runPod(daemon);
});
test.beforeEach('nothing has been told', () => {
  rmSync(out, { recursive: true });
  mkdirSync(out);
});
test.after.always('the hooks go', () => {
  for (const each of [dir, handlers.dir]) rmSync(each, { recursive: true });
});

interface Hook {
  readonly kind: HookKind;
  readonly name?: string;
  readonly does?: string;
  readonly timeout?: number;
}

/** A command that does not end, and tells this test's from all others. */
const endless = `sleep 3600.${process.pid}`;

/** Processes of that command. */
const endlessOnes = (): string[] =>
  readdirSync('/proc').filter((name) => {
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'latin1').startsWith(endless.replace(' ', '\0'));
    } catch {
      return false; // no process, or none any more
    }
  });

/** Who was killed shows its command until it is gone, which on a busy machine takes its time. */
const noEndlessOnes = (): boolean => endlessOnes().length === 0;

/** Whether the daemon has been told that a hook was ended with its container. */
const wasKilled = (kind: HookKind): boolean =>
  new RegExp(`${kind} hook \\S+ was killed, because its container or its pod is ended`).test(
    readFileSync(daemon.logFile, 'utf8'),
  );

let serial = 0;

/** A device with these hooks, as a container asks for it. */
function hooked(...hooks: readonly Hook[]) {
  const device = `d${(serial += 1)}`;
  const list = hooks.map(({ kind, name = kind, does = '', timeout }) => ({
    hookName: kind,
    path: kind === 'startContainer' ? '/bin/sh' : script,
    args: kind === 'startContainer' ? ['sh', '-c', does] : ['hook', name, does],
    env: ['PATH=/bin:/usr/bin', 'A=b c'],
    ...(timeout === undefined ? {} : { timeout }),
  }));
  const containerEdits = { hooks: list };
  const spec = { cdiVersion: '0.6.0', kind: 'vendor.example/hook', devices: [{ name: device, containerEdits }] };
  writeFileSync(join(specs, `${device}.json`), JSON.stringify(spec));
  return { CDI_devices: [{ name: `vendor.example/hook=${device}` }] };
}

const order = (): string[] => readFileSync(join(out, 'order'), 'utf8').trim().split('\n');

/** What a hook has said. */
function told(name: string, text = readFileSync(join(out, name), 'utf8')) {
  const [state = '', net, ipc, uts, mnt, pid, cwd, uid, score, env = ''] = text.split('\n');
  return { state: JSON.parse(state) as Record<string, unknown>, net, ipc, uts, mnt, pid, cwd, uid, score, env };
}

const namespaces = (of: number, ...kinds: string[]) =>
  Object.fromEntries(kinds.map((kind) => [kind, readlinkSync(`/proc/${of}/ns/${kind}`)]));

const remove = (id: string) => daemon.runtime.RemoveContainer({ container_id: id });

test.serial('CDI hooks: each kind in its order, in its namespaces, with the state of its moment', async (t) => {
  const kinds = ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'] as const;
  const wish = hooked(
    ...[...kinds].reverse().map((kind) => ({ kind })),
    { kind: 'createRuntime', name: 'createRuntime-2' },
    { kind: 'startContainer', does: `{ ${tell}; } > /tmp/told` },
  );
  const config = scripted('sleep 3600', {
    ...wish,
    linux: { security_context: { run_as_user: { value: '1000' } } },
  });
  const id = await create(daemon, pod, config);
  t.deepEqual(order(), ['prestart', 'createRuntime', 'createRuntime-2', 'createContainer']);
  await daemon.runtime.StartContainer({ container_id: id });
  t.deepEqual(order().slice(4), ['poststart']);
  const pid = await pidOf(daemon, id);
  const inside = told('', (await exec(daemon, id, 'cat', '/tmp/told')).stdout);
  for (const [name, status] of [
    ['prestart', 'creating'],
    ['createRuntime', 'creating'],
    ['poststart', 'running'],
  ] as const) {
    const { state, env, ...rest } = told(name);
    t.like(state, { ociVersion: '1.2.0', id, status, pid }, name);
    t.is((state['annotations'] as Record<string, string>)['io.kubernetes.cri.sandbox-id'], pod.id);
    const where = namespaces(daemon.pid, 'net', 'ipc', 'uts', 'mnt', 'pid');
    const as = { cwd: state['bundle'] as string, uid: '0', score: '0' };
    t.deepEqual(rest, { ...where, ...as } as typeof rest, `${name}: not what a monitor is`);
    t.regex(env, /A=b c.*PATH=\/bin:\/usr\/bin/);
    t.notRegex(env, /HOME=/, 'nothing of the daemon’s environment');
  }
  const created = told('createContainer');
  t.like(created.state, { id, status: 'creating', pid: 1 });
  t.like(created, namespaces(pid, 'net', 'ipc', 'uts', 'mnt', 'pid'), 'the namespaces of the container');
  t.not(created.mnt, readlinkSync(`/proc/${daemon.pid}/ns/mnt`));
  t.is(created.uid, '0');
  t.like(inside.state, { id, status: 'created', pid: 1 });
  t.like(inside, { ...namespaces(pid, 'net', 'ipc', 'uts', 'mnt', 'pid'), cwd: '/', uid: '1000' }, 'as its user');
  t.regex(inside.env, /^A=b c/);
  t.false(existsSync(join(out, 'poststop')));

  await remove(id);
  t.like(told('poststop').state, { id, status: 'stopped' });
  t.false('pid' in told('poststop').state);
  t.is(told('poststop').score, '0');
  t.deepEqual(order().slice(5), ['poststop']);
});

test.serial('a createContainer hook finds the root file system where the bundle says, and changes it', async (t) => {
  const does = `grep -q '"path": *"rootfs"' config.json && echo hooked > rootfs/hooked && ls rootfs/proc/1 > /dev/null`;
  const { stdout } = await output(daemon, pod, scripted('cat /hooked', hooked({ kind: 'createContainer', does })));
  t.is(stdout, 'hooked\n');
});

test.serial('a hook that fails fails the creation or the start, with its own words', async (t) => {
  const does = 'echo there is no gpu >&2; exit 3';
  const why = (kind: string) => new RegExp(`${kind} hook \\S+ ended with code 3: there is no gpu`);
  for (const kind of ['prestart', 'createRuntime', 'createContainer'] as const) {
    const wish = { ...hooked({ kind, does }, { kind: 'poststop' }), metadata: { name: 'again', attempt: 0 } };
    await fails(t, create(daemon, pod, scripted('true', wish)), { code: 'FAILED_PRECONDITION', message: why(kind) });
    t.is(told('poststop').state['status'], 'stopped', `${kind}: what was begun is cleared after`);
    rmSync(join(out, 'poststop'));
  }
  for (const kind of ['startContainer', 'poststart'] as const) {
    const id = await create(daemon, pod, scripted('sleep 3600', hooked({ kind, does }, { kind: 'poststop' })));
    const message = why(kind);
    await fails(t, daemon.runtime.StartContainer({ container_id: id }), { code: 'FAILED_PRECONDITION', message });
    const status = await exited(daemon, id);
    t.like(status, { reason: 'StartError', exit_code: 128 });
    t.regex(status.message, message);
    await remove(id);
    t.true(existsSync(join(out, 'poststop')));
    rmSync(join(out, 'poststop'));
  }
});

test.serial('a poststop hook that fails is logged, and the next one is run', async (t) => {
  const hooks = [
    { kind: 'poststop', name: 'first', does: 'echo never mind; exit 1' },
    { kind: 'poststop', name: 'second' },
  ] as const;
  const { status } = await output(daemon, pod, scripted('exit 7', hooked(...hooks)));
  t.is(status.exit_code, 7);
  t.deepEqual(order(), ['first', 'second']);
  await until('the failure is in the log', () =>
    /"containerId":"\w+".*poststop hook \S+ ended with code 1: never mind/.test(readFileSync(daemon.logFile, 'utf8')),
  );
});

test.serial('a hook that hangs is killed at its timeout', async (t) => {
  // the container's own sleep knows no fractions
  const hang = (kind: HookKind) =>
    hooked({ kind, does: `${kind === 'startContainer' ? 'sleep 3600' : endless} & wait`, timeout: 1 });
  for (const kind of ['createRuntime', 'createContainer'] as const)
    await fails(t, create(daemon, pod, scripted('true', hang(kind))), {
      code: 'FAILED_PRECONDITION',
      message: new RegExp(`${kind} hook \\S+ did not end within 1 s and was killed`),
    });
  for (const kind of ['startContainer', 'poststart'] as const) {
    const id = await create(daemon, pod, scripted('sleep 3600', hang(kind)));
    await fails(t, daemon.runtime.StartContainer({ container_id: id }), {
      code: 'FAILED_PRECONDITION',
      message: /did not end within 1 s and was killed/,
    });
    await remove(id);
  }
  const id = await start(daemon, pod, scripted('true', hang('poststop')));
  t.is((await exited(daemon, id)).exit_code, 0, 'the end is told without it');
  await remove(id);
  await until('the hooks are gone', noEndlessOnes);
});

test.serial(
  'while a hook runs the pod’s other containers are served, and a removal does not wait for ever',
  async (t) => {
    const other = await start(daemon, pod, scripted('sleep 3600'));
    const gate = join(out, 'gate');
    const wish = hooked(
      { kind: 'createRuntime', does: `while ! [ -e ${gate} ]; do sleep 0.1; done` },
      { kind: 'poststop', does: `${endless} & wait` },
    );
    const creating = create(daemon, pod, scripted('sleep 3600', wish));
    await until('the hook runs', () => existsSync(join(out, 'createRuntime')));
    t.is((await exec(daemon, other, 'echo', 'served')).stdout, 'served\n');
    writeFileSync(gate, '');
    const id = await creating;
    await daemon.runtime.StartContainer({ container_id: id });
    await remove(id);
    await until('the removal has ended the hook', noEndlessOnes);
    await until('and not the other way round', () => wasKilled('poststop'));
    await fails(t, statusOf(daemon, id), { code: 'NOT_FOUND' });
    t.true(existsSync(join(out, 'poststop')));
    await remove(other);
  },
);

test.serial(
  'a creation that failed does not wait for ever for its poststop hooks, and they have its bundle',
  async (t) => {
    const watch = `while :; do [ -e config.json ] || touch ${out}/gone; sleep 0.02; done`;
    const wish = hooked(
      { kind: 'createRuntime', does: 'echo there is no gpu >&2; exit 3' },
      { kind: 'poststop', does: `${watch} & ${endless} & wait` },
    );
    const failure = { code: 'FAILED_PRECONDITION', message: /createRuntime hook \S+ ended with code 3/ } as const;
    await fails(t, create(daemon, pod, scripted('true', wish)), failure);
    await until('the hook is ended', noEndlessOnes);
    t.true(existsSync(join(out, 'poststop')));
    t.false(existsSync(join(out, 'gone')));
  },
);

test.serial('a stop does not wait for poststart hooks: they end with the container', async (t) => {
  for (const timeout of [0, 3600]) {
    const wish = hooked(
      { kind: 'poststart', name: `poststart-${timeout}`, does: `${endless} & wait` },
      { kind: 'poststop', name: `poststop-${timeout}` },
    );
    // one that ends by itself when it is told to, and says that it can
    const says = `trap "exit 7" TERM; touch /out/ready-${timeout}; while :; do sleep 0.1; done`;
    const mounts = [{ container_path: '/out', host_path: out }];
    const id = await create(daemon, pod, scripted(says, { ...wish, mounts }));
    const starting = t.throwsAsync(daemon.runtime.StartContainer({ container_id: id }), { message: /was stopped/ });
    await until('the hook runs', () => endlessOnes().length > 0);
    await until('its handler is set', () => existsSync(join(out, `ready-${timeout}`)));
    await daemon.runtime.StopContainer({ container_id: id, timeout });
    await starting;
    await until('what the hook has started ends too', noEndlessOnes);
    t.like(await exited(daemon, id), { reason: 'Error', exit_code: timeout === 0 ? 137 : 7 });
    await remove(id);
    t.deepEqual(order().slice(-2), [`poststart-${timeout}`, `poststop-${timeout}`]);
  }
});

test.serial('a removal ends a container that is being started, with its hooks', async (t) => {
  const wish = hooked({ kind: 'poststart', does: `${endless} & wait` });
  const id = await create(daemon, pod, scripted('sleep 3600', wish));
  // it has run, and then it is gone: which of the two the start tells is open
  const starting = Promise.allSettled([daemon.runtime.StartContainer({ container_id: id })]);
  await until('the hook runs', () => endlessOnes().length > 0);
  await remove(id);
  await starting;
  await until('the hook is ended', noEndlessOnes);
  await fails(t, statusOf(daemon, id), { code: 'NOT_FOUND' });
});

test.serial('a pod that is stopped while a hook hangs goes', async (t) => {
  const doomed = await runPod(daemon);
  const creating = create(
    daemon,
    doomed,
    scripted('true', hooked({ kind: 'createRuntime', does: `${endless} & wait` })),
  );
  const failed = t.throwsAsync(creating, { any: true });
  await until('the hook runs', () => existsSync(join(out, 'createRuntime')));
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: doomed.id });
  await failed;
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: doomed.id });
  await until('what the hook has started ends with it', noEndlessOnes);
});

test.serial(
  'in a pod with a user namespace hooks that need the bundle are refused by name, others are run',
  async (t) => {
    const ids = [{ container_id: 0, host_id: 300_000, length: 65_536 }];
    const options = { userns_options: { mode: 'POD', uids: ids, gids: ids } } as const;
    const linux = { security_context: { namespace_options: options } };
    const mapped = await runPod(daemon, { linux });
    for (const kind of ['prestart', 'createRuntime', 'createContainer'] as const)
      await fails(t, create(daemon, mapped, scripted('true', { ...hooked({ kind }), linux })), {
        code: 'UNIMPLEMENTED',
        message: new RegExp(`${kind} hook \\S+ in a pod with a user namespace`),
      });
    const wish = hooked({ kind: 'startContainer', does: 'id -u > /told' }, { kind: 'poststart' }, { kind: 'poststop' });
    const { stdout } = await output(daemon, mapped, scripted('cat /told', { ...wish, linux }));
    t.is(stdout, '0\n');
    t.deepEqual(order(), ['poststart', 'poststop']);
  },
);

const runc = runtimes.find(({ name }) => name === 'runc');
if (runc?.path === null) test.skip(`runc runs hooks by itself ${missing(runc)}`, (t) => void t.fail());
else
  test.serial('runc runs hooks by itself', async (t) => {
    const config = podConfig(daemon);
    const { pod_sandbox_id } = await daemon.runtime.RunPodSandbox({ config, runtime_handler: 'runc' });
    const other = { id: pod_sandbox_id, config };
    const kinds = ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'] as const;
    const wish = hooked(...kinds.map((kind) => ({ kind })), { kind: 'startContainer', does: 'echo hooked > /told' });
    const { stdout } = await output(daemon, other, scripted('cat /told', wish));
    t.is(stdout, 'hooked\n');
    t.deepEqual(order(), kinds);
    const where = { ...namespaces(daemon.pid, 'net', 'ipc', 'uts', 'pid'), score: '0' };
    for (const kind of ['prestart', 'createRuntime', 'poststart', 'poststop'] as const) t.like(told(kind), where, kind);
    const failing = hooked({ kind: 'createContainer', does: 'echo there is no gpu; exit 3' });
    await t.throwsAsync(create(daemon, other, scripted('true', failing)), { message: /hook/ });
    const hanging = scripted('true', hooked({ kind: 'createRuntime', does: `${endless} & wait` }));
    const creating = t.throwsAsync(create(daemon, other, hanging), { any: true });
    await until('the hook runs', () => endlessOnes().length > 0);
    await daemon.runtime.StopPodSandbox({ pod_sandbox_id: other.id });
    await creating;
    await until('what the hook has started ends with it', noEndlessOnes);
  });

endsWithoutResidue(test, daemon);
