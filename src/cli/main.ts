// argv → program → exit code.
import { writeFile } from 'node:fs/promises';
import { connect } from './client.ts';
import { runProgram } from './program.ts';
import type { Terminal } from './session.ts';

const { stdout, stderr } = process;

let shown = 0;

/** Puts lines where those of the call before stand. */
function block(lines: readonly string[]): boolean {
  if (!stderr.isTTY) return false;
  const up = shown > 0 ? `\u001b[${shown}A` : '';
  stderr.write(`${up}${lines.map((line) => `\r\u001b[K${line.slice(0, stderr.columns - 1)}\n`).join('')}\u001b[J`);
  shown = lines.length;
  return true;
}

const terminal: Terminal = {
  out: (text) => void stdout.write(text),
  progress: (text) => {
    if (stderr.isTTY) stderr.write(`\r\u001b[K${text.slice(0, stderr.columns - 1)}`);
  },
  block,
  nowMs: Date.now,
  argv: process.argv.slice(2),
  directory: process.cwd(),
  connect,
  writeFile: (path, text) => writeFile(path, text),
  streams: {
    stdin: process.stdin,
    stdout,
    stderr,
    get interrupted() {
      const { promise, resolve } = Promise.withResolvers<void>();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
      return promise;
    },
  },
};

// a reader such as `head` that has seen enough
stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

process.exitCode = await runProgram(process.argv.slice(2), terminal, (text) => void stderr.write(text));
