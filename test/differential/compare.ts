// What our own core shows a process, held against runc and crun.
import type { Outcome } from './run.ts';

/** One observation in which we are like neither of the others. */
export interface Difference {
  readonly spec: string;
  /** "mounts /proc", "status CapEff", "exit code". */
  readonly about: string;
  readonly own: string;
  readonly runc: string;
  readonly crun: string;
}

/** What all specs gave. */
export interface Tally {
  specs: number;
  /** Specs that no runtime ran: refused by all three. */
  refused: number;
  observations: number;
  /** All three the same. */
  same: number;
  /** runc and crun differ, and we are like this one. */
  asRunc: number;
  asCrun: number;
  differences: Difference[];
}

/** Nothing compared yet. */
export const emptyTally = (): Tally => ({
  specs: 0,
  refused: 0,
  observations: 0,
  same: 0,
  asRunc: 0,
  asCrun: 0,
  differences: [],
});

const told = (outcome: Outcome, about: string): string => {
  if (!outcome.ran) return 'did not run';
  if (about === 'runs') return 'ran';
  if (about === 'exit code') return String(outcome.code);
  return outcome.seen.get(about) ?? 'is not there';
};

const shown = (outcome: Outcome, about: string): string =>
  outcome.ran ? told(outcome, about) : `did not run: ${outcome.why}`;

/** Compares one spec's outcomes and adds them up. */
export function compare(
  tally: Tally,
  spec: string,
  { own, runc, crun }: Readonly<Record<'own' | 'runc' | 'crun', Outcome>>,
): void {
  tally.specs += 1;
  const ran = [own, runc, crun].filter((each) => each.ran);
  if (ran.length === 0) tally.refused += 1;
  const names =
    own.ran && ran.length > 1
      ? new Set(['runs', 'exit code', ...ran.flatMap((each) => [...each.seen.keys()])])
      : ['runs'];
  for (const about of names) {
    // one of the others may not do this spec at all: then the other one is the measure
    const others = [runc, crun].filter((each) => about === 'runs' || each.ran);
    const [a = '', b = a] = others.map((each) => told(each, about));
    const mine = told(own, about);
    tally.observations += 1;
    if (mine === a && mine === b) tally.same += 1;
    else if (mine === a) tally.asRunc += 1;
    else if (mine === b) tally.asCrun += 1;
    else
      tally.differences.push({
        spec,
        about,
        own: shown(own, about),
        runc: shown(runc, about),
        crun: shown(crun, about),
      });
  }
}
