// Which tests can run over the real addon here, and the reason in the title of those that cannot.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';

/** The addon that is tested. */
export const addon = process.env['PODWRIGHT_ADDON'] ?? resolve('dist/addon.node');

/** Why layers cannot be made here; null when they can. */
export const cannotRun = ((): string | null => {
  if (process.getuid?.() !== 0) return 'needs root: layers have owners';
  return existsSync(addon) ? null : `no addon at ${addon}: run hack/build.sh`;
})();

/** Why tests that need these programs of Debian's as well cannot run; null when they can. */
export function cannotRunWith(...tools: readonly string[]): string | null {
  const missing = tools.filter((name) => spawnSync(name, ['--version']).error !== undefined);
  return cannotRun ?? (missing.length === 0 ? null : `no ${missing.join(' or ')}: hack/testkit/install.sh deps`);
}

type Declare = (what: string, body: (t: ExecutionContext) => Promise<void>) => void;

/** Declares tests that `why` keeps from running, unless it is null; `run` is one of ava's ways to. */
export const unless =
  (why: string | null, run: typeof test | typeof test.serial = test): Declare =>
  (what, body) =>
    why === null ? run(what, body) : run.skip(`${what} [${why}]`, body);
