// What is run on the host, and how its answers are read.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Host, parseStatus, processNamed, runProgram } from '../../../src/installer/host.ts';
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
    settings: { kubelet: { file: '/k' } },
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
  });
  t.deepEqual(ran, [], 'without a release there is nobody to ask');
  for (const name of ['1', '2', '.staging-x']) mkdirSync(join(seen, 'releases', name), { recursive: true });
  t.is((await host.look('/opt/podwright/releases/1', never)).staged, true);
  await host.begin('/opt/podwright/releases/2', ['node', 'resume'], never);
  const into = 'nsenter -t 1 -m -u -i -n -p --';
  t.deepEqual(ran, [
    `${into} /opt/podwright/releases/1/bin/podwright node status -o json --journal-dir=/j`,
    `${into} /opt/podwright/releases/2/bin/podwright node resume --detach`,
  ]);
  t.is(await host.release('/opt/podwright/releases/9'), '/opt/podwright/releases/2', 'any will do');
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

test('the process whose namespaces are the host’s is found by its name', async (t) => {
  const proc = mkdtempSync(join(tmpdir(), 'pw-proc-'));
  t.teardown(() => rmSync(proc, { recursive: true }));
  for (const [pid, comm] of [
    ['10', 'kubelet'],
    ['9', 'kubelet'],
    ['2', 'kthreadd'],
    ['sys', 'kubelet'],
  ] as const) {
    mkdirSync(join(proc, pid));
    writeFileSync(join(proc, pid, 'comm'), `${comm}\n`);
  }
  t.is(await processNamed('', proc), 1);
  t.is(await processNamed('kubelet', proc), 9);
  await t.throwsAsync(processNamed('crio', proc), { message: /no process crio runs/ });
});
