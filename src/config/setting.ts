// PURE
// What one setting of the configuration is.
import type { Kind } from './kinds.ts';

/** One setting. */
export interface Setting<T> {
  readonly kind: Kind<T>;
  readonly default: T;
  /** One sentence or two for docs/config.md and --print-config. */
  readonly doc: string;
  /** Whether SIGHUP can change it; all else needs a restart. */
  readonly reloadable: boolean;
  /** The flag that sets it, without dashes. `--set section.key=value` sets any. */
  readonly flag: string | null;
  /** What the default is when it depends on other things; the default itself is then "". */
  readonly derived: string | null;
}

type About = Pick<Setting<unknown>, 'doc'> & Partial<Pick<Setting<unknown>, 'reloadable' | 'flag' | 'derived'>>;

/** Makes one. */
export const setting = <T>(kind: Kind<T>, initial: NoInfer<T>, about: About): Setting<T> => ({
  kind,
  default: initial,
  doc: about.doc,
  reloadable: about.reloadable ?? false,
  flag: about.flag ?? null,
  derived: about.derived ?? null,
});
