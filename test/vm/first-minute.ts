// What a node is told in its first minute, and what it must still be right about after the power went or its disk failed.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { TestDaemon } from '../helpers/daemon.ts';
import type { FakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage } from '../helpers/image-parts.ts';
import { containerConfig, exec, exited, pull, runPod, scripted, start, tools } from '../helpers/pods.ts';

/**
 * What may be missing of records, in milliseconds: a second is promised (docs/state.md), of a machine that is not emulated
 * with system calls that take ten times as long.
 */
export const mayMiss = 1000 * (process.env['TESTBED'] === undefined ? 1 : 5);

/** Something that the node was told is so, and when; `until` when it was to be removed. */
export interface Fact {
  readonly what: 'image' | 'sandbox' | 'container' | 'exit';
  readonly id: string;
  readonly told: number;
  /** Of an exit. */
  readonly code?: number;
  until: number;
}

const bootIdFile = '/proc/sys/kernel/random/boot_id';

/** Has this kernel be of another boot meanwhile. */
export async function inAnotherBoot(place: string, run: () => Promise<void>): Promise<void> {
  const file = join(place, 'boot_id');
  writeFileSync(file, '00000000-1111-4222-8333-444444444444\n');
  execFileSync('mount', ['--bind', file, bootIdFile]);
  try {
    await run();
  } finally {
    execFileSync('umount', [bootIdFile]);
  }
}

/** The clock of what is told. */
export const now = (): number => performance.now();

/** What a node does in its first minute; `facts` are what it was told, `tick` is called with each. */
export async function work(
  daemon: TestDaemon,
  registry: FakeRegistry,
  { facts, tick }: { readonly facts: Fact[]; readonly tick: () => void },
): Promise<void> {
  const told = (what: Fact['what'], id: string, code?: number): Fact => {
    const fact = { what, id, told: now(), until: Infinity, ...(code !== undefined && { code }) };
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
    told('exit', short, n + 1);
    if (n % 3 !== 1) continue;
    for (const fact of [sandbox, container, ...facts.filter(({ id }) => id === short)]) fact.until = now();
    tick();
    await daemon.removePod(pod.id);
    tick();
    if (n !== 1) continue;
    image.until = now();
    tick();
    await daemon.image.RemoveImage({ image: { image: image.id } });
    tick();
  }
}

/** What the node had been told when the power went: at `cutAt` it was still there, at `cutEnd` it was gone. */
export interface Cut {
  readonly facts: readonly Fact[];
  readonly cutAt: number;
  readonly cutEnd?: number;
}

/** What the node says after the power came back, held against what it was told before. */
export async function compare(
  t: ExecutionContext,
  daemon: TestDaemon,
  { facts, cutAt, cutEnd = cutAt }: Cut,
): Promise<number> {
  const { images } = await daemon.image.ListImages({});
  const { items } = await daemon.runtime.ListPodSandbox({});
  const { containers } = await daemon.runtime.ListContainers({});
  for (const { id, state } of items) t.is(state, 'SANDBOX_NOTREADY', id);
  const states = new Map(containers.map(({ id, state }) => [id, state]));
  const codeOf = async (id: string): Promise<number> =>
    (await daemon.runtime.ContainerStatus({ container_id: id })).status?.exit_code ?? -1;
  let missed = 0;
  for (const { what, id, told, until, code } of facts) {
    if (told > cutAt || until <= cutEnd) continue;
    const there =
      what === 'image'
        ? images.some((image) => image.id === id)
        : what === 'sandbox'
          ? items.some((item) => item.id === id)
          : what === 'container'
            ? states.has(id)
            : states.has(id) && (await codeOf(id)) === code;
    if (there) continue;
    t.not(what, 'image', `image ${id} was there ${cutAt - told} ms before the cut`);
    missed = Math.max(missed, cutAt - told);
  }
  t.true(missed <= mayMiss, `a record of ${missed} ms before the cut is missing`);
  for (const state of states.values()) t.regex(state, /^CONTAINER_(EXITED|UNKNOWN)$/);
  return missed;
}

/** The node goes on: what there is is whole, a pod runs, everything can be removed. */
export async function goesOn(t: ExecutionContext, daemon: TestDaemon): Promise<void> {
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

/** How many records a start of it set aside. */
export function quarantined({ root }: TestDaemon): number {
  const dir = join(root, 'quarantine');
  return existsSync(dir) ? readdirSync(dir).length : 0;
}
