// Runs programs that judge images, by containerd's protocol for image verifiers: the reference and its digest as
// arguments, the descriptor on standard input, exit code 0 for yes, a reason on standard output.
// Must not let one hold up the daemon: time and output are bounded, and all that it started ends with it.
import type { Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { endGroup, startInGroup } from '../lib/own-group.ts';
import { printable } from './json.ts';

/** What a verifier is asked about. */
export interface VerifierSubject {
  /** The reference, written out. */
  readonly name: string;
  readonly descriptor: { readonly mediaType: string; readonly digest: string; readonly size: number };
}

/** What it said. */
export interface Judgement {
  readonly ok: boolean;
  readonly reason: string;
}

/** A program, and how long it may take. */
export interface VerifierCall {
  readonly path: string;
  readonly timeoutMs: number;
}

const descriptorType = 'application/vnd.oci.descriptor.v1+json';
const longestOutput = 16 * 1024;
/** How long output of a program that has ended is waited for: something else may hold its end of the pipe. */
const lingerMs = 2_000;
const mostPrograms = 10;

/** Asks a program, or each program of a directory in the order of their names; the first no is the answer. */
export async function judge(call: VerifierCall, subject: VerifierSubject, signal: AbortSignal): Promise<Judgement> {
  const programs = await programsOf(call.path);
  if (typeof programs === 'string') return { ok: false, reason: programs };
  const reasons: string[] = [];
  for (const { path } of programs) {
    const said = await run({ path, timeoutMs: call.timeoutMs }, subject, signal);
    if (!said.ok) return { ok: false, reason: `${path}: ${said.reason}` };
    reasons.push(said.reason);
  }
  return { ok: true, reason: reasons.filter((reason) => reason !== '').join('; ') };
}

/** A program as it is now: another size or time of change is another program. */
export interface Program {
  readonly path: string;
  readonly size: number;
  readonly mtimeMs: number;
}

/** The program of a path, or those of a directory in the order of their names; a text says why there is none. */
export async function programsOf(path: string): Promise<readonly Program[] | string> {
  try {
    const first = await stat(path);
    if (!first.isDirectory()) return [programAt(path, first)];
    const names = (await readdir(path)).filter((name) => !name.startsWith('.')).sort();
    if (names.length === 0) return `there is no verifier in ${path}`;
    if (names.length > mostPrograms) return `there are more than ${mostPrograms} verifiers in ${path}`;
    const paths = names.map((name) => join(path, name));
    return await Promise.all(paths.map(async (one) => programAt(one, await stat(one))));
  } catch (error) {
    return `verifier ${path} cannot be used (${(error as NodeJS.ErrnoException).code ?? String(error)})`;
  }
}

const programAt = (path: string, { size, mtimeMs }: Stats): Program => ({ path, size, mtimeMs });

/** The first bytes of a stream; the rest is read and dropped, so that the writer is not held. */
function firstOf(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream.on('data', (chunk: Buffer) => {
    if (length < longestOutput) chunks.push(chunk.subarray(0, longestOutput - length));
    length += chunk.length;
  });
  return () => printable(Buffer.concat(chunks).toString('utf8'), 1000);
}

const cannotRun = (error: unknown): Judgement => {
  const { code, message } = error as NodeJS.ErrnoException;
  return { ok: false, reason: `it cannot be run (${code ?? message})` };
};

/** Starts the program; null, and told by `onError`, where the daemon has no descriptor or process left for it. */
function start(command: string, args: readonly string[], onError: (error: unknown) => void) {
  const child = startInGroup({ command, args, stdio: ['pipe', 'pipe', 'pipe'] }, onError);
  if (child === null) return null;
  const { stdin, stdout, stderr } = child;
  return stdin && stdout && stderr ? { child, stdin, stdout, stderr } : null;
}

async function run(call: VerifierCall, { name, descriptor }: VerifierSubject, signal: AbortSignal): Promise<Judgement> {
  signal.throwIfAborted();
  const args = ['-name', name, '-digest', descriptor.digest, '-stdin-media-type', descriptorType];
  const { promise, resolve } = Promise.withResolvers<Judgement>();
  const started = start(call.path, args, (error) => resolve(cannotRun(error)));
  if (started === null) return promise;
  const { child, stdin, stdout, stderr } = started;
  const [output, complaint] = [firstOf(stdout), firstOf(stderr)];
  const kill = (): void => endGroup(child);
  const lost = (reason: string): void => resolve({ ok: false, reason });
  const late = setTimeout(() => (kill(), lost(`no answer within ${call.timeoutMs} ms`)), call.timeoutMs);
  const stop = (): void => (kill(), lost('it was not waited for'));
  let linger: NodeJS.Timeout | undefined;
  const settle = (code: number | null, by: NodeJS.Signals | null): void => {
    const words = output() || complaint();
    resolve({ ok: code === 0, reason: words || (code === 0 ? '' : `ended by ${by ?? `code ${code}`}`) });
  };
  child.on('exit', (code, by) => {
    kill();
    linger = setTimeout(() => settle(code, by), lingerMs);
  });
  child.on('close', settle);
  stdin.on('error', () => undefined); // it need not read what it is told
  stdin.end(JSON.stringify(descriptor));
  signal.addEventListener('abort', stop, { once: true });
  const judgement = await promise;
  clearTimeout(late);
  clearTimeout(linger);
  signal.removeEventListener('abort', stop);
  for (const stream of [stdout, stderr, stdin]) stream.destroy();
  signal.throwIfAborted();
  return judgement;
}
