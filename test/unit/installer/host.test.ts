// What is run on the host, and how its answers are read.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { emptyOnes, Host, parseStatus, runProgram } from '../../../src/installer/host.ts';
import { changeRuns, lastLine, processNamed } from '../../../src/installer/processes.ts';
import { wishOf, wordsFor } from '../../../src/installer/words.ts';

const never = new AbortController().signal;

test('answers of podwright node status are read, whatever else is in them', (t) => {
  t.deepEqual(parseStatus('{"state":"none"}'), { state: 'none', on: null, transaction: null });
  const on = { type: 'podwright', release: '/r', version: '1', endpoint: 'unix:///s', config: 'x', news: 1 };
  const journal = {
    id: 'i',
    kind: 'switch',
    step: 'ready',
    direction: 'back',
    origin: { type: 'runtime' },
    settings: { kubelet: { file: '/k' }, wish: 'w' },
    failure: { step: 'self-test', message: 'no' },
    stuck: null,
  };
  t.deepEqual(parseStatus(JSON.stringify({ state: 'walked-back', on, transaction: journal })), {
    state: 'walked-back',
    on: { type: 'podwright', release: '/r', config: 'x' },
    transaction: {
      id: 'i',
      kind: 'switch',
      step: 'ready',
      direction: 'back',
      movesKubelet: true,
      wish: 'w',
      failure: 'self-test: no',
    },
  });
  const beside = { ...journal, settings: { kubelet: null } };
  t.false(parseStatus(JSON.stringify({ state: 'done', on, transaction: beside })).transaction?.movesKubelet);
  t.throws(() => parseStatus('{"state":"other"}'), { message: /says "other"/ });
  t.throws(() => parseStatus('oops'), { message: /read podwright node status/ });
});

test('programs of the release are run in the namespaces of process 1', async (t) => {
  const seen = mkdtempSync(join(tmpdir(), 'pw-host-'));
  t.teardown(() => rmSync(seen, { recursive: true }));
  const ran: string[] = [];
  const run = (argv: readonly string[]): Promise<string> => {
    ran.push(argv.join(' '));
    return Promise.resolve('{"state":"none"}');
  };
  const host = new Host(run, { process: '', prefix: '/opt/podwright', journalDir: '/j', seen });
  t.deepEqual(await host.look('/opt/podwright/releases/1', never), {
    state: 'none',
    on: null,
    transaction: null,
    staged: false,
    changing: false,
  });
  t.deepEqual(ran, [], 'without a release there is nobody to ask');
  const makeRelease = (name: string, ...files: readonly string[]): void => {
    for (const file of files) {
      mkdirSync(dirname(join(seen, 'releases', name, file)), { recursive: true });
      writeFileSync(join(seen, 'releases', name, file), '');
    }
  };
  for (const name of ['1', '2', '.staging-x']) makeRelease(name, 'bin/podwright', 'RELEASE.json');
  makeRelease('another', 'bin/podwright');
  t.is((await host.look('/opt/podwright/releases/1', never)).staged, true);
  await host.begin('/opt/podwright/releases/2', ['node', 'resume'], never);
  const into = 'nsenter -t 1 -m -u -i -n -p --';
  t.deepEqual(ran, [
    `${into} /opt/podwright/releases/1/bin/podwright node status -o json --journal-dir=/j`,
    `${into} /opt/podwright/releases/2/bin/podwright node resume --detach`,
  ]);
  t.is(await host.release('/opt/podwright/releases/9'), '/opt/podwright/releases/2', 'any will do');
  rmSync(join(seen, 'releases/2/bin'), { recursive: true });
  t.is(await host.release('/opt/podwright/releases/2'), '/opt/podwright/releases/1', 'that has its program');
  t.false(await host.isTorn());
  rmSync(join(seen, 'releases/1'), { recursive: true });
  t.is(await host.release('/opt/podwright/releases/2'), null);
  t.true(await host.isTorn(), 'something is left that no program of its own can remove');
  await t.throwsAsync(host.look('/opt/podwright/releases/2', never), { message: /^ask the host: no release below/ });
  rmSync(join(seen, 'releases/2/RELEASE.json'));
  t.true(await host.isTorn(), 'an empty directory too');
  rmSync(join(seen, 'releases/2'), { recursive: true });
  t.false(await host.isTorn(), 'what is not ours does not count');
  t.false((await host.look('/opt/podwright/releases/2', never)).staged);
});

test('directories of the host that have nothing in them are found', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pw-host-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  for (const name of ['empty', 'full/file']) mkdirSync(join(dir, name), { recursive: true });
  writeFileSync(join(dir, 'file'), '');
  t.deepEqual(await emptyOnes(dir, ['/empty', '/full', '/absent', '/file', '/file/below']), ['/empty']);
});

test('empty directories are removed by the host itself, and one that stays is only told', async (t) => {
  const { proc } = makeProc(t);
  const dir = join(proc, '1/root');
  for (const name of ['a', 'b', 'full/file']) mkdirSync(join(dir, name), { recursive: true });
  const ran: string[] = [];
  const run = (argv: readonly string[]): Promise<string> => {
    ran.push(argv.join(' '));
    return argv.at(-1) === '/a' ? Promise.reject(new Error('busy')) : Promise.resolve('');
  };
  const places = { process: '', prefix: '/opt/podwright', journalDir: '/j', seen: dir };
  const host = new Host(run, places, proc);
  const logged: string[] = [];
  const directories = ['/a', '/full', '/absent', '/b'];
  await host.removeEmpty(directories, (message) => logged.push(message), never);
  const into = 'nsenter -t 1 -m -u -i -n -p -- rmdir';
  t.deepEqual(ran, [`${into} /a`, `${into} /b`]);
  t.deepEqual(logged, ['could not remove /a of the host: busy']);
  t.deepEqual(readdirSync(dir).toSorted(), ['a', 'b', 'full'], 'nothing is removed from here');
  const nobody = new Host(run, { ...places, process: 'pw-nobody' }, proc);
  await nobody.removeEmpty(directories, (message) => logged.push(message), never);
  t.regex(logged[1] ?? '', /^could not look for empty directories of the host: .*no process pw-nobody/);
});

test('a program that fails is a failure with its last words', async (t) => {
  t.is(await runProgram(['sh', '-c', 'echo out'], never), 'out\n');
  await t.throwsAsync(runProgram(['sh', '-c', 'echo first >&2; echo last >&2; exit 3'], never), {
    message: /^run /,
    instanceOf: Error,
  });
  const error = await t.throwsAsync(runProgram(['sh', '-c', 'echo last >&2; exit 3'], never));
  t.like(error?.cause, { message: 'last' });
});

test('command lines: what belongs to each change, and what makes two wishes differ', (t) => {
  const settings = {
    node: 'n1',
    switch: true,
    purge: true,
    host: { process: '', prefix: '/opt/podwright', configDir: '/c', journalDir: '/j', linkDir: '' },
    daemon: { daemon: 'self', 'daemon-stop': '' },
    kubelet: { 'kubelet-restart': 'command', 'kubelet-stop': 'a b' },
  };
  const about = { retire: false, release: '/opt/podwright/releases/1', digest: 'd', config: 'c' };
  const wish = wishOf(settings, about);
  const places = ['--prefix=/opt/podwright', '--config-dir=/c', '--link-dir=', '--journal-dir=/j'];
  const release = [
    '--release=/opt/podwright/releases/1',
    '--config=/opt/podwright/helm.toml',
    '--config-as=conf.d/50-helm.toml',
    ...places,
    '--daemon=self',
    `--wish=${wish.digest}`,
  ];
  t.deepEqual(wordsFor('install', settings, wish), ['install', ...release]);
  t.deepEqual(wordsFor('switch', settings, wish), [
    'node',
    'switch',
    ...release,
    '--kubelet-restart=command',
    '--kubelet-stop=a b',
    '--node=n1',
  ]);
  t.deepEqual(wordsFor('revert', settings, wish), ['node', 'revert', '--journal-dir=/j']);
  t.deepEqual(wordsFor('uninstall', settings, wish), ['uninstall', ...places], 'only on the way to a switch');
  t.deepEqual(wordsFor('uninstall', settings, { ...wish, retire: true }), ['uninstall', '--purge', ...places]);
  t.deepEqual(wordsFor('uninstall', { ...settings, purge: false }, { ...wish, retire: true }), [
    'uninstall',
    ...places,
  ]);
  t.is(wishOf({ ...settings, purge: false }, about).digest, wish.digest);
  t.not(wishOf({ ...settings, kubelet: {} }, about).digest, wish.digest);
  t.not(wishOf(settings, { ...about, config: 'other' }).digest, wish.digest);
  t.not(wishOf(settings, { ...about, digest: 'other' }).digest, wish.digest);
});

/** A /proc of a few processes: comm, pid namespace, mount namespace, cgroup, command line. */
function makeProc(t: ExecutionContext) {
  const proc = mkdtempSync(join(tmpdir(), 'pw-proc-'));
  t.teardown(() => rmSync(proc, { recursive: true }));
  const add = (pid: string, [comm, pids, mounts, cgroup, words = '']: readonly string[]): void => {
    mkdirSync(join(proc, pid, 'ns'), { recursive: true });
    symlinkSync(`pid:[${pids}]`, join(proc, pid, 'ns/pid'));
    symlinkSync(`mnt:[${mounts}]`, join(proc, pid, 'ns/mnt'));
    writeFileSync(join(proc, pid, 'comm'), `${comm}\n`);
    writeFileSync(join(proc, pid, 'cgroup'), `0::${cgroup}\n`);
    writeFileSync(join(proc, pid, 'cmdline'), words.replaceAll(' ', '\0'));
  };
  add('self', ['node', '1', '20', '/kubepods.slice/x']);
  add('1', ['init', '1', '10', '/init.scope']);
  return { proc, add };
}

test('the process whose namespaces are the host’s is found by its name, and never a pod’s', async (t) => {
  const { proc, add } = makeProc(t);
  t.is(await processNamed('', proc), 1);
  add('sys', ['kubelet', '1', '10', '/']);
  add('7', ['kubelet', '2', '30', '/']); // another pid namespace: of a container
  add('8', ['kubelet', '1', '30', '/kubepods.slice/kubepods-burstable.slice/x.scope']); // with hostPID, in a pod
  add('9', ['kubelet', '1', '31', '/../pod0b7f3a52-5d5c-4f2e-9b3a-0123456789ab/ctr']); // seen from another cgroup
  add('10', ['kubelet', '1', '20', '/']); // beside us
  await t.throwsAsync(processNamed('kubelet', proc), { message: /no process kubelet of the host runs/ });
  add('11', ['kubelet', '1', '40', '/podruntime/kubelet']); // in a container of its own, of the host
  t.is(await processNamed('kubelet', proc), 11);
  add('12', ['kubelet', '1', '10', '/system.slice/kubelet.service']);
  await t.throwsAsync(processNamed('kubelet', proc), { message: /processes 11, 12 are all called kubelet/ });
});

test('a command that changes the node is seen before its journal', async (t) => {
  const { proc, add } = makeProc(t);
  const words = '/opt/podwright/releases/1/node cli.js';
  add('5', ['node', '1', '10', '/', `${words} node status -o json --journal-dir=/j`]);
  add('6', ['node', '1', '30', '/', `${words} installer run --journal-dir=/j`]);
  add('7', ['node', '1', '10', '/', `${words} node switch --journal-dir=/other`]);
  add('8', ['sh', '1', '30', '/kubepods/x', 'sh --journal-dir=/j']); // a pod that says so
  t.false(await changeRuns('/j', proc));
  const seen = mkdtempSync(join(tmpdir(), 'pw-host-'));
  t.teardown(() => rmSync(seen, { recursive: true }));
  mkdirSync(join(seen, 'releases/1'), { recursive: true });
  const host = new Host(
    () => Promise.reject(new Error('no program')),
    { process: '', prefix: '/opt/podwright', journalDir: '/j', seen },
    proc,
  );
  t.true(await host.isTorn());
  add('9', ['node', '1', '10', '/', `${words} node switch --release=/r --journal-dir=/j --node=n1`]);
  t.true(await changeRuns('/j', proc));
  t.false(await host.isTorn(), 'a removal that is not over was not cut short');
  t.like(await host.look('/r', never), { staged: true, changing: true });
});

test('the last line of a log is its last words', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pw-log-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const log = join(dir, 'log');
  t.is(await lastLine(log), '');
  writeFileSync(log, `${'x'.repeat(9000)}\npodwright: no pointer\n\n`);
  t.is(await lastLine(log), 'podwright: no pointer');
});
