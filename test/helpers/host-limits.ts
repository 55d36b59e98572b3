// Limits that only the whole host has, for tests in a machine of hack/testbed: its kernel is nobody else's.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import type { TestFn } from 'ava';
import type { TestDaemon } from './daemon.ts';

/** Why a test may not change them here; null in a machine of hack/testbed. */
export const whyNoHostLimits: string | null =
  process.env['TESTBED'] === undefined
    ? 'it is a limit of the whole host: hack/test.sh vm-limits runs where it may be changed'
    : null;

/** Every limit that was made, to be as it was whatever happens. */
const all: HostLimit[] = [];

/** One file of /proc/sys. */
export class HostLimit {
  readonly #file: string;
  readonly #usual: string;

  /** `name` as sysctl(8) has it. */
  constructor(name: string) {
    this.#file = `/proc/sys/${name.replaceAll('.', '/')}`;
    this.#usual = readFileSync(this.#file, 'utf8').trim();
    all.push(this);
  }

  set(most: number): void {
    writeFileSync(this.#file, String(Math.max(0, most)));
  }

  /** As it was before. */
  lift(): void {
    writeFileSync(this.#file, this.#usual);
  }

  /**
   * How many count against it: the least limit under which a command that makes one more comes out right, less that one.
   * It is looked for from below, for what the command made may be counted a little longer. The limit is left at that.
   */
  count(command: readonly string[], from = 0): number {
    const search = 'n=$1; shift; until echo $n >"$0" && "$@" 2>/dev/null; do n=$((n+1)); done; echo $n';
    const found = execFileSync('sh', ['-c', search, this.#file, String(from), ...command], { encoding: 'utf8' });
    return Number(found) - 1;
  }
}

/** All limits as they were. */
export function liftHostLimits(): void {
  for (const limit of all) limit.lift();
}

/** After each test the limits are as they were, and one that failed shows what the daemon said. */
export function liftsHostLimits(test: TestFn, daemon: TestDaemon): void {
  test.afterEach.always('the limits are as they were', (t) => {
    liftHostLimits();
    if (!t.passed) t.log(daemon.lastWords());
  });
}
