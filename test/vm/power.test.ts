// The power goes, at random writes: every image that was said to be there is whole, of the records at most the last second
// is missing, nothing torn is taken for whole, and the node goes on. hack/test.sh vm-power runs it where the kernel can.
import { randomInt } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Chance } from '../helpers/chance.ts';
import { TestDaemon } from '../helpers/daemon.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage } from '../helpers/image-parts.ts';
import { LoggedDisk, type LogEntry, noLoggedDisk } from '../helpers/logged-disk.ts';
import { containerConfig, exec, exited, pull, runPod, scripted, start, tools } from '../helpers/pods.ts';
import { sweep } from '../helpers/sweep.ts';

const why = noLoggedDisk();
const real = why === null ? test.serial : test.serial.skip;
const title = (what: string): string => (why === null ? what : `${what} [${why}]`);

/** How often the power goes; each takes seconds. */
const cuts = Number(process.env['POWER_CUTS'] ?? 24);
/** What the order of chances begins with: a run is repeated by it. */
const seed = Number(process.env['POWER_SEED'] ?? randomInt(2 ** 31));
/**
 * What may be missing of records, in milliseconds: a second is promised (docs/state.md), of a machine that is not emulated
 * with system calls that take ten times as long.
 */
const mayMiss = 1000 * (process.env['TESTBED'] === undefined ? 1 : 5);

/** Something that the node was told is so, and when; `until` when it was to be removed. */
interface Fact {
  readonly what: 'image' | 'sandbox' | 'container' | 'exit';
  readonly id: string;
  readonly told: number;
  until: number;
}

const bootIdFile = '/proc/sys/kernel/random/boot_id';

/** Has this kernel be of another boot meanwhile. */
async function inAnotherBoot(place: string, run: () => Promise<void>): Promise<void> {
  const file = join(place, 'boot_id');
  writeFileSync(file, '00000000-1111-4222-8333-444444444444\n');
  execFileSync('mount', ['--bind', file, bootIdFile]);
  try {
    await run();
  } finally {
    execFileSync('umount', [bootIdFile]);
  }
}

const now = (): number => performance.now();

/** What a node does in its first minute; answers what it was told. */
async function work(daemon: TestDaemon, registry: FakeRegistry, tick: () => void): Promise<Fact[]> {
  const facts: Fact[] = [];
  const told = (what: Fact['what'], id: string): Fact => {
    const fact = { what, id, told: now(), until: Infinity };
    facts.push(fact);
    tick();
    return fact;
  };
  told('image', await pull(daemon));
  for (let n = 0; n < 6; n += 1) {
    const shared = { base: 'x'.repeat(200_000) };
    registry.push('power', `v${n}`, makeImage([shared, { [`own-${n}`]: 'y'.repeat(20_000 * (n + 1)) }]));
    const image = told('image', await pull(daemon, `${registry.host}/power:v${n}`));
    const pod = await runPod(daemon);
    const sandbox = told('sandbox', pod.id);
    const container = told('container', await start(daemon, pod, containerConfig()));
    const short = await start(daemon, pod, scripted(`exit ${n + 1}`));
    told('container', short);
    await exited(daemon, short);
    told('exit', short);
    if (n % 3 !== 1) continue;
    for (const fact of [sandbox, container, ...facts.filter(({ id }) => id === short)]) fact.until = now();
    await daemon.removePod(pod.id);
    tick();
    if (n !== 1) continue;
    image.until = now();
    await daemon.image.RemoveImage({ image: { image: image.id } });
    tick();
  }
  // what follows must not be in time to sync it: the last second is at stake too
  return facts;
}

/** What the node says after the power came back, held against what it was told before. */
async function compare(
  t: ExecutionContext,
  daemon: TestDaemon,
  { facts, cutAt }: { readonly facts: readonly Fact[]; readonly cutAt: number },
): Promise<number> {
  const { images } = await daemon.image.ListImages({});
  const { items } = await daemon.runtime.ListPodSandbox({});
  const { containers } = await daemon.runtime.ListContainers({});
  for (const { id, state } of items) t.is(state, 'SANDBOX_NOTREADY', id);
  const states = new Map(containers.map(({ id, state }) => [id, state]));
  let missed = 0;
  for (const { what, id, told, until } of facts) {
    if (told > cutAt || until <= cutAt) continue;
    const there =
      what === 'image'
        ? images.some((image) => image.id === id)
        : what === 'sandbox'
          ? items.some((item) => item.id === id)
          : what === 'container'
            ? states.has(id)
            : states.get(id) === 'CONTAINER_EXITED';
    if (there) continue;
    t.not(what, 'image', `image ${id} was there ${cutAt - told} ms before the cut`);
    missed = Math.max(missed, cutAt - told);
  }
  t.true(missed <= mayMiss, `a record of ${missed} ms before the cut is missing`);
  for (const state of states.values()) t.regex(state, /^CONTAINER_(EXITED|UNKNOWN)$/);
  return missed;
}

/** The node goes on: what there is is whole, a pod runs, everything can be removed. */
async function goesOn(t: ExecutionContext, daemon: TestDaemon): Promise<void> {
  if ((await daemon.image.ListImages({})).images.length > 0) {
    const report = await daemon.podwright('images', 'verify').catch((error: { stdout?: string; message: string }) => {
      t.fail(`${error.message}\n${error.stdout ?? ''}`);
      return '';
    });
    t.notRegex(report, /damaged|missing/i, report);
  }
  await pull(daemon, tools);
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, containerConfig());
  t.is((await exec(daemon, id, 'true')).code, 0);
  await daemon.removeAllPods();
  t.deepEqual(await daemon.leftOfPods(), []);
  await daemon.shutdown();
  t.deepEqual(await daemon.leftOfNetwork(), []);
}

let disk: LoggedDisk | null = null;
let registry: FakeRegistry | null = null;
test.after.always('the disk goes', async () => {
  disk?.remove();
  await registry?.close();
});

real(title(`the power goes at ${cuts} moments of a node's first pods and pulls`), async (t) => {
  t.timeout(60 * 60_000);
  t.log(`POWER_SEED=${seed}`);
  const chance = new Chance(seed);
  const place = '/tmp/pwt-power-boot';
  mkdirSync(place, { recursive: true });
  registry = await startFakeRegistry();
  const logged = (disk = new LoggedDisk(192, 1024));
  const dir = join(logged.dir, 'n');
  const times = new Map<string, number>();
  /** Leaves the time in the log. */
  const tick = (): void => {
    const name = `t${times.size}`;
    times.set(name, now());
    logged.mark(name);
  };
  let facts: Fact[] = [];
  const before = new TestDaemon({ dir, logFile: join(place, 'before.log') });
  await inAnotherBoot(place, async () => {
    mkdirSync(dir);
    const ticking = setInterval(tick, 100);
    try {
      await before.start();
      facts = await work(before, registry as FakeRegistry, tick);
      tick();
    } finally {
      clearInterval(ticking);
      if (before.running) await before.kill9();
      await sweep(before);
      before.release();
    }
  });
  logged.end();
  const entries = logged.entries();
  const firstFact = entries.findIndex(({ mark }) => mark !== null && (times.get(mark) ?? 0) >= (facts[0] as Fact).told);
  t.true(firstFact > 0 && facts.length > 20);
  const writes = (from: readonly LogEntry[]): number => from.filter(({ mark }) => mark === null).length;
  t.log(`${entries.length} entries, ${writes(entries)} writes, ${entries.filter(({ flush }) => flush).length} flushes`);
  let worst = 0;
  for (let n = 0; n < cuts; n += 1) {
    // one in four before anything was told: a store that is just being made
    const begin = n % 4 === 0 ? 0 : firstFact;
    const count = begin + chance.below(entries.length - begin);
    const last = entries.slice(0, count).findLast(({ mark }) => mark !== null && times.has(mark));
    const cutAt = last === undefined ? 0 : (times.get(last.mark as string) as number);
    logged.mountAsAfter(entries, count, () => chance.next() < 0.5);
    mkdirSync(dir, { recursive: true });
    const after = new TestDaemon({ dir, logFile: join(place, `after-${n}.log`), after: before });
    try {
      await after.start();
      const torn = existsSync(join(after.root, 'quarantine')) ? readdirSync(join(after.root, 'quarantine')) : [];
      const missed = await compare(t, after, { facts, cutAt });
      worst = Math.max(worst, missed);
      await goesOn(t, after);
      t.log(
        `cut ${n} after ${count} of ${entries.length}: ${Math.round(missed)} ms missed, ${torn.length} quarantined`,
      );
    } catch (error) {
      t.log(`cut ${n} after ${count} of ${entries.length}\n${after.lastWords()}`);
      throw error;
    } finally {
      if (after.running) await after.kill9();
      await sweep(after);
      after.release();
      logged.unmount();
    }
  }
  t.log(`of records at most the last ${Math.round(worst)} ms were missing`);
  rmSync(place, { recursive: true });
});
