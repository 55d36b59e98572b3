// One bundle under each runtime: runc, crun, and our own core through a real monitor.
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { dist } from '../helpers/daemon.ts';
import { readLog, textOf } from '../helpers/pods.ts';
import { hybrid } from '../helpers/runtimes.ts';
import { makeBundle, type Spec } from './bundle.ts';
import { type Observations, readProbe } from './probe.ts';

/** How a run ended: with a code and what was seen, or not at all. */
export type Outcome =
  | { readonly ran: true; readonly code: number; readonly seen: Observations }
  | { readonly ran: false; readonly why: string };

/** A runtime by name. */
export interface Runner {
  readonly name: 'own' | 'runc' | 'crun';
  readonly command: (bundle: string, place: string) => readonly string[];
  /** Whether its output is a CRI log. */
  readonly logged: boolean;
}

const native = join(import.meta.dirname, '../../native');
const target = process.env['CARGO_TARGET_DIR'] ?? join(native, 'target');

/** Our own core; builds the program that talks to the monitor, but in a machine of hack/testbed, where it was built before. */
export async function ownRunner(): Promise<Runner> {
  const program = join(target, 'debug/examples/run-bundle');
  if (process.env['TESTBED'] === undefined || !existsSync(program)) await buildRunBundle();
  return { name: 'own', logged: true, command: (bundle) => [program, join(dist, 'podwright-monitor'), bundle] };
}

async function buildRunBundle(): Promise<void> {
  const args = ['build', '-q', '--locked', '-p', 'podwright-monitor', '--example', 'run-bundle'];
  const path = `${process.env['PATH']}:${process.env['HOME']}/.cargo/bin`;
  await promisify(execFile)('cargo', args, { cwd: native, env: { ...process.env, PATH: path } });
}

/** runc or crun. crun refuses hybrid hosts: there it sees no unified tree. */
export function otherRunner(name: 'runc' | 'crun', path: string): Runner {
  const hide =
    name === 'crun' && hybrid ? ['unshare', '-m', 'sh', '-c', 'umount /sys/fs/cgroup/unified && exec "$@"', 'sh'] : [];
  return {
    name,
    logged: false,
    command: (bundle, place) => [
      ...hide,
      path,
      '--root',
      join(bundle, 'state'),
      '--log',
      join(bundle, 'log'),
      'run',
      '--bundle',
      bundle,
      place,
    ],
  };
}

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

function execute(
  command: readonly string[],
  terminal: boolean,
): Promise<{ code: number; stdout: string; stderr: string }> {
  // a runtime in the foreground passes its own terminal on
  const [program = '', ...args] = terminal
    ? ['script', '-q', '-e', '-c', `stty rows 24 cols 80; ${command.map(quote).join(' ')}`, '/dev/null']
    : command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000, killSignal: 'SIGKILL' });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString('utf8')));
    child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString('utf8')));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 255, stdout, stderr }));
  });
}

/** Runs a spec in a directory of its own; `place` names its cgroup and container. */
export async function runSpec(
  runner: Runner,
  spec: Spec,
  { dir, place, group }: { dir: string; place: string; group: string },
): Promise<Outcome> {
  const bundle = join(dir, `${place}-${runner.name}`);
  mkdirSync(bundle, { recursive: true });
  const own = structuredClone(spec);
  own.linux.cgroupsPath ??= `${group}/${place}-${runner.name}`;
  makeBundle(bundle, own);
  const id = `${group.slice(1)}-${place}-${runner.name}`;
  const terminal = spec.process.terminal && !runner.logged;
  const { code, stdout, stderr } = await execute(runner.command(bundle, id), terminal);
  const text = runner.logged && stdout !== '' ? fromLog(bundle, stdout) : stdout;
  rmSync(bundle, { recursive: true, force: true });
  // a mount is told by its path in its file system, which may be one of its own for temporary files
  const at = `(?:${dirname(dir)})?/${basename(dir)}`;
  const named = text
    .replaceAll(`${group}/${place}-${runner.name}`, '<cgroup>')
    .replaceAll(new RegExp(`${at}/${place}-${runner.name}`, 'g'), '<bundle>')
    .replaceAll(new RegExp(at, 'g'), '<dir>');
  const seen = readProbe(named);
  // a runtime that could not start the program has seen nothing
  return seen.size > 0
    ? { ran: true, code, seen }
    : { ran: false, why: stderr.trim() || stdout.trim() || `code ${code}` };
}

function fromLog(bundle: string, records: string): string {
  const file = join(bundle, 'records');
  writeFileSync(file, records);
  return Buffer.from(textOf(readLog(file)), 'latin1').toString('utf8');
}
