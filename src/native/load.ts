// Loads the addon that was built beside this program. Must not hold any policy.
import { createRequire } from 'node:module';
import type { Outcome, RawAddon } from './boundary.ts';
import { unwrap } from './errors.ts';

type Unwrapped<F> = F extends (...args: infer A) => Promise<Outcome<infer T>>
  ? (...args: A) => Promise<T>
  : F extends (...args: infer A) => Outcome<infer T>
    ? (...args: A) => T
    : F;

/** The addon with values instead of outcomes; a failure is thrown as NativeError. */
export type Native = { readonly [K in keyof RawAddon]: Unwrapped<RawAddon[K]> };

/** The addon as it is, with outcomes. */
export const loadRaw = (file: string): RawAddon => createRequire(import.meta.url)(file) as RawAddon;

/** Loads the addon file and wraps each of its functions. */
export function loadNative(file: string): Native {
  const raw = loadRaw(file) as unknown as Record<string, (...args: unknown[]) => unknown>;
  const wrapped: Record<string, unknown> = {};
  for (const [name, call] of Object.entries(raw)) {
    wrapped[name] = (...args: unknown[]) => {
      const result = call(...args);
      return result instanceof Promise ? result.then((o) => unwrap(o as Outcome<unknown>)) : unwrap(result as Outcome<unknown>);
    };
  }
  return wrapped as Native;
}
