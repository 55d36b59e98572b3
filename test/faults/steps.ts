// Breaks a daemon at every labelled step of a verb (docs/reliability.md): it is killed there, or what it does fails.
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { TestDaemon } from '../helpers/daemon.ts';
import { processesOf } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';

/** The n-th time that a label is passed, from 1. */
export interface Step {
  readonly label: string;
  readonly nth: number;
}

/** What happens there: the daemon dies; it and the monitors die; what it does fails. */
export type Break = 'kill' | 'kill all' | 'fail';

/** Every step with every break, or those that differ: see `chosen`. */
export const everything = process.env['FAULTS'] === 'all';

/** Unix milliseconds after which no more steps are broken at, so that a run of everything ends in time; Infinity: never. */
const deadline = everything ? Number(process.env['FAULTS_UNTIL'] ?? Infinity) : Infinity;

/** A verb takes no more than this part of the time that is left when its turn comes. */
const shareOfTime = 0.25;

/** Times of one label that are broken at: pieces of a layer and files of a tree are many and all alike. */
const mostAlike = 3;

/** The switch: the directory by which a daemon under test is told at which step to break. */
export class Steps {
  readonly dir = mkdtempSync('/tmp/pwt-steps-');

  /** For the environment of the daemon. */
  get env(): Record<string, string> {
    return { PODWRIGHT_TEST_STEPS: this.dir };
  }

  /** The steps that are passed while this runs, in order. */
  async during(work: () => Promise<unknown>): Promise<Step[]> {
    const file = join(this.dir, 'seen');
    writeFileSync(file, '');
    await work();
    const labels = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    rmSync(file);
    const times = new Map<string, number>();
    return labels.flatMap((label) => {
      const nth = (times.get(label) ?? 0) + 1;
      times.set(label, nth);
      return nth > mostAlike ? [] : [{ label, nth }];
    });
  }

  arm(how: Break, { label, nth }: Step): void {
    rmSync(join(this.dir, 'fired'), { force: true });
    const file = join(this.dir, 'armed');
    writeFileSync(`${file}.new`, `${how === 'fail' ? 'fail' : 'kill'} ${nth} ${label}\n`);
    renameSync(`${file}.new`, file);
  }

  /** Whether the step was reached. */
  get fired(): boolean {
    return existsSync(join(this.dir, 'fired'));
  }

  /** From now on nothing breaks; answers whether it did. */
  disarm(): boolean {
    rmSync(join(this.dir, 'armed'), { force: true });
    const { fired } = this;
    rmSync(join(this.dir, 'fired'), { force: true });
    return fired;
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** What a call came to that was broken somewhere. */
export interface After {
  /** Verb and step, for messages. */
  readonly step: string;
  readonly how: Break;
  /** What the caller was answered; null where it was told that it failed, or nothing. */
  readonly answer: unknown;
}

/** A verb that is broken at each of its steps. */
export interface Swept<T> {
  readonly name: string;
  /** Makes what the verb needs. */
  readonly prepare: () => Promise<T>;
  /** The call, and the wait for what it leaves to the background; ends early when the daemon is dead. */
  readonly call: (made: T) => Promise<unknown>;
  /** Looks at what a dead daemon left. */
  readonly whileDead?: (t: ExecutionContext, made: T, step: string) => void;
  /** What the kubelet does next, and that it comes out right; removes what was made. */
  readonly converge: (t: ExecutionContext, made: T, after: After) => Promise<void>;
  /** What is left on the host when that is done: nothing. */
  readonly left: () => Promise<string[]>;
  /** Its trash is emptied when nobody needs the disk, perhaps after the next call: at no step of its own. */
  readonly withoutTrash?: boolean;
  /** How often it is killed by default; 4 times unless given. */
  readonly most?: number;
  /** Steps besides what is owed whose failure leaves it a success, for a reason that stands beside them. */
  readonly mayFail?: (step: Step) => boolean;
  /** Monitors are of no account to it. */
  readonly withoutMonitors?: boolean;
}

/** Steps of the daemon that change nothing yet, right behind one that changed something: the state is the same. */
const begins = ({ label }: Step): boolean => /^[a-z ]+\.\w+$/.test(label);

/** So many of a list, the first and the last among them, spread evenly. */
function spread<T>(list: readonly T[], most: number): T[] {
  if (list.length <= most) return [...list];
  return Array.from({ length: most }, (_, n) => list[Math.round((n * (list.length - 1)) / (most - 1))] as T);
}

const lateLast = (a: Break, b: Break): number => Number(a === 'kill all') - Number(b === 'kill all');

/**
 * Which steps to break, and how. By default each fails, and of the kills what is left out dies in a state that another
 * dies in as well; of verbs that are parts of others only some are broken.
 */
function chosen(
  steps: readonly Step[],
  { withoutMonitors = false, most = 4 }: Pick<Swept<never>, 'withoutMonitors' | 'most'>,
) {
  const all: Break[] = withoutMonitors ? ['kill', 'fail'] : ['kill', 'kill all', 'fail'];
  const once = steps.filter(({ nth }) => nth === 1);
  const kills = spread(
    once.filter((step) => !begins(step)),
    most,
  );
  const first = [
    ...kills.map((step) => ({ step, how: 'kill' as const })),
    // a failure costs no start: everything there is fails once
    ...once.map((step) => ({ step, how: 'fail' as const })),
  ];
  if (!everything) return first;
  // what time is short for comes last: a monitor that dies too frees what it held by itself
  const others = all.flatMap((how) => steps.map((step) => ({ step, how })));
  const isFirst = (one: (typeof others)[number]): boolean =>
    first.some(({ step, how }) => step === one.step && how === one.how);
  return [...first, ...others.filter((one) => !isFirst(one)).toSorted((a, b) => lateLast(a.how, b.how))];
}

/** Runs the call once to learn its steps, then once for each of them with a break there. */
export async function sweepSteps<T>(t: ExecutionContext, on: { daemon: TestDaemon; steps: Steps }, verb: Swept<T>) {
  const { steps } = on;
  const first = await verb.prepare();
  await delivered(on.daemon);
  let unbroken: unknown;
  const passed = await steps.during(async () => {
    unbroken = await verb.call(first);
    await delivered(on.daemon);
  });
  const found = passed.filter(
    ({ label }) => !(verb.withoutTrash ?? false) || !/^(file|tree) freed$|^native\.sweepTrash/.test(label),
  );
  await verb.converge(t, first, { step: `${verb.name} unbroken`, how: 'fail', answer: unbroken ?? {} });
  t.deepEqual(await verb.left(), [], `${verb.name} unbroken`);
  t.true(found.length >= 3, `${verb.name} passes steps: ${found.map(({ label }) => label).join(', ')}`);
  const counts = { kill: 0, 'kill all': 0, fail: 0 };
  let missed = 0;
  let leftOut = 0;
  const until = Date.now() + (deadline - Date.now()) * shareOfTime;
  for (const { step, how } of chosen(found, verb)) {
    if (Date.now() > until) {
      leftOut += 1;
      continue;
    }
    const once = { verb, step, how };
    // what goes on beside a call may not have come in time: once more
    const reached = (await breakAt(t, on, once)) || (step.nth === 1 && (await breakAt(t, on, once)));
    if (reached) counts[how] += 1;
    else missed += 1;
    t.true(reached || step.nth > 1, `${verb.name} passes ${step.label}`);
  }
  const often = Object.entries({ ...counts, 'not passed again': missed, 'left out for want of time': leftOut });
  const told = often.filter(([how, n]) => n > 0 || how in counts).map(([how, n]) => `${how} ${n}`);
  t.log(`${verb.name}: ${found.length} steps; ${told.join(', ')}`);
}

/** What a daemon does when an answer has left is done when the next one comes (src/cri/sent.ts), or it is dead. */
async function delivered(daemon: TestDaemon): Promise<void> {
  let came = false;
  const next = daemon.runtime.Version({}, { deadlineMs: besideMs }).catch(() => undefined);
  void next.then(() => (came = true));
  await until('the answer before has left', () => came || !daemon.running);
}

/**
 * What may fail and leave the call a success: what is freed later, and a fact that is known at once and written when it
 * can be.
 */
const owed =
  /^(record of \w+ status\.json |(tree|file) freed|tree renamed away|content removed|native\.(removeTree|sweepTrash))/;

interface Broken<T> {
  readonly verb: Swept<T>;
  readonly step: Step;
  readonly how: Break;
}

/** How long is waited for a step that goes on beside the call, when the call was faster, in milliseconds. */
const besideMs = 20_000;

/** One call that is broken at one step. False when it came to its end without passing it. */
async function breakAt<T>(
  t: ExecutionContext,
  { daemon, steps }: { daemon: TestDaemon; steps: Steps },
  { verb, step, how }: Broken<T>,
): Promise<boolean> {
  const name = `${verb.name}, ${how} at ${step.label}, time ${step.nth}`;
  const made = await verb.prepare();
  await delivered(daemon);
  steps.arm(how, step);
  const answer = await verb.call(made).then(
    (what) => what ?? {},
    () => null,
  );
  await delivered(daemon);
  // of labels that are many the n-th may never come; the first one does, perhaps after the answer
  if (step.nth === 1)
    await until(`${name}: it is passed`, () => steps.fired || !daemon.running, besideMs).catch(() => undefined);
  const reached = steps.disarm();
  if (how === 'fail' && reached)
    t.true(answer === null || owed.test(step.label) || (verb.mayFail?.(step) ?? false), `${name}, and is answered`);
  if (how !== 'fail' && reached) {
    await until('the daemon dies', () => !daemon.running);
    if (how === 'kill all') await killMonitors(daemon);
    verb.whileDead?.(t, made, name);
    await daemon.start();
  }
  try {
    if (how === 'kill all') await daemon.removeAllPods();
    else await verb.converge(t, made, { step: name, how, answer });
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  }
  t.deepEqual(await verb.left(), [], name);
  return reached;
}

async function killMonitors(daemon: TestDaemon): Promise<void> {
  const monitors = (): number[] =>
    processesOf(daemon)
      .filter(({ kind }) => kind === 'monitor')
      .map(({ pid }) => pid);
  for (const pid of monitors()) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it ended by itself
    }
  }
  await until('the monitors die', () => monitors().length === 0);
}
