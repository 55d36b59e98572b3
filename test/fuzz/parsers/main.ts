// hack/fuzz parsers: every parser, one after the other, for as long as is asked.
import { parseArgs } from 'node:util';
import * as fc from 'fast-check';
import type { Target } from './check.ts';
import { targets } from './targets.ts';

const usage = `usage: hack/fuzz parsers [--time 120] [--seed N] [--only NAME]

Random texts and documents for each parser, --time seconds in all; a line for each with the inputs tried and the slowest
one's time. What fails is shown with its seed, and the exit status is 1. Needs nothing but node_modules.
`;

const { values } = parseArgs({
  options: {
    time: { type: 'string', default: '120' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    only: { type: 'string', default: '' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const batch = 500;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Tries inputs until the time is over; answers whether all went well. */
async function run({ name, property }: Target, firstSeed: number, limitMs: number): Promise<boolean> {
  let [tried, slowest, started] = [0, 0, 0];
  const timed = property
    .beforeEach(() => void (started = performance.now()))
    .afterEach(() => void (slowest = Math.max(slowest, performance.now() - started)));
  const end = performance.now() + limitMs;
  for (let seed = firstSeed; performance.now() < end; seed += 1) {
    const outcome = await fc.check(timed, { numRuns: batch, seed });
    tried += outcome.numRuns;
    if (outcome.failed) {
      say(`FAILED  ${name}, seed ${seed}, path ${outcome.counterexamplePath}`);
      say(fc.defaultReportMessage(outcome)?.slice(0, 4000) ?? '');
      return false;
    }
  }
  say(`ok      ${name}: ${tried} inputs, the slowest ${slowest.toFixed(1)} ms`);
  return true;
}

async function main(): Promise<number> {
  if (values.help) {
    say(usage);
    return 0;
  }
  const chosen = targets.filter(({ name }) => values.only === '' || name === values.only);
  if (chosen.length === 0) throw new Error(`no parser ${values.only}: ${targets.map(({ name }) => name).join(', ')}`);
  const [seed, limitMs] = [Number(values.seed), (Number(values.time) * 1000) / chosen.length];
  say(`seed ${seed}`);
  let failed = 0;
  for (const target of chosen) if (!(await run(target, seed, limitMs))) failed += 1;
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
