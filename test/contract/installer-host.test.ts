// Directories of the host, removed for a pod whose mounts are others: what is mounted on one stays mounted.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Host, runProgram } from '../../src/installer/host.ts';

const why = process.getuid?.() === 0 ? null : 'needs root: a mount namespace is made';

/** A /proc in which only this process is, called "kubelet", with the root that it really has. */
function procOf(pid: number, dir: string): string {
  const proc = join(dir, 'proc');
  for (const [name, mounts] of [
    ['self', '20'],
    [`${pid}`, '10'],
    ['1', '10'],
  ] as const) {
    mkdirSync(join(proc, name, 'ns'), { recursive: true });
    symlinkSync('pid:[1]', join(proc, name, 'ns/pid'));
    symlinkSync(`mnt:[${mounts}]`, join(proc, name, 'ns/mnt'));
    writeFileSync(join(proc, name, 'cgroup'), '0::/\n');
  }
  writeFileSync(join(proc, `${pid}`, 'comm'), 'kubelet\n');
  symlinkSync(`/proc/${pid}/root`, join(proc, `${pid}`, 'root'));
  return proc;
}

if (why !== null) test.skip(`an empty volume of the host stays mounted (${why})`, (t) => void t.fail());
else
  test('an empty volume of the host stays mounted, an empty directory goes', async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'pwc-installer-host-'));
    t.teardown(() => rmSync(dir, { recursive: true }));
    const [volume, empty] = [join(dir, 'volume'), join(dir, 'empty')];
    for (const one of [volume, empty]) mkdirSync(one);
    const script = `mount -t tmpfs pwc "${volume}" && echo mounted && exec cat`;
    const host = spawn('unshare', ['--mount', 'sh', '-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(host, 'exit');
    try {
      const begun = await Promise.race([once(host.stdout, 'data').then(() => true), ended.then(() => false)]);
      t.true(begun, 'it is mounted');
      const mounts = (): string => readFileSync(`/proc/${host.pid}/mountinfo`, 'utf8');
      t.true(mounts().includes(` ${volume} `));
      const places = { process: 'kubelet', prefix: '/opt/podwright', journalDir: '/j', seen: dir };
      const logged: string[] = [];
      const signal = new AbortController().signal;
      const pods = new Host(runProgram, places, procOf(host.pid ?? 0, dir));
      await pods.removeEmpty([volume, empty], (message) => logged.push(message), signal);
      t.true(mounts().includes(` ${volume} `), 'it is another’s');
      t.deepEqual([existsSync(volume), existsSync(empty)], [true, false]);
      t.is(logged.length, 1);
      t.regex(logged[0] ?? '', new RegExp(`^could not remove ${volume} of the host: `));
    } finally {
      host.stdin.end();
      await ended;
    }
  });
