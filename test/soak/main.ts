// hack/soak: one daemon of its own under the load of many clients, killed again and again or watched for growth.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { TestDaemon } from '../helpers/daemon.ts';
import { page } from './report.ts';
import { soak } from './soak.ts';

const usage = `usage: hack/soak [--operations 10000] [--clients 32] [--kill-every 30 | --no-kill] [--time SECONDS]
                 [--impatience 30] [--seed N] [--set KEY=VALUE]... [-o FILE.md] [--keep-log FILE]

Random verbs of many clients on a daemon of its own: pods, containers, commands, images. Each client has a model of its
pods and holds it against what is listed. The daemon is killed (SIGKILL) every so many seconds; with --no-kill it lives,
has a pod more that is there all the time (commands, streams, containers, log rotation, stats, scrapes, reloads), and the
descriptors, threads and memory of the daemon, of that pod's monitor and, where it is set (own.work_memory=1GiB), of
the process for work are watched. --set is the daemon's. Of a thousand calls --impatience are given up and made again. In the
end everything is removed and nothing may be left. The page goes to docs/results/soak.md, or soak-growth.md.
Needs: root, npm run build, hack/testkit/install.sh and images.sh.
`;

const { values } = parseArgs({
  options: {
    operations: { type: 'string', default: '10000' },
    clients: { type: 'string', default: '32' },
    'kill-every': { type: 'string', default: '30' },
    'no-kill': { type: 'boolean', default: false },
    time: { type: 'string', default: '3600' },
    impatience: { type: 'string', default: '30' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    output: { type: 'string', short: 'o' },
    set: { type: 'string', multiple: true, default: [] },
    'keep-log': { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const killed = !values['no-kill'];
  const logFile = values['keep-log'];
  if (logFile !== undefined) writeFileSync(logFile, '');
  const flags = values.set.map((setting) => `--set=${setting}`);
  const daemon = new TestDaemon(logFile === undefined ? { flags } : { flags, logFile });
  try {
    await daemon.start();
    const seed = Number(values.seed);
    const result = await soak(daemon, {
      clients: Number(values.clients),
      operations: Number(values.operations),
      limitMs: Number(values.time) * 1000,
      killEveryMs: killed ? Number(values['kill-every']) * 1000 : null,
      impatience: Number(values.impatience),
      seed,
      progress: (line) => void process.stderr.write(`${line}\n`),
    });
    const complaints = [...result.complaints];
    if (values.set.some((each) => each.startsWith('own.work_')) && result.growths?.has('podwright-work') === false)
      complaints.push('podwright-work was looked at too seldom: the soak was too short, or it did not live');
    const verified = await daemon.podwright('images', 'verify').catch((error: Error) => `failed: ${error.message}`);
    if (/failed|damaged|missing/i.test(verified)) complaints.push(`images verify: ${verified}`);
    complaints.push(...(await daemon.leftOfPods()).map((what) => `left: ${what}`));
    await daemon.shutdown();
    complaints.push(...(await daemon.leftOfNetwork()).map((what) => `left: ${what}`));
    const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname });
    const text = page(
      { ...result, complaints },
      { when: new Date().toISOString().slice(0, 10), commit: commit.toString().trim(), seed, set: values.set },
    );
    const named = killed ? 'soak.md' : 'soak-growth.md';
    const file = values.output ?? join(import.meta.dirname, '../../docs/results', named);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    process.stdout.write(text);
    return complaints.length === 0 ? 0 : 1;
  } finally {
    await daemon.destroy();
  }
}

process.exitCode = await main();
