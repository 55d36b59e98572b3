// podwright pull: an image from its registry.
import { invalidArgument } from '../lib/failure.ts';
import { barLines, changedLines, type LayerState, nextRates, type Rates, stagesOf } from './pull-view.ts';
import type { Run, Session } from './session.ts';

/** Pulls an image: bars on a terminal, a line for each change elsewhere, the id at the end. */
export const pullImage: Run = async (session, [reference = ''], { creds, quiet }) => {
  const show = quiet === true ? () => undefined : progressOf(session);
  let id = '';
  for await (const event of session.client.stream('Pull', { reference, ...credentials(creds) })) {
    if (event.progress) show(event.progress.layers);
    if (event.id) id = event.id;
  }
  session.print({ reference, id }, () => `${id}\n`);
};

/** Shows one state of the layers after the other, on standard error. */
function progressOf({ block, nowMs, streams }: Session): (layers: readonly LayerState[]) => void {
  let rates: Rates = new Map();
  let stages: ReadonlyMap<string, string> = new Map();
  return (layers) => {
    rates = nextRates(rates, layers, nowMs());
    if (!block(barLines(layers, rates))) {
      for (const line of changedLines(stages, layers)) streams.stderr.write(`${line}\n`);
    }
    stages = stagesOf(layers);
  };
}

function credentials(given: unknown): { username: string; password: string } {
  if (typeof given !== 'string') return { username: '', password: '' };
  const colon = given.indexOf(':');
  if (colon < 1) throw invalidArgument('--creds must be user:password');
  return { username: given.slice(0, colon), password: given.slice(colon + 1) };
}
