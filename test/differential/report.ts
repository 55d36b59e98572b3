// The result as a page: counts, and every difference that is wanted with its reason.
import type { Difference, Tally } from './compare.ts';
import { whyWanted, type Wanted, wanted } from './wanted.ts';

/** Differences by the row that wants them; those that nobody wants apart. */
export function sortOut(differences: readonly Difference[]): {
  readonly byReason: ReadonlyMap<Wanted, Difference[]>;
  readonly unwanted: Difference[];
} {
  const byReason = new Map<Wanted, Difference[]>(wanted.map((row) => [row, []]));
  const unwanted: Difference[] = [];
  for (const each of differences) {
    const row = whyWanted(each);
    if (row) byReason.get(row)?.push(each);
    else unwanted.push(each);
  }
  return { byReason, unwanted };
}

/** One difference on a line. */
export const line = ({ spec, about, own, runc, crun }: Difference): string =>
  `${spec}: ${about}: own ${JSON.stringify(own)}, runc ${JSON.stringify(runc)}, crun ${JSON.stringify(crun)}`;

/** Counts in a sentence. */
export const summary = (tally: Tally, unwanted: number): string =>
  `${tally.specs} specs (${tally.refused} refused by all), ${tally.observations} observations: ${tally.same} the same under all three, ` +
  `${tally.asRunc} as runc and not crun, ${tally.asCrun} as crun and not runc, ${tally.differences.length - unwanted} different on purpose, ${unwanted} unwanted`;

/** Facts at the head of the page. */
export interface Facts {
  readonly runc: string;
  readonly crun: string;
  readonly kernel: string;
  readonly cgroups: string;
  readonly catalogue: number;
  readonly random: number;
  readonly seed: number;
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** docs/results/differential.md. */
export function page(tally: Tally, facts: Facts): string {
  const { byReason, unwanted } = sortOut(tally.differences);
  const rows = [...byReason].map(([{ reason }, list]) => {
    const example = list[0];
    return `| ${list.length} | ${cell(reason)} | ${example ? `\`${cell(line(example))}\`` : ''} |`;
  });
  return `# What a process sees: own core, runc, crun

Written by \`test/system/differential.test.ts\`; do not edit.

The same bundles under each: ${facts.catalogue} specs by hand, ${facts.random} at random (seed ${facts.seed}). ${facts.runc}; ${facts.crun}; kernel ${facts.kernel}, cgroups ${facts.cgroups}.
From inside, a script looks at /proc/self/status, mountinfo, cgroup, limits, environ, stat, working directory, OOM score, /dev, kernel
parameters, descriptors, what can be written and read, and what system calls are allowed; each fact is one observation.

| | |
| --- | --- |
| specs | ${tally.specs} |
| refused by all three | ${tally.refused} |
| observations | ${tally.observations} |
| the same under all three | ${tally.same} |
| runc and crun differ, own as runc | ${tally.asRunc} |
| runc and crun differ, own as crun | ${tally.asCrun} |
| own like neither, on purpose | ${tally.differences.length - unwanted.length} |
| own like neither, unwanted | ${unwanted.length} |

## On purpose

| Count | Why | Example |
| --- | --- | --- |
${rows.join('\n')}
`;
}
