// A daemon of an earlier release and the monitors of today (ruling 11): its recorded requests are carried out, and it reads
// in the answers what it read in those of its own monitors.
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Digest } from '../../src/lib/id.ts';
import { loadNative } from '../../src/native/load.ts';
import { chainIds } from '../../src/image/image.ts';
import { dist, endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { FakeCriu } from '../helpers/fake-criu.ts';
import { pull, tools } from '../helpers/pods.ts';
import { recordings } from '../recordings/recording.ts';
import { Replay } from '../recordings/replay.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test, { network: 'none' });
const criu = new FakeCriu();
test.after.always('files go', () => criu.remove());

/** Directories of the image's layers, topmost first. */
async function layersOf(image: string): Promise<string[]> {
  await pull(daemon, image);
  const { info } = await daemon.image.ImageStatus({ image: { image }, verbose: true });
  const { imageSpec } = JSON.parse(info['info'] ?? '{}') as { imageSpec: { rootfs: { diff_ids: Digest[] } } };
  const chain = chainIds(imageSpec.rootfs.diff_ids);
  return chain.toReversed().map((id) => join(daemon.root, 'layers', id.replace('sha256:', ''), 'diff'));
}

/** Members that differ from host to host and from run to run: whether they are there is all that is compared. */
const varying =
  /^(pid|pausePid|startTime|createdAt|startedAt|finishedAt|monitorVersion|frozenMs|notes|limitBytes|oom.*|detail|groups)$/;

/** A value with what varies replaced by whether there is something. */
function compared(value: unknown, oomKilled: ReadonlySet<string>): unknown {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return value.map((each) => compared(each, oomKilled)).sort(byContainer);
  // here there is no limit of memory, so that one ends by itself
  const own = 'containerId' in value && oomKilled.has(String(value.containerId));
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, each]) => {
      if (/^(notes|oom.*)$/.test(key) || (own && /^(exitCode|signal)$/.test(key))) return [];
      return [[key, varying.test(key) ? !['', '0', 0].includes(each as string) : compared(each, oomKilled)]];
    }),
  );
}
const idOf = (value: unknown): string => (value as { containerId?: string }).containerId ?? '';
const byContainer = (a: unknown, b: unknown): number => idOf(a).localeCompare(idOf(b));

for (const recording of recordings()) {
  test.serial(`the requests of ${recording.facts.version} are what they were`, async (t) => {
    const dir = join(daemon.dir, recording.facts.version);
    mkdirSync(dir);
    for (const { sandbox } of recording.lines) daemon.ids.add(sandbox);
    const lower = await layersOf(tools);
    const { networkLoopbackUp } = loadNative(join(dist, 'addon.node'));
    const replay = new Replay(recording, {
      dir,
      criu: criu.dir,
      lower,
      monitor: join(dist, 'podwright-monitor'),
      loopbackUp: (netns) => networkLoopbackUp({ netns }),
    });
    try {
      await replay.play();
    } finally {
      await replay.end();
    }
    const killed = new Set<string>();
    for (const { frame } of recording.lines) {
      const oom = frame === undefined ? null : recording.codec.decode(Buffer.from(frame, 'base64')).event?.oom;
      if (oom) killed.add(oom.containerId);
    }
    for (const { call, before, now } of replay.compared)
      t.deepEqual(compared(now, killed), compared(before, killed), `${call}: ${now.failure?.detail}`);
    t.true(replay.compared.length > 50);
    const sockets = (): string[] => readdirSync(join(dir, 'state/sockets'));
    t.true(await until('no socket is left', () => sockets().length === 0));
  });
}

endsWithoutResidue(test, daemon);
