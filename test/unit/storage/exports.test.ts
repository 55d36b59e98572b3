// Layouts that are saved below somebody else's directory, who puts other things in their place meanwhile.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import type { ExportBlobRequest } from '../../../src/native/boundary.ts';
import { Exports, type ExportSink, type ExportsOptions } from '../../../src/storage/exports.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const { signal } = new AbortController();

interface Made {
  readonly exports: Exports;
  /** Somebody's. */
  readonly out: string;
  /** What no save may touch: a layout with a blob. */
  readonly victim: string;
  readonly savesDir: string;
  readonly blob: (sink: ExportSink) => Promise<unknown>;
}

function setup(t: ExecutionContext): Made {
  const root = mkdtempSync('/tmp/pwt-exports-');
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const [out, victim, savesDir] = [join(root, 'out'), join(root, 'victim'), join(root, 'saves')];
  mkdirSync(out);
  mkdirSync(join(victim, 'blobs/sha256'), { recursive: true });
  writeFileSync(join(victim, 'blobs/sha256/kept'), '');
  const native = {
    exportBlob: async ({ into }: ExportBlobRequest) => {
      writeFileSync(join(into.path, 'a'.repeat(64)), 'blob', { flag: 'wx' });
      return { digest, bytes: 4 };
    },
    fetchProgress: () => [],
    syncFs: async () => null,
  } as unknown as ExportsOptions['native'];
  const exports = new Exports({ native, savesDir });
  const job = { source: { type: 'text', text: 'blob' }, what: 'it', onBytes: () => undefined } as const;
  return { exports, out, victim, savesDir, blob: (sink) => sink.blob({ ...job, compression: 'none' }, signal) };
}

/** Everything in a directory. */
const all = (dir: string): string[] => readdirSync(dir, { recursive: true, encoding: 'utf8' }).toSorted();
const asItWas = ['blobs', 'blobs/sha256', 'blobs/sha256/kept'];
/** Of this process, into the directories of a test. */
const isOnlyPart = (out: string): string => join(out, readdirSync(out)[0] ?? '');

test('a layout is at its place when it is whole, or gone', async (t) => {
  const { exports, out, savesDir, blob } = setup(t);
  const gone = await exports.directory(join(out, 'a'));
  await blob(gone);
  await gone.describe('index.json', '{}');
  await gone.discard();
  t.deepEqual([all(out), all(savesDir)], [[], []]);
  const sink = await exports.directory(join(out, 'a'));
  await blob(sink);
  await sink.describe('index.json', '{}');
  t.false(existsSync(join(out, 'a')));
  await sink.commit();
  t.deepEqual(all(out), ['a', 'a/blobs', 'a/blobs/sha256', `a/blobs/sha256/${'a'.repeat(64)}`, 'a/index.json']);
  t.deepEqual(all(savesDir), []);
});

test('what is put in the place of a layout that is being written is neither written to nor removed', async (t) => {
  const { exports, out, victim, savesDir, blob } = setup(t);
  const sink = await exports.directory(join(out, 'a'));
  const part = isOnlyPart(out);
  renameSync(part, join(out, 'moved'));
  symlinkSync(victim, part);
  await blob(sink);
  await sink.describe('index.json', '{}');
  t.deepEqual(all(victim), asItWas);
  t.deepEqual(all(join(out, 'moved')).at(-1), 'index.json');
  const error = await t.throwsAsync(sink.commit(), {
    instanceOf: Failure,
    message: /was replaced while it was written/,
  });
  t.is(error?.kind, 'failed-precondition');
  await sink.discard();
  t.deepEqual(all(victim), asItWas);
  t.deepEqual([all(join(out, 'moved')), all(savesDir)], [[], []]);
});

test('a start follows no link to what a daemon that was killed has left', async (t) => {
  const { exports, out, victim, savesDir, blob } = setup(t);
  const killed = await exports.directory(join(out, 'a'));
  await blob(killed);
  symlinkSync(victim, join(isOnlyPart(out), 'blobs/more'));
  const other = await exports.directory(join(out, 'b'));
  const second = join(out, readdirSync(out).find((name) => name.startsWith('.b.')) ?? '');
  rmSync(second, { recursive: true });
  symlinkSync(victim, second);
  await exports.sweep();
  t.deepEqual([all(out), all(savesDir)], [[], []]);
  // what is gone already is no failure
  for (const sink of [killed, other]) await t.notThrowsAsync(sink.discard());
  t.deepEqual(all(victim), asItWas);
});
