// Regular expressions that somebody else wrote, on texts that yet another one wrote: V8 may need ages for some pairs.
import { type Context, createContext, Script } from 'node:vm';

/** A regular expression as a value. */
export interface Expression {
  readonly source: string;
  readonly flags: string;
}

/**
 * Whether any row of texts has a match of each expression, the first text of the first one and so on; null when that
 * could not be told within the limit, which all calls share.
 */
export type Matches = (expressions: readonly Expression[], rows: readonly (readonly string[])[]) => boolean | null;

/** The least that an attempt that was stopped counts: one that gets no processor time is not tried for ever. */
const leastMs = 50;

const script = new Script(`{
  const compiled = expressions.map(({ source, flags }) => new RegExp(source, flags));
  rows.some((row) => compiled.every((expression, at) => expression.test(row[at])));
}`);
let context: Context | null = null;

/** Milliseconds of the processor that this thread has had. */
const spentMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

/**
 * Matching within `limitMs` of processor time in all; texts that are no trap take a thousandth of one millisecond each.
 * V8's own limit is one of wall time: what it stopped while this process did not run is tried again.
 */
export function matchesWithin(limitMs: number): Matches {
  let left = limitMs;
  return (expressions, rows) => {
    context ??= createContext(Object.create(null) as object);
    Object.assign(context, { expressions, rows });
    while (left > 0) {
      const before = spentMs();
      try {
        const found = script.runInContext(context, { timeout: Math.ceil(left) }) as boolean;
        left -= spentMs() - before;
        return found;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
        left -= Math.max(spentMs() - before, leastMs);
      }
    }
    return null;
  };
}
