// What killing daemons came to, side by side, as a page.
import { counted } from './left.ts';
import type { KillResult, VerbResult } from './rounds.ts';

const row = (...cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  return [row(...head), row(...head.map(() => '---')), ...rows.map((cells) => row(...cells)), ''];
}

const sum = (
  verbs: readonly VerbResult[],
  key: 'rounds' | 'cut' | 'failedRetries' | 'reserved' | 'neverRight',
): number => verbs.reduce((total, verb) => total + verb[key], 0);

/** The page. */
export function page(
  results: readonly KillResult[],
  { when, commit, seed, load }: { when: string; commit: string; seed: number; load: string },
): string {
  const perVerb = results.flatMap(({ runtime, verbs }) =>
    verbs.map(({ verb, how, rounds, cut, failedRetries, mostRetries, reserved, neverRight }) => [
      how,
      verb,
      runtime,
      rounds,
      cut,
      failedRetries,
      mostRetries,
      reserved,
      neverRight,
    ]),
  );
  const kinds = ['mounts', 'netns', 'addresses', 'interfaces', 'processes', 'cgroups', 'directories'] as const;
  const left = results.map(({ runtime, left: of, removalFailures }) => {
    const counts = counted(of);
    return [runtime, ...kinds.map((kind) => counts[kind]), removalFailures];
  });
  const said = results.flatMap(({ runtime, verbs }) =>
    verbs.flatMap((verb) =>
      [...verb.said].map(([text, n]) => `- ${runtime}, ${verb.verb}, ${n} times: \`${text.replaceAll('`', "'")}\``),
    ),
  );
  return [
    '# Daemons killed in the middle of a call',
    '',
    '<!-- made by hack/kill -->',
    '',
    `${when}, commit ${commit}, seed ${seed}, load average ${load}: ${results.map(({ version }) => version).join(', ')}.`,
    '',
    'At a random moment of a call the daemon is killed (SIGKILL) and started again, or the caller gives up and the daemon lives.',
    'Then what a kubelet does next is done, and once more each second until it comes right: a ready sandbox is taken, others are',
    'stopped and a new one is made with the next attempt; a container is made with the attempt after those that are listed; an',
    'image is pulled again. What came right must run a container and a command in it.',
    '',
    ...table(
      [
        'Daemon or call',
        'Verb',
        'Runtime',
        'Rounds',
        'Calls cut off',
        'Failed retries',
        'Most in one round',
        'Name held',
        'Never right',
      ],
      perVerb.toSorted((a, b) => `${String(b[0])} ${String(b[1])}`.localeCompare(`${String(a[0])} ${String(a[1])}`)),
    ),
    ...results.map(
      ({ runtime, verbs }) =>
        `- ${runtime}: ${sum(verbs, 'cut')} of ${sum(verbs, 'rounds')} calls cut off, ${sum(verbs, 'failedRetries')} retries failed, ${sum(verbs, 'reserved')} of them for a name that was held.`,
    ),
    '',
    'Left when all pods that are listed were stopped and removed, half a minute later:',
    '',
    ...table(['Runtime', ...kinds.map((kind) => kind[0]?.toUpperCase() + kind.slice(1)), 'Failed removals'], left),
    ...(said.length === 0 ? [] : ['What retries failed with:', '', ...said, '']),
  ].join('\n');
}
