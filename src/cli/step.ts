// PURE
// One line on how far a long piece of work on images is.
import { bytes } from './table.ts';

/** podwright.v1.LoadStep as text. */
export function showStep(step: { what: string; doneBytes: string; totalBytes: string }): string {
  const done = Number(step.doneBytes);
  const total = Number(step.totalBytes);
  const share = total > 0 ? ` ${Math.min(100, Math.floor((100 * done) / total))} %` : '';
  return `${step.what}${done > 0 ? ` ${bytes(done)}` : ''}${share}`;
}
