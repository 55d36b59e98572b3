// Hooks of the node's directories: which containers have them, when they are run, what a change of the files does, and
// what is said of a file that is broken. On a pod network made by CNI plugins, as on most nodes.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { create, exited, fails, output, podIp, pull, runPod, scripted, start, type Pod } from '../helpers/pods.ts';
import { kitPrograms } from '../helpers/registry.ts';
import { until } from '../helpers/until.ts';

const dir = `/tmp/pwt-oci-hooks-${process.pid}`;
const [first, second, out, script] = ['first', 'second', 'out', 'hook'].map((name) => join(dir, name)) as [
  string,
  string,
  string,
  string,
];
const plugins = join(await kitPrograms(), 'cni');
const daemon = useDaemon(test, {
  network: 'none',
  flags: [`--hooks-dirs=${first},${second}`, `--cni-bin-dirs=${plugins}`],
});
let pod: Pod;

test.before('directories of hooks, a CNI network, a pod', async () => {
  for (const each of [first, second, out]) mkdirSync(each, { recursive: true });
  // $1: the name of what it writes; $2: a script. It keeps the state that it is given.
  writeFileSync(script, `#!/bin/sh\ncat > ${out}/$1.json\necho $1 >> ${out}/order\neval "$2"\n`, { mode: 0o755 });
  const plain = daemon.subnet.replace('.0/24', '');
  mkdirSync(daemon.confDir, { recursive: true });
  const ipam = { type: 'host-local', dataDir: join(daemon.dir, 'ipam'), ranges: [[{ subnet: `${plain}.0/24` }]] };
  const bridge = { type: 'bridge', bridge: daemon.bridge, isGateway: true, ipam };
  // a plugin that is not one of ours has all of them executed
  const list = { cniVersion: '1.0.0', name: 'hooked', plugins: [bridge, { type: 'tuning' }] };
  writeFileSync(join(daemon.confDir, '10-hooked.conflist'), JSON.stringify(list));
  await pull(daemon);
  pod = await runPod(daemon, { annotations: { 'example.org/traced': 'yes' } });
});
test.beforeEach('nothing has been told', () => {
  for (const each of [first, second, out]) {
    rmSync(each, { recursive: true });
    mkdirSync(each);
  }
});
test.after.always('the hooks go', () => rmSync(dir, { recursive: true, force: true }));

interface Hook {
  readonly name: string;
  readonly stages: readonly string[];
  readonly when?: object;
  readonly does?: string;
  readonly timeout?: number;
}

/** Puts a hook's file into a directory. */
function put(at: string, { name, stages, when = { always: true }, does = '', timeout }: Hook): void {
  const hook = { path: script, args: ['hook', name, does], env: ['PATH=/bin:/usr/bin:/sbin'], timeout };
  writeFileSync(join(at, `${name}.json`), JSON.stringify({ version: '1.0.0', hook, when, stages }));
}

const order = (): string[] =>
  existsSync(join(out, 'order')) ? readFileSync(join(out, 'order'), 'utf8').trim().split('\n') : [];
const told = (name: string) =>
  JSON.parse(readFileSync(join(out, `${name}.json`), 'utf8')) as { id: string; pid: number };
const remove = (id: string) => daemon.runtime.RemoveContainer({ container_id: id });

test.serial('a hook is run at its stages, in the order of the names, and sees the pod’s network', async (t) => {
  put(second, {
    name: 'a',
    stages: ['createRuntime', 'poststop'],
    does: `[ -e ${out}/devices ] || cat /proc/$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/' ${out}/a.json)/net/dev > ${out}/devices`,
  });
  put(first, { name: 'B', stages: ['prestart', 'createRuntime'] });
  put(first, { name: 'c', stages: ['createRuntime', 'createContainer', 'poststart'] });
  writeFileSync(
    join(first, 'inside.json'),
    JSON.stringify({
      version: '1.0.0',
      hook: { path: '/bin/sh', args: ['sh', '-c', 'echo hooked > /tmp/told'] },
      when: { always: true },
      stages: ['startContainer'],
    }),
  );
  t.not(await podIp(daemon, pod), '');
  const id = await create(daemon, pod, scripted('cat /tmp/told'));
  t.deepEqual(order(), ['B', 'a', 'B', 'c', 'c']);
  t.is(told('a').id, id);
  t.regex(
    readFileSync(join(out, 'devices'), 'utf8'),
    /\beth0:/,
    'the namespace is that of the pod, and has its address',
  );
  await daemon.runtime.StartContainer({ container_id: id });
  t.is((await exited(daemon, id)).exit_code, 0, 'the container’s own hook has been run in it');
  await remove(id);
  t.deepEqual(order().slice(5), ['c', 'a']);
});

test.serial('annotations of the pod, the command and mounts decide', async (t) => {
  const stages = ['createRuntime'];
  put(first, { name: 'annotated', stages, when: { annotations: { '^example\\.org/traced$': '^(yes|true)$' } } });
  put(first, { name: 'command', stages, when: { commands: ['/sleep$', '(?i)^SH$'] } });
  put(first, { name: 'mounted', stages, when: { hasBindMounts: true } });
  put(first, { name: 'never', stages, when: { always: false } });
  put(first, { name: 'other', stages, when: { annotations: { 'example\\.org/traced': '^no$' } } });
  await output(daemon, pod, scripted('true'));
  t.deepEqual(order(), ['annotated', 'command']);
  rmSync(join(out, 'order'));
  await output(daemon, pod, { ...scripted('true'), mounts: [{ container_path: '/mnt', host_path: out }] });
  t.deepEqual(order(), ['annotated', 'command', 'mounted']);
});

test.serial('files are read anew for each container, and a later directory’s counts', async (t) => {
  const stages = ['createRuntime'];
  await output(daemon, pod, scripted('true'));
  t.deepEqual(order(), []);
  put(first, { name: 'one', stages, does: `echo first >> ${out}/which` });
  await output(daemon, pod, scripted('true'));
  put(second, { name: 'one', stages, does: `echo second >> ${out}/which` });
  await output(daemon, pod, scripted('true'));
  t.is(readFileSync(join(out, 'which'), 'utf8'), 'first\nsecond\n');
  put(second, { name: 'one', stages, when: { always: false } });
  await output(daemon, pod, scripted('true'));
  t.is(order().length, 2, 'switched off by a file of the later directory');
});

test.serial('a broken file is named in Status, by doctor and in the log; other hooks are run', async (t) => {
  put(first, { name: 'good', stages: ['createRuntime'] });
  put(second, { name: 'bad', stages: ['precreate'] });
  await output(daemon, pod, scripted('true'));
  t.deepEqual(order(), ['good']);
  const path = join(second, 'bad.json');
  const why = 'stages[0] "precreate" is not supported: no hook may change a spec';
  const { info } = await daemon.runtime.Status({ verbose: true });
  t.deepEqual(JSON.parse(info['hooks'] ?? ''), { hooks: [join(first, 'good.json')], broken: [{ path, why }] });
  const doctor = await daemon.podwright('doctor').catch((error: { stdout: string }) => error.stdout);
  t.true(doctor.includes(`error: hook ${path}: ${why}`), doctor);
  const lines = () =>
    readFileSync(daemon.logFile, 'utf8')
      .split('\n')
      .filter((line) => line.includes('its file is broken'));
  await until('it is in the log', () => lines().length > 0);
  await output(daemon, pod, scripted('true'));
  t.is(lines().length, 1, 'once');
});

test.serial('a hook that fails fails the creation in its own words', async (t) => {
  put(first, { name: 'fails', stages: ['createRuntime'], does: 'echo there is no gpu >&2; exit 3' });
  put(first, { name: 'after', stages: ['poststop'] });
  await fails(t, create(daemon, pod, scripted('true')), {
    code: 'FAILED_PRECONDITION',
    message: new RegExp(`createRuntime hook ${script} ended with code 3: there is no gpu`),
  });
  t.deepEqual(order(), ['fails', 'after'], 'what was begun is cleared');
});

test.serial(
  'a hook that hangs is killed at its timeout, and one at poststart takes the container with it',
  async (t) => {
    put(first, { name: 'hangs', stages: ['poststart'], does: 'exec sleep 3600', timeout: 1 });
    await fails(t, start(daemon, pod, scripted('sleep 3600')), {
      code: 'FAILED_PRECONDITION',
      message: new RegExp(`poststart hook ${script} did not end within 1 s and was killed`),
    });
  },
);

test.serial('the bridge that a plugin has made is nobody else’s to take away', async (t) => {
  await daemon.removePod(pod.id);
  t.notThrows(() => execFileSync('ip', ['link', 'delete', daemon.bridge]));
});

endsWithoutResidue(test, daemon);
