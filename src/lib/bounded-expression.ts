// Regular expressions that somebody else wrote, on texts that yet another one wrote: V8 may need ages for some pairs.
import { type Context, createContext, Script } from 'node:vm';

/** A regular expression as a value. */
export interface Expression {
  readonly source: string;
  readonly flags: string;
}

/** Milliseconds for one text; one that is no trap takes a thousandth of one. */
const limitMs = 200;

const script = new Script('new RegExp(source, flags).test(text)');
let context: Context | null = null;

/** Whether the text has a match; null when that could not be told within the limit. */
export function matchesSoon({ source, flags }: Expression, text: string): boolean | null {
  context ??= createContext(Object.create(null) as object);
  Object.assign(context, { source, flags, text });
  try {
    return script.runInContext(context, { timeout: limitMs }) as boolean;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return null;
    throw error;
  }
}
