import test from 'ava';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import * as fc from 'fast-check';
import { GatheredWrites } from '../../../src/monitor/gathered-writes.ts';

fc.configureGlobal({ seed: 4711 }); // the same cases each time: other ones are the fuzzers' work

/** A connection over a unix socket. */
async function pair(): Promise<{ writer: Socket; reader: Socket; close: () => void }> {
  const dir = mkdtempSync('/tmp/pwg-');
  const server = createServer();
  server.listen(`${dir}/s`);
  await once(server, 'listening');
  const writer = connect(`${dir}/s`);
  const [reader] = (await once(server, 'connection')) as [Socket];
  server.close();
  return {
    writer,
    reader,
    close: () => {
      writer.destroy();
      reader.destroy();
      rmSync(dir, { recursive: true });
    },
  };
}

test('what is written comes out whole and in order, however large the pieces and slow the reader', async (t) => {
  const piece = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 90_000 }), fc.constant(400_000));
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 60 }), fc.boolean(), async (sizes, slow) => {
      const { writer, reader, close } = await pair();
      const output = new GatheredWrites(writer);
      const received: Buffer[] = [];
      reader.on('data', (bytes: Buffer) => {
        received.push(bytes);
        if (!slow) return;
        reader.pause();
        setImmediate(() => reader.resume());
      });
      const ended = once(reader, 'end');
      const sent: Buffer[] = [];
      let at = 0;
      const next = (): void => {
        while (at < sizes.length) {
          const size = sizes[at] ?? 0;
          at += 1;
          const bytes = Buffer.alloc(size, at);
          sent.push(Buffer.from(bytes));
          const more = output.write(bytes);
          bytes.fill(0xff); // they are ours again
          if (!more) return;
        }
        output.end();
      };
      output.onDrain(next);
      next();
      await ended;
      close();
      t.true(Buffer.concat(received).equals(Buffer.concat(sent)));
    }),
    { numRuns: 60 },
  );
});

test('a writer whose reader is gone is not held up', async (t) => {
  const { writer, reader, close } = await pair();
  writer.on('error', () => undefined);
  const output = new GatheredWrites(writer);
  const drained = new Promise<void>((resolve) => output.onDrain(resolve));
  while (output.write(Buffer.alloc(50_000)));
  reader.destroy();
  await drained;
  t.true(output.write(Buffer.alloc(1)));
  close();
});
