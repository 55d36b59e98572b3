// podwright pull: an image from its registry.
import { barLines, changedLines, type LayerState, nextRates, type Rates, stagesOf } from './pull-view.ts';
import { accessOf } from './registry-access.ts';
import type { Run, Session } from './session.ts';

/** Pulls an image: bars on a terminal, a line for each change elsewhere, the id at the end. */
export const pullImage: Run = async (session, [reference = ''], options) => {
  const { quiet, platform } = options;
  const show = quiet === true ? () => undefined : progressOf(session);
  const request = { reference, platform: typeof platform === 'string' ? platform : '' };
  const access = await accessOf(session, options);
  let id = '';
  for await (const event of session.client.stream('Pull', { ...request, ...access })) {
    if (event.progress) show(event.progress.layers);
    if (event.id) id = event.id;
  }
  session.print({ reference, id }, () => `${id}\n`);
};

/** Shows one state of the layers after the other, on standard error; `words` are for stages that have another name. */
export function progressOf(
  { block, nowMs, streams }: Session,
  words: Readonly<Record<string, string>> = {},
): (layers: readonly LayerState[]) => void {
  let rates: Rates = new Map();
  let stages: ReadonlyMap<string, string> = new Map();
  return (layers) => {
    rates = nextRates(rates, layers, nowMs());
    if (!block(barLines(layers, rates, words))) {
      for (const line of changedLines(stages, layers, words)) streams.stderr.write(`${line}\n`);
    }
    stages = stagesOf(layers);
  };
}
