// hack/fuzz: one daemon of its own, fuzzed as long as is asked for; the result is a page.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { TestDaemon } from '../helpers/daemon.ts';
import { page } from './report.ts';
import { fuzzDaemon } from './session.ts';

const usage = `usage: hack/fuzz [--count 10000] [--seed N] [--time SECONDS] [--callers 8] [-o FILE.md] [--keep-log FILE]

Random requests to every RPC of a daemon of its own (count), then a tenth as many of mutated bytes, garbage
connections and monitor frames each. --time ends the requests early. The page goes to docs/results/fuzz.md.
Needs: root, npm run build, hack/testkit/install.sh and images.sh.

Other fuzzing: hack/fuzz parsers [--help] parses random texts, hack/fuzz layers [SECONDS [SEED]] unpacks changed layers,
hack/fuzz TARGET [SECONDS] runs one of native/fuzz/fuzz_targets under libFuzzer, hack/fuzz targets [SECONDS] all of them.
`;

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    time: { type: 'string', default: '3600' },
    callers: { type: 'string', default: '8' },
    output: { type: 'string', short: 'o', default: join(import.meta.dirname, '../../docs/results/fuzz.md') },
    'keep-log': { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const count = Number(values.count);
  const tenth = Math.ceil(count / 10);
  if (values['keep-log'] !== undefined) writeFileSync(values['keep-log'], '');
  const daemon = new TestDaemon(values['keep-log'] === undefined ? {} : { logFile: values['keep-log'] });
  try {
    await daemon.start();
    const seed = Number(values.seed);
    const limitMs = Number(values.time) * 1000;
    const callers = Number(values.callers);
    const result = await fuzzDaemon(daemon, {
      count,
      wireCount: tenth,
      socketCount: tenth,
      monitorCount: tenth,
      seed,
      callers,
      limitMs,
    });
    const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname })
      .toString()
      .trim();
    const text = page(result, { when: new Date().toISOString().slice(0, 10), commit });
    writeFileSync(values.output, text);
    process.stdout.write(text);
    return result.complaints.length === 0 ? 0 : 1;
  } finally {
    await daemon.destroy();
  }
}

process.exitCode = await main();
