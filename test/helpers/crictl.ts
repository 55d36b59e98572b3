// crictl, as operators use it, against one daemon's socket.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { kitPrograms } from './registry.ts';

/** How a run of crictl ended. */
export interface CrictlResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs crictl to its end; a failing status is an answer, not a rejection. */
export async function tryCrictl(socket: string, args: readonly string[]): Promise<CrictlResult> {
  const program = join(await kitPrograms(), 'crictl');
  const endpoint = `unix://${socket}`;
  const all = ['--config', '/dev/null', '-r', endpoint, '-i', endpoint, '-t', '60s', ...args];
  const child = spawn(program, all, { stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: { out: Buffer[]; err: Buffer[] } = { out: [], err: [] };
  child.stdout.on('data', (chunk: Buffer) => chunks.out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.err.push(chunk));
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.on('error', reject);
  child.on('close', (code) => resolve(code ?? -1));
  const code = await promise;
  return { code, stdout: Buffer.concat(chunks.out).toString(), stderr: Buffer.concat(chunks.err).toString() };
}

/** Runs crictl and answers its output without the last line break; throws when it fails. */
export async function crictl(socket: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tryCrictl(socket, args);
  if (code !== 0) throw new Error(`crictl ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
  return stdout.replace(/\n$/, '');
}

/** A run of crictl that goes on until it is ended. */
export interface CrictlWatch {
  /** What it has printed so far. */
  readonly printed: () => string;
  /** Whether it still runs. */
  readonly running: () => boolean;
  end(): Promise<void>;
}

/** Starts crictl and lets it run. */
export async function watchCrictl(socket: string, ...args: string[]): Promise<CrictlWatch> {
  const program = join(await kitPrograms(), 'crictl');
  const endpoint = `unix://${socket}`;
  const all = ['--config', '/dev/null', '-r', endpoint, '-i', endpoint, '-t', '60s', ...args];
  const child = spawn(program, all, { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  let running = true;
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const ended = new Promise<void>((resolve) => {
    child.on('close', () => {
      running = false;
      resolve();
    });
  });
  return {
    printed: () => printed,
    running: () => running,
    async end() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
