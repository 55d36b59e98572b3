// What a soak came to, as a page.
import type { Growth, Holding } from './holding.ts';
import type { SoakResult } from './soak.ts';
import type { Growths } from './watch.ts';

/** Which run it was. */
export interface Run {
  readonly when: string;
  readonly commit: string;
  readonly seed: number;
  /** Settings of the daemon that are not the usual ones. */
  readonly set: readonly string[];
}

/** MiB, of small ones with what a monitor's page or two come to. */
const size = (rss: number): string => rss.toFixed(rss < 10 ? 2 : 0);

const held = ({ fds, threads, rss }: Holding): string => `${fds}, ${threads}, ${size(rss)}`;

const row = ([name, { quarters, samples }]: readonly [string, Growth]): string =>
  `| ${name} | ${quarters.map(held).join(' | ')} | ${samples} |`;

const table = (growths: Growths): string[] => [
  'The least that each held in each quarter of the time: descriptors, threads, MiB.',
  '',
  '| | first | second | third | last | samples |',
  '| --- | --- | --- | --- | --- | --- |',
  ...[...growths].map(row),
  '',
];

/** The page. */
export function page(result: SoakResult, { when, commit, seed, set }: Run): string {
  const { operations, seconds, kills, rounds, verbs, tries, complaints, growths } = result;
  const counts = [...verbs].toSorted(([a], [b]) => a.localeCompare(b)).map(([verb, count]) => `${verb} ${count}`);
  return [
    '# Soak',
    '',
    '<!-- made by hack/soak -->',
    '',
    `${when}, commit ${commit}, seed ${seed}${set.map((setting) => `, ${setting}`).join('')}: ${operations} operations in ${seconds} s.`,
    '',
    `- ${counts.join(', ')}.`,
    `- ${tries.calls} calls; ${tries.cancelled} were given up by the client and made again, ${tries.unavailable} found no daemon.`,
    ...(kills > 0 ? [`- The daemon was killed ${kills} times.`] : []),
    ...(rounds > 0
      ? [
          `- ${rounds} rounds of the pod that was there all the time: commands, streams, containers, logs, stats, scrapes.`,
        ]
      : []),
    `- Complaints: ${complaints.length === 0 ? 'none; nothing was left on the host' : complaints.length}.`,
    '',
    ...(growths === null ? [] : table(growths)),
    ...complaints.map((each) => `    ${each.slice(0, 600).replaceAll('\n', '\n    ')}`),
    ...(complaints.length === 0 ? [] : ['']),
  ].join('\n');
}
