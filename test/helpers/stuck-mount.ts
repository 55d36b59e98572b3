// A FUSE file system whose server takes requests and never answers: who asks it sleeps uninterruptibly, and no
// signal ends that (Linux fs/fuse/dev.c, request_wait_answer).
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { until } from './until.ts';

/** Answers FUSE_INIT (protocol 7.27) and nothing else, and tells of what it was asked. Descriptor 3 is /dev/fuse, mounted by the shell around it. */
const server = `
  const { readSync, writeSync } = require('node:fs');
  const request = Buffer.alloc(1 << 20);
  for (;;) {
    readSync(3, request);
    if (request.readUInt32LE(4) !== 26) {
      writeSync(1, 'asked\\n');
      continue;
    }
    const answer = Buffer.alloc(16 + 64);
    answer.writeUInt32LE(answer.length, 0);
    request.copy(answer, 8, 8, 16);
    answer.writeUInt32LE(7, 16);
    answer.writeUInt32LE(27, 20);
    answer.writeUInt32LE(4096, 24);
    answer.writeUInt32LE(4096, 36);
    writeSync(3, answer);
  }`;

const script =
  'exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0,allow_other pwt-stuck "$1" && echo mounted && exec "$2" -e "$3"';

/** A mount that lets nobody go. */
export interface StuckMount {
  /** Waits until somebody has asked it: no signal ends who did, for the server has the request (fs/fuse/dev.c). */
  asked(): Promise<unknown>;
  /** Breaks the connection: who waits gets an error. */
  release(): Promise<void>;
}

/** Mounts it on a directory, made if need be; released with the test. */
export async function stuckMount(t: ExecutionContext, dir: string): Promise<StuckMount> {
  mkdirSync(dir, { recursive: true });
  const child: ChildProcess = spawn('bash', ['-c', script, 'bash', dir, process.execPath, server], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await until('it is mounted', () => said.includes('mounted'));
  let released: Promise<void> | null = null;
  const release = (): Promise<void> => {
    released ??= (async () => {
      child.kill('SIGKILL');
      await until('the server is gone', () => child.exitCode !== null || child.signalCode !== null);
      execFileSync('umount', ['-l', dir]);
    })();
    return released;
  };
  t.teardown(release);
  return { asked: () => until('the file system is asked', () => said.includes('asked')), release };
}
