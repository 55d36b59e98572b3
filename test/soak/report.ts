// What a soak came to, as a page.
import type { Holding } from './holding.ts';
import type { SoakResult } from './soak.ts';

const holding = ({ fds, threads, rss }: Holding): string =>
  `${fds} descriptors, ${threads} threads, ${rss.toFixed(0)} MiB`;

/** The page. */
export function page(
  result: SoakResult,
  { when, commit, seed }: { readonly when: string; readonly commit: string; readonly seed: number },
): string {
  const { operations, seconds, kills, verbs, tries, complaints, growth } = result;
  const counts = [...verbs].toSorted(([a], [b]) => a.localeCompare(b)).map(([verb, count]) => `${verb} ${count}`);
  return [
    '# Soak',
    '',
    '<!-- made by hack/soak -->',
    '',
    `${when}, commit ${commit}, seed ${seed}: ${operations} operations in ${seconds} s.`,
    '',
    `- ${counts.join(', ')}.`,
    `- ${tries.calls} calls; ${tries.cancelled} were given up by the client and made again, ${tries.unavailable} found no daemon.`,
    ...(kills > 0 ? [`- The daemon was killed ${kills} times.`] : []),
    ...(growth === null
      ? []
      : [
          `- The daemon held at least ${holding(growth.before)} in the second quarter of the time,`,
          `  ${holding(growth.after)} in the last (${growth.samples} samples).`,
        ]),
    `- Complaints: ${complaints.length === 0 ? 'none; nothing was left on the host' : complaints.length}.`,
    '',
    ...complaints.map((each) => `    ${each.slice(0, 600).replaceAll('\n', '\n    ')}`),
    ...(complaints.length === 0 ? [] : ['']),
  ].join('\n');
}
