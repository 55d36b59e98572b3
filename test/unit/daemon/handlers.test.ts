// What Status tells of other runtimes: each is asked once, and again only where something had run out.
import test from 'ava';
import type { RuntimeHandlers } from '../../../src/config/runtimes.ts';
import { askHandlers } from '../../../src/daemon/handlers.ts';
import { NativeError } from '../../../src/native/errors.ts';

const program = { path: '/usr/bin/runc', args: [], type: 'oci', hideUnifiedCgroup: false } as const;
const runtimes = { runc: program } as unknown as RuntimeHandlers;
const answer = { code: 0, stderr: JSON.stringify({ recursiveReadOnly: true, ociVersionMax: '1.2.0' }) };
const noProcess = { operation: 'start', syscall: 'clone', errno: 11, object: '', message: 'start: clone: (errno 11)' };

/** Lists handlers after each of the answers that the runtime gives; so many asks, and so many warnings, come of it. */
async function listed(...answers: (typeof answer | Error)[]) {
  const warned: string[] = [];
  let asks = 0;
  const list = askHandlers(runtimes, {
    native: {
      spawnMonitor: async () => {
        const given = answers[asks] ?? answer;
        asks += 1;
        if (given instanceof Error) throw given;
        return given;
      },
    },
    log: { warn: (...[, message]: [object, string]) => void warned.push(message) } as never,
  });
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const told: boolean[] = [];
  for (let n = 0; n <= answers.length; n += 1) {
    await settled();
    told.push(...list().map(({ recursiveReadOnly }) => recursiveReadOnly));
  }
  await settled();
  return { told, asks, warned: warned.length };
}

test('one that answers is asked once', async (t) => {
  t.deepEqual(await listed(answer), { told: [true, true], asks: 1, warned: 0 });
});

test('one that cannot tell is not asked again', async (t) => {
  t.deepEqual(await listed({ code: 1, stderr: 'unknown command' }), { told: [false, false], asks: 1, warned: 1 });
});

test('one that could not be asked for want of something is asked until it answers, and warned of once', async (t) => {
  const lacking = new NativeError(noProcess);
  const words = { code: 1, stderr: 'run runc: clone: resource temporarily unavailable (errno 11)' };
  t.deepEqual(await listed(lacking, words), { told: [false, false, true], asks: 3, warned: 1 });
});
