// Programs that cannot be started, and directories that cannot be watched, for want of descriptors, processes or inotify
// instances: a failure that says so, and nothing that ends the process.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { withoutDescriptors } from '../helpers/without-descriptors.ts';

const room = (path: string): URL => new URL(`../../src/${path}`, import.meta.url);

function place(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'podwright-lack-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test('a CNI plugin', async (t) => {
  const dir = place(t);
  writeFileSync(join(dir, 'p'), '#!/bin/sh\n', { mode: 0o755 });
  const call = {
    type: 'p',
    command: 'ADD',
    binDirs: [dir],
    environment: {},
    input: '{}',
    timeoutMs: 60_000,
    signal: null,
  };
  const said = await withoutDescriptors(
    room('network/cni/run-plugin.ts'),
    `mod.runPlugin(${JSON.stringify(call)}).catch((error) => [error.message, error.cause.code])`,
  );
  t.deepEqual(said, ['start CNI plugin p', 'EMFILE']);
});

test('a program of a change of the node', async (t) => {
  const said = await withoutDescriptors(
    room('node/programs.ts'),
    `mod.runProgram(['/bin/true'], { signal }).catch((error) => [error.message, error.cause.code])`,
  );
  t.deepEqual(said, ['run /bin/true', 'EMFILE']);
});

test('the process for heavy work', async (t) => {
  const worker = `new mod.Worker({
    start: (events) => start.startWork({ program: '/dev/null', addon: '', monitor: '/bin/true' }, events),
    place: async () => {}, leave: async () => {}, idleMs: 1, stopMs: 1, onError: () => {},
  })`;
  const said = await withoutDescriptors(
    room('work/worker.ts'),
    `${worker}.call('removeTree', {}).catch((error) => [error.errno, error.syscall.split(' ')[0]])`,
    `const start = await import(${JSON.stringify(room('work/start.ts').href)});`,
  );
  t.deepEqual(said, [24, 'spawn']);
});

/** Runs a module in a user namespace that may have no inotify instance; fd 3 is its limit, for it to lift. */
async function withoutInotify(script: string): Promise<unknown> {
  const limit = '/proc/sys/user/max_inotify_instances';
  const node = [process.execPath, '--input-type=module', '-e', script];
  const inside = `echo 0 > ${limit}; exec "$@" 3> ${limit}`;
  const { stdout } = await promisify(execFile)('unshare', ['-Ur', 'sh', '-c', inside, 'sh', ...node]);
  return JSON.parse(stdout);
}

/** `start` begins to watch, in vain; `change` is a change that must be seen after the limit was lifted, `missed` one before. */
const watching = (
  module: string,
  { start, change, missed = '' }: Record<'start' | 'change', string> & { missed?: string },
): string => `
import { writeFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
const mod = await import(${JSON.stringify(room(module).href)});
const told = [];
let changes = 0;
const onError = (error) => told.push(error.code);
const until = async (probe) => {
  for (const end = Date.now() + 20000; !probe() && Date.now() < end; ) await sleep(10);
  return probe();
};
${start}
await sleep(50); // several tries
const before = changes;
${missed}
writeSync(3, '100');
const heard = await until(() => changes > before); // that something may have changed meanwhile
const after = changes;
${change}
const seen = await until(() => changes > after);
writeSync(1, JSON.stringify({ told, before, heard, seen }));
process.exit(0);
`;

test('the directory of CNI configurations is watched again when it can be', async (t) => {
  const dir = place(t);
  const start = `const w = new mod.DirectoryWatch({
    dirs: () => [${JSON.stringify(dir)}], onChange: () => (changes += 1), onError, againMs: 5 });
  w.start();`;
  const change = `writeFileSync(${JSON.stringify(join(dir, '10.conflist'))}, '{}');`;
  const said = await withoutInotify(watching('files/directory-watch.ts', { start, change }));
  t.deepEqual(said, { told: ['EMFILE'], before: 0, heard: true, seen: true });
});

test('a key pair is watched again when it can be', async (t) => {
  const dir = place(t);
  const files = JSON.stringify({ certFile: join(dir, 'cert'), keyFile: join(dir, 'key') });
  const start = `mod.watchKeyPair(${files}, { onChange: () => (changes += 1), onError, againMs: 5 });`;
  const put = (name: string): string => `writeFileSync(${JSON.stringify(join(dir, name))}, '');`;
  const said = await withoutInotify(
    watching('state/key-pair-files.ts', { start, missed: put('key'), change: put('cert') }),
  );
  t.deepEqual(said, { told: ['EMFILE'], before: 0, heard: true, seen: true });
});
