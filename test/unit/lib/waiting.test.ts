import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { whenSilentFor } from '../../../src/lib/waiting.ts';
import { until } from '../../helpers/until.ts';

test('what came while the process had no time is heard before anybody is given up', async (t) => {
  const dir = mkdtempSync('/tmp/pwu-waiting-');
  const path = join(dir, 's');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const reader = connect(path);
  const [writer] = (await once(server, 'connection')) as [Socket];
  t.teardown(() => {
    for (const end of [reader, writer]) end.destroy();
    server.close();
    rmSync(dir, { recursive: true });
  });
  const seen: string[] = [];
  reader.on('data', () => void seen.push('a word'));
  writer.write('x');
  await until('it is listened to', () => seen.length === 1);
  const { promise, resolve } = Promise.withResolvers<void>();
  await new Promise((next) => setImmediate(next)); // timers are what comes next
  const off = whenSilentFor(1, () => void seen.push('called off'));
  whenSilentFor(5, () => {
    seen.push('silence');
    resolve();
  });
  writer.write('x');
  off();
  for (const end = performance.now() + 30; performance.now() < end;);
  await promise;
  t.deepEqual(seen, ['a word', 'a word', 'silence']);
});
