// Runs an expression in a process that has no file descriptor left: what a daemon at its limit does.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const script = (module: URL, expression: string, before: string): string => `
import { openSync, closeSync, writeSync } from 'node:fs';
import { spawn } from 'node:child_process';
const mod = await import(${JSON.stringify(module.href)});
${before}
const { signal } = new AbortController();
spawn('/bin/true'); // opens what stays open once something has been started
const taken = [];
try { for (;;) taken.push(openSync('/dev/null')); } catch {}
const said = await Promise.resolve(${expression}).catch((error) => ({ kind: error.kind, message: error.message }));
for (const one of taken) closeSync(one);
await new Promise((resolve) => setImmediate(resolve)); // a failure that nobody heard ends the process by now
writeSync(1, JSON.stringify(said));
`;

/** What an expression over `mod` and `signal` comes to there; a failure as kind and message. `before` is run while there are some. */
export async function withoutDescriptors(module: URL, expression: string, before = ''): Promise<unknown> {
  const node = [process.execPath, '--input-type=module', '-e', script(module, expression, before)];
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', 'ulimit -n 64; exec "$@"', 'sh', ...node]);
  return JSON.parse(stdout);
}
