// The same bundles under our own core, runc and crun: what the process sees must not differ but where we mean it to.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { capabilitiesOfMask } from '../../src/oci/capabilities.ts';
import { catalogue, type Named, type Sources } from '../differential/catalogue.ts';
import { compare, emptyTally } from '../differential/compare.ts';
import { randomSpecs } from '../differential/random-specs.ts';
import { line, page, sortOut, summary } from '../differential/report.ts';
import { type Outcome, otherRunner, ownRunner, type Runner, runSpec } from '../differential/run.ts';
import { removeCgroupTree } from '../helpers/cgroups.ts';
import { hybrid, missing, runtimes, versionOf } from '../helpers/runtimes.ts';
import { patienceMs, until } from '../helpers/until.ts';

const seed = Number(process.env['DIFFERENTIAL_SEED'] ?? 20_261_121);
const randomCount = Number(process.env['DIFFERENTIAL_COUNT'] ?? 110);
const others = runtimes.filter(({ name }) => name !== 'runsc');
const absent = others.find(({ path }) => path === null);
const dir = mkdtempSync('/tmp/pwd-');
const group = `/pwd-${process.pid}`;
const atOnce = 2;

const held = (): string[] => {
  const mask = /^CapPrm:\s*(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return [...capabilitiesOfMask(mask)];
};

function makeSources(): Sources {
  // what is shared of the host's mounts depends on the host
  mount('--bind', dir, dir);
  mount('--make-private', dir);
  const [tree, shared, file] = [join(dir, 'tree'), join(dir, 'shared'), join(dir, 'file')];
  for (const each of [join(tree, 'below'), shared]) mkdirSync(each, { recursive: true });
  writeFileSync(file, 'bound\n');
  mount('-t', 'tmpfs', 'differential', join(tree, 'below'));
  mount('-t', 'tmpfs', 'differential', shared);
  mount('--make-shared', shared);
  writeFileSync(join(tree, 'one'), '');
  mkdirSync(join(shared, 'below'));
  mount('-t', 'tmpfs', 'differential', join(shared, 'below'));
  return { tree, shared, file, held: held() };
}

const mount = (...args: string[]): void => void execFileSync('mount', args);

test.after.always('mounts, files and cgroups go', async () => {
  for (const path of ['shared/below', 'shared', 'tree/below', '']) {
    try {
      execFileSync('umount', ['-l', join(dir, path)], { stdio: 'ignore' });
    } catch {
      // it was never mounted
    }
  }
  rmSync(dir, { recursive: true, force: true });
  // who was killed may not have left them
  await until('the cgroups are gone', () => {
    try {
      removeCgroupTree(group);
      return true;
    } catch {
      return false;
    }
  });
});

async function outcomes(
  runners: readonly Runner[],
  { spec }: Named,
  place: string,
): Promise<Record<Runner['name'], Outcome>> {
  const found = await Promise.all(
    runners.map(async (runner) => [runner.name, await runSpec(runner, spec, { dir, place, group })] as const),
  );
  return Object.fromEntries(found) as Record<Runner['name'], Outcome>;
}

const title = 'what a process sees is the same under runc, crun and our own core';
if (absent) test.skip(`${title} ${missing(absent)}`, (t) => void t.fail());
else
  test.serial(title, async (t) => {
    t.timeout(15 * patienceMs);
    const sources = makeSources();
    const [runc, crun] = others.map(({ name, path }) => otherRunner(name as 'runc' | 'crun', path ?? ''));
    const runners = [await ownRunner(), runc as Runner, crun as Runner];
    const byHand = catalogue(sources);
    const random = randomSpecs(seed, randomCount, sources);
    const tally = emptyTally();
    const queue = [...byHand, ...random].map((each, at) => ({ each, place: `s${at}` }));
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        compare(tally, next.each.name, await outcomes(runners, next.each, next.place));
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
    const { byReason, unwanted } = sortOut(tally.differences);
    t.log(summary(tally, unwanted.length));
    for (const [{ reason }, list] of byReason) t.log(`${list.length} on purpose: ${reason}`);
    const results = process.env['PODWRIGHT_RESULTS'];
    if (results !== undefined) {
      const [runcVersion = '', crunVersion = ''] = others.map(({ path }) => versionOf(path ?? ''));
      const cgroups = hybrid ? 'hybrid' : 'unified or v1';
      const facts = {
        runc: runcVersion,
        crun: crunVersion,
        kernel: release(),
        cgroups,
        catalogue: byHand.length,
        random: random.length,
        seed,
      };
      writeFileSync(join(results, 'differential.md'), page(tally, facts));
    }
    t.true(byHand.length >= 30 && random.length >= 100);
    t.true(tally.refused < tally.specs / 4, 'most of them run');
    t.deepEqual(unwanted.map(line), []);
  });
