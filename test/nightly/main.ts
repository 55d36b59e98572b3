// hack/nightly: runs the parts that are named, or all, one after the other, and keeps a page of their last results.
import { execFileSync, spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { lastWords, pageAfter, type Result } from './page.ts';
import { type Part, parts } from './parts.ts';

const usage = `usage: hack/nightly [PART...] [--skip PART]... [--list]

Runs what takes too long for every change, one after the other: all of it takes most of a day. Each part's output goes to
test-results/nightly/PART.log, its result with date and commit to docs/results/nightly.md, as soon as it is over; rows of
parts that did not run stay. One that takes five hours is ended. Ends with 1 if a part failed. Needs root; what parts need
is built and installed first.

${parts.map(({ name, what }) => `  ${name.padEnd(14)} ${what}`).join('\n')}
`;

const root = join(import.meta.dirname, '../..');
const page = join(root, 'docs/results/nightly.md');
const logs = join(root, 'test-results/nightly');
const keptBytes = 64 * 1024; // of an output, for its last words
/** Seconds after which a part that hangs is ended (timeout(1)), so that the others have their turn. */
const longestSeconds = 5 * 3600;
const signals = ['SIGINT', 'SIGTERM'] as const;

const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();

/** Somebody wants this to end: no other part is begun. */
let interrupted = false;

/** What is tested; results of parts that ran before are no change to it. */
const commitNow = (): string =>
  `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--', '.', ':!docs/results') === '' ? '' : '-dirty'}`;

/** Runs one, with its output in a file; never rejects. */
async function run({ name, command, env = {} }: Part): Promise<Result> {
  const begun = performance.now();
  const commit = commitNow();
  const log = createWriteStream(join(logs, `${name}.log`));
  const bounded = ['--kill-after=60', String(longestSeconds), ...command.split(' ')];
  const child = spawn('timeout', bounded, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let tail = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      log.write(text);
      tail = (tail + text).slice(-keptBytes);
    });
  const { promise, resolve } = Promise.withResolvers<string>();
  child.once('error', (error) => resolve(`timeout: ${error.message}`));
  child.once('exit', (code, signal) => {
    const how = code === 0 ? '' : `ended with ${signal ?? code}`;
    child.once('close', () => resolve(how));
    setTimeout(() => resolve(how), 5000).unref(); // somebody whom it left behind may hold its output
  });
  const stop = (signal: NodeJS.Signals): void => {
    interrupted = true;
    child.kill(signal); // timeout(1) tells all that it started
  };
  for (const signal of signals) process.once(signal, stop);
  const trouble = await promise;
  for (const signal of signals) process.off(signal, stop);
  log.end();
  await finished(log);
  const when = new Date().toISOString().slice(0, 10);
  const minutes = (performance.now() - begun) / 60_000;
  const said = trouble === '' ? lastWords(tail) : `${trouble}; ${lastWords(tail)}`;
  return { name, when, commit, minutes, passed: trouble === '', said };
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      skip: { type: 'string', multiple: true, default: [] },
      list: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help || values.list) {
    process.stdout.write(values.help ? usage : parts.map(({ name }) => `${name}\n`).join(''));
    return 0;
  }
  const unknown = [...positionals, ...values.skip].filter((name) => !parts.some((part) => part.name === name));
  if (unknown.length > 0) {
    process.stderr.write(`hack/nightly: no part ${unknown.join(', ')}; --list names them\n`);
    return 2;
  }
  const wanted = parts.filter(
    ({ name }) => (positionals.length === 0 || positionals.includes(name)) && !values.skip.includes(name),
  );
  if (values.check) return 0;
  mkdirSync(logs, { recursive: true });
  let failed = 0;
  for (const part of wanted) {
    if (interrupted) return 130;
    process.stdout.write(`==== ${part.name}: ${part.what}\n`);
    const result = await run(part);
    if (!result.passed) failed += 1;
    const before = existsSync(page) ? readFileSync(page, 'utf8') : '';
    writeFileSync(page, pageAfter(before, parts, [result]));
    process.stdout.write(`${result.passed ? 'ok' : 'FAILED'}  ${result.said} (${result.minutes.toFixed(0)} minutes)\n`);
  }
  process.stdout.write(`${wanted.length - failed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
