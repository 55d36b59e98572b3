// Image records on disk: what a write that failed half-way leaves is no record of an image that is removed then.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ImageRecords } from '../../../src/state/images.ts';
import { RecordWriter } from '../../../src/state/record-writer.ts';

interface Image {
  readonly id: string;
  readonly pulledAt: bigint;
  readonly namedAt: bigint;
}

const id = `sha256:${'a'.repeat(64)}`;
const image = (pulledAt: bigint): Image => ({ id, pulledAt, namedAt: 0n });

/** Records of a directory, whose second write fails at a step. */
function room(t: ExecutionContext, failAt: string) {
  const root = mkdtempSync(join(tmpdir(), 'podwright-images-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  const dir = join(root, 'images');
  let armed = false;
  const writer = new RecordWriter(
    (error) => t.fail(String(error)),
    (label) => {
      if (armed && label === `record of images ${failAt}`) throw new Error(`a test has it fail: ${label}`);
    },
  );
  const open = (): ImageRecords<Image> => {
    const records = new ImageRecords<Image>({ dir, quarantineDir: join(root, 'quarantine'), writer });
    records.load();
    return records;
  };
  return { dir, open, arm: () => void (armed = true) };
}

for (const failAt of ['written', 'out of the way', 'renamed']) {
  test(`a write that fails when it is ${failAt}`, async (t) => {
    const { dir, open, arm } = room(t, failAt);
    const records = open();
    await records.put(image(1n));
    arm();
    await t.throwsAsync(records.put(image(2n)), { message: /write the record of image/ });
    t.deepEqual(
      open()
        .list()
        .map(({ pulledAt }) => pulledAt),
      [failAt === 'renamed' ? 2n : 1n],
      'it is whole',
    );
    await records.remove(id);
    t.deepEqual(readdirSync(dir), []);
    t.deepEqual(open().list(), []);
  });
}

test('one that fails half-way is removed by who has not started anew', async (t) => {
  const { dir, open, arm } = room(t, 'out of the way');
  const records = open();
  await records.put(image(1n));
  arm();
  await t.throwsAsync(records.put(image(2n)));
  t.deepEqual(readdirSync(dir), [`${'a'.repeat(64)}.json`], 'the next content went, the last one is back');
  await records.remove(id);
  t.deepEqual(readdirSync(dir), []);
  t.deepEqual(open().list(), []);
});
