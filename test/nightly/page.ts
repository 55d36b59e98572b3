// The page of last results: one row for each part, of the run in which it ran last.
import type { Part } from './parts.ts';

/** What a part came to. */
export interface Result {
  readonly name: string;
  /** Date, ISO 8601. */
  readonly when: string;
  readonly commit: string;
  readonly minutes: number;
  readonly passed: boolean;
  /** Its own last words: `N passed, N failed`, or how it ended. */
  readonly said: string;
}

const head = ['| Part | What | Date | Commit | Minutes | Result |', '| --- | --- | --- | --- | --- | --- |'] as const;

/** A cell holds no bar and no line break. */
const cell = (text: string): string => text.replaceAll(/[|\n]/g, ' ').trim();

/** The rows of a page by the part's name, as they stand: PURE. */
export const rowsOf = (page: string): ReadonlyMap<string, string> =>
  new Map(
    page
      .split('\n')
      .filter((line) => /^\| `[\w-]+` \|/.test(line))
      .map((line) => [line.split('`')[1] ?? '', line]),
  );

function row({ what }: Pick<Part, 'what'>, { name, when, commit, minutes, passed, said }: Result): string {
  const told = passed ? said : `**failed**: ${said}`;
  return `| \`${name}\` | ${cell(what)} | ${when} | ${commit} | ${minutes.toFixed(0)} | ${cell(told)} |`;
}

/** The page after some parts ran: the rows of others stay, parts that are no more go, and who never ran says so. PURE. */
export function pageAfter(before: string, parts: readonly Part[], results: readonly Result[]): string {
  const rows = rowsOf(before);
  return [
    '# Last results of what takes too long for every change',
    '',
    '<!-- made by hack/nightly -->',
    '',
    ...head,
    ...parts.map((part) => {
      const result = results.find(({ name }) => name === part.name);
      if (result) return row(part, result);
      return rows.get(part.name) ?? `| \`${part.name}\` | ${cell(part.what)} | | | | not by hack/nightly yet |`;
    }),
    '',
  ].join('\n');
}

/** What a part's output says of itself: its last count, else its last line that is not empty. PURE. */
export function lastWords(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const count = lines.findLast((line) => /^\d+ passed, \d+ failed/.test(line));
  const steps = lines.findLast((line) => /^\s+\d+ verbs with \d+ steps: /.test(line));
  if (count !== undefined && steps !== undefined) return `${count}; ${steps.trim()}`;
  const complaints = lines.findLast((line) => line.startsWith('- Complaints: '));
  return (count ?? complaints?.slice(2) ?? lines.at(-1) ?? 'said nothing').slice(0, 120);
}
