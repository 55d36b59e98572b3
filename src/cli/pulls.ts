// podwright pulls: what is being pulled now.
import { barLines, nextRates, type Rates } from './pull-view.ts';
import type { Run } from './session.ts';
import { bytes, table } from './table.ts';

/** Milliseconds between two looks. */
const lookEveryMs = 500;

/** Prints a line for each running pull; with --watch shows bars of their layers until interrupted. */
export const listPulls: Run = async ({ client, print, block, nowMs, streams }, _args, { watch }) => {
  if (watch !== true) {
    const { pulls } = await client.call('Pulls', {});
    print(pulls, () =>
      table(
        ['IMAGE', 'LAYERS', 'BYTES', 'AGE'],
        pulls.map((pull) => row(pull, nowMs())),
      ),
    );
    return;
  }
  let rates: Rates = new Map();
  const interrupted = streams.interrupted.then(() => false);
  const pause = (): Promise<boolean> => new Promise((resolve) => setTimeout(() => resolve(true), lookEveryMs).unref());
  do {
    const { pulls } = await client.call('Pulls', {});
    rates = nextRates(
      rates,
      pulls.flatMap(({ layers }) => layers),
      nowMs(),
    );
    const lines = pulls.flatMap(({ reference, layers }) => [
      reference,
      ...barLines(layers, rates).map((l) => `  ${l}`),
    ]);
    if (!block(lines.length > 0 ? lines : ['no pull is running'])) {
      for (const pull of pulls) streams.stdout.write(`${row(pull, nowMs()).join('  ')}\n`);
    }
  } while (await Promise.race([interrupted, pause()]));
};

interface Pull {
  readonly reference: string;
  readonly startedAtMs: string;
  readonly layers: readonly { readonly stage: string; readonly doneBytes: string; readonly totalBytes: string }[];
}

function row({ reference, startedAtMs, layers }: Pull, nowMs: number): string[] {
  const sum = (of: (layer: Pull['layers'][number]) => string): number => layers.reduce((n, l) => n + Number(of(l)), 0);
  const ended = layers.filter(({ stage }) => stage === 'done' || stage === 'present').length;
  const share = `${bytes(sum((l) => l.doneBytes))} / ${bytes(sum((l) => l.totalBytes))}`;
  const seconds = Math.max(0, Math.round((nowMs - Number(startedAtMs)) / 1000));
  return [reference, `${ended}/${layers.length}`, share, `${seconds}s`];
}
