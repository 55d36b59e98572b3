// hack/kill: the daemons of podwright and of its peers are killed in the middle of calls, side by side.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { removeCgroupTree } from '../helpers/cgroups.ts';
import { Chance } from '../helpers/chance.ts';
import { serveImages } from '../helpers/registry.ts';
import { parentOf } from './left.ts';
import { page } from './report.ts';
import { killRounds, type KillResult } from './rounds.ts';
import { peer, podwright, type Runtime } from './runtimes.ts';

const usage = `usage: hack/kill [--runtimes podwright,containerd] [--rounds 20] [--seed N] [-o FILE.md]

Kills the daemon (SIGKILL) so many times in each of RunPodSandbox, CreateContainer and PullImage and starts it again, and gives
up as many calls while the daemon lives; then makes the call once more as a kubelet does. Counts retries that failed, names that were held, and what is left on the host when all
pods were removed; ends with 1 if podwright held a name, never came right or left anything. Runtimes: podwright, containerd, crio.
The page goes to docs/results/kill.md.
Needs: root, npm run build, hack/testkit/install.sh all and images.sh.
`;

const { values } = parseArgs({
  options: {
    runtimes: { type: 'string', default: 'podwright,containerd' },
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    output: { type: 'string', short: 'o' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const known: Readonly<Record<string, () => Runtime>> = {
  podwright,
  containerd: () => peer('containerd'),
  crio: () => peer('crio'),
};

const say = (text: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

async function measured(name: string, rounds: number, seed: number): Promise<KillResult> {
  const make = known[name];
  if (make === undefined) throw new Error(`no runtime ${name}: ${Object.keys(known).join(', ')}`);
  const runtime = make();
  try {
    return await killRounds(runtime, { rounds, chance: new Chance(seed), say });
  } finally {
    await runtime.clean();
    removeCgroupTree(parentOf(runtime));
  }
}

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const seed = Number(values.seed);
  await serveImages();
  const results: KillResult[] = [];
  for (const name of values.runtimes.split(',')) results.push(await measured(name, Number(values.rounds), seed));
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const [load = ''] = readFileSync('/proc/loadavg', 'utf8').split(' ');
  const text = page(results, { when: new Date().toISOString().slice(0, 10), commit, seed, load });
  const file = values.output ?? join(import.meta.dirname, '../../docs/results/kill.md');
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  for (const { runtime, left } of results) say(`${runtime}: left ${JSON.stringify(left)}`);
  say(`wrote ${file}`);
  const faults = results.filter(({ runtime }) => runtime === 'podwright').map(faultsOf);
  for (const { held, never, left } of faults) say(`podwright: ${held} names held, ${never} never right, ${left} left`);
  return faults.every(({ held, never, left }) => held + never + left === 0) ? 0 : 1;
}

/** What may not be: names that are held, calls that never come right, what is left and what cannot be removed. */
function faultsOf({ verbs, left, removalFailures }: KillResult): { held: number; never: number; left: number } {
  const sum = (key: 'reserved' | 'neverRight'): number => verbs.reduce((all, verb) => all + verb[key], 0);
  const things = Object.values(left).reduce((all, list: readonly string[]) => all + list.length, 0);
  return { held: sum('reserved'), never: sum('neverRight'), left: things + removalFailures };
}

const code = await main();
process.exit(code); // connections to the registry of images may be open
