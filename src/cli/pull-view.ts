// PURE
// Running pulls as text: bars for a terminal, lines about what changed for everything else.
import { bytes } from './table.ts';

/** One layer as the daemon tells of it; counts are decimal strings, as 64-bit numbers are decoded. */
export interface LayerState {
  readonly digest: string;
  readonly stage: string;
  readonly doneBytes: string;
  readonly totalBytes: string;
}

/** A sample of a layer's bytes, for its rate. */
interface Sample {
  readonly atMs: number;
  readonly bytes: number;
}

/** Layers by digest, with what is needed to tell their rates. */
export type Rates = ReadonlyMap<string, { readonly last: Sample; readonly perSecond: number }>;

const smoothing = 0.3;
const barWidth = 30;

/** The rates after another look, smoothed: bytes arrive in bursts. */
export function nextRates(before: Rates, layers: readonly LayerState[], atMs: number): Rates {
  const after = new Map<string, { last: Sample; perSecond: number }>();
  for (const { digest, doneBytes } of layers) {
    const last = { atMs, bytes: Number(doneBytes) };
    const known = before.get(digest);
    const passed = known ? (atMs - known.last.atMs) / 1000 : 0;
    if (!known || passed <= 0) {
      after.set(digest, known ?? { last, perSecond: 0 });
      continue;
    }
    const now = Math.max(0, last.bytes - known.last.bytes) / passed;
    after.set(digest, { last, perSecond: smoothing * now + (1 - smoothing) * known.perSecond });
  }
  return after;
}

const isOver = (stage: string): boolean => stage === 'done' || stage === 'present' || stage === 'mounted';

/** 12 digits, as Docker shows layers. */
const shortDigest = (digest: string): string => digest.replace(/^sha256:/, '').slice(0, 12);

type Words = Readonly<Record<string, string>>;

const pullWords: Words = { done: 'pulled', present: 'already here', syncing: 'writing out' };

/** One line for each layer: id, state, and while bytes come a bar, how many, and how fast. */
export function barLines(layers: readonly LayerState[], rates: Rates, own: Words = {}): string[] {
  const words = { ...pullWords, ...own };
  return layers.map(({ digest, stage, doneBytes, totalBytes }) => {
    const state = `${shortDigest(digest)}  ${words[stage] ?? stage}`;
    const total = Number(totalBytes);
    const done = Math.min(Number(doneBytes), total);
    if (isOver(stage)) return `${state} (${bytes(total)})`;
    if (done === 0) return state;
    const full = total === 0 ? barWidth : Math.floor((barWidth * done) / total);
    const bar = `[${'='.repeat(full)}${full < barWidth ? '>' : ''}${' '.repeat(Math.max(0, barWidth - full - 1))}]`;
    const rate = rates.get(digest)?.perSecond ?? 0;
    const speed = (stage === 'downloading' || stage === 'uploading') && rate > 0 ? `  ${bytes(rate)}/s` : '';
    return `${state.padEnd(26)}${bar} ${bytes(done)} / ${bytes(total)}${speed}`;
  });
}

/** What is worth a line of its own when nothing can be drawn over: layers that begin, wait, or end. */
// oxlint-disable-next-line max-params -- two states, and how stages are called
export function changedLines(
  before: ReadonlyMap<string, string>,
  layers: readonly LayerState[],
  own: Words = {},
): string[] {
  const words = { ...pullWords, ...own };
  const told = new Set([
    'downloading',
    'waiting',
    'unpacking',
    'compressing',
    'uploading',
    'mounted',
    'present',
    'done',
  ]);
  return layers.flatMap(({ digest, stage, totalBytes }) =>
    before.get(digest) === stage || !told.has(stage)
      ? []
      : [`${shortDigest(digest)}: ${words[stage] ?? stage} (${bytes(Number(totalBytes))})`],
  );
}

/** Stages by digest, for the next `changedLines`. */
export const stagesOf = (layers: readonly LayerState[]): ReadonlyMap<string, string> =>
  new Map(layers.map(({ digest, stage }) => [digest, stage]));
