import test from 'ava';
import { repairImages } from '../../../src/cli/images-verify.ts';
import type { Session } from '../../../src/cli/session.ts';

/** Repairs with these outcomes; what was printed, and the exit status. */
async function repaired(...images: readonly { image: string; outcome: string; why: string }[]) {
  const told = { printed: '', exitCode: 0 };
  const client = {
    async *stream() {
      for (const image of images) yield { image };
    },
  };
  const session = {
    client,
    progress: () => undefined,
    print: (_: unknown, text: () => string) => void (told.printed = text()),
    failWith: (exitCode: number) => void (told.exitCode = exitCode),
  } as unknown as Session;
  await repairImages(session, [], {});
  return told;
}

test('what became of each image is said, and what is not repaired ends with status 1', async (t) => {
  t.deepEqual(await repaired(), { printed: 'nothing is damaged\n', exitCode: 0 });
  t.deepEqual(await repaired({ image: 'app:1', outcome: 'repaired', why: '' }), {
    printed: 'app:1 repaired\n',
    exitCode: 0,
  });
  t.deepEqual(await repaired({ image: 'app:1', outcome: 'kept', why: 'no connection' }), {
    printed: 'app:1 could not be repaired and stays: no connection\n',
    exitCode: 1,
  });
  t.deepEqual(await repaired({ image: 'app:1', outcome: 'removed', why: 'no connection' }), {
    printed: 'app:1 removed, as it could not be got again: no connection\n  the next pull brings it\n',
    exitCode: 1,
  });
});
