// What a fuzz came to, as a page.
import type { RunResult } from './run.ts';
import type { SessionResult } from './session.ts';

const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;

function table({ counts }: RunResult): string[] {
  const codes = [...new Set([...counts.values()].flatMap((each) => [...each.keys()]))].sort();
  const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
  const lines = [...counts]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([method, each]) => row([method, ...codes.map((code) => each.get(code) ?? '')]));
  return [row(['RPC', ...codes]), row(['---', ...codes.map(() => '---:')]), ...lines];
}

/** The page. `when` and `commit` say what was run. */
export function page(result: SessionResult, { when, commit }: { when: string; commit: string }): string {
  const { options, requests, wire, pulse, before, after, complaints } = result;
  return [
    '# Fuzz of all RPCs',
    '',
    '<!-- made by hack/fuzz -->',
    '',
    `${when}, commit ${commit}, seed ${options.seed}, ${options.callers} callers at once, ${result.seconds} s.`,
    '',
    `- ${requests.sent} random well-typed requests (${requests.held} more were held back as harmful to the host),`,
    `  ${wire.sent} requests of mutated or random bytes, ${result.connections} connections of garbage or silence to the`,
    `  daemon's socket, ${result.monitorFrames} connections of mutated frames to a monitor's.`,
    `- Heartbeat: ${pulse.beats} calls of Version meanwhile, slowest ${pulse.slowestMs} ms, ${pulse.missed.length} missed.`,
    `- Slowest answer: ${requests.slowest.method}, ${requests.slowest.ms} ms.`,
    `- The daemon before and after: ${before.fds} and ${after.fds} descriptors, ${mib(before.rssBytes)} and ${mib(after.rssBytes)}.`,
    `- Complaints: ${complaints.length === 0 ? 'none' : complaints.length}.`,
    '',
    ...complaints.map((each) => `    ${each.slice(0, 600).replaceAll('\n', '\n    ')}`),
    ...(complaints.length === 0 ? [] : ['']),
    '## Answers to well-typed requests',
    '',
    'CANCELLED: the caller gave up. UNKNOWN: with a prefix that the kubelet knows (`RegistryUnavailable: ` and its like).',
    '',
    ...table(requests),
    '',
    '## Answers to mutated and random bytes',
    '',
    ...table(wire),
    '',
  ].join('\n');
}
