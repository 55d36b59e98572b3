import test from 'ava';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { RunFiles } from '../../../src/state/run-files.ts';

function room(t: { teardown: (then: () => void) => void }) {
  const root = mkdtempSync('/tmp/pw-run-files-');
  t.teardown(() => rmSync(root, { recursive: true }));
  const at = (kind: string) => (id: string) => join(root, kind, id);
  const files = new RunFiles({
    sandboxRunDir: at('run'),
    bundleDir: at('bundles'),
    monitorSocket: at('sockets'),
    netnsPin: at('netns'),
  });
  return { root, files };
}

test("a bundle's process is parsed once, and gone with the bundle", async (t) => {
  const { files } = room(t);
  const process = { args: ['sh'], cwd: '/' };
  files.writeBundle('a', { ociVersion: '1.2.0', process });
  const first = files.readProcess('a');
  t.deepEqual(first, process);
  t.is(files.readProcess('a'), first);
  t.is(files.readProcess('b'), null);
  await files.removeBundle('a');
  t.is(files.readProcess('a'), null);
});

test('the processes used last are kept, and no more than 64', (t) => {
  const { files } = room(t);
  const ids = Array.from({ length: 65 }, (_, at) => `c${at}`);
  for (const id of ids) files.writeBundle(id, { process: { args: [id] } });
  const often = files.readProcess('c0');
  const seldom = files.readProcess('c1');
  for (const id of ids.slice(2, 64)) files.readProcess(id);
  t.is(files.readProcess('c0'), often);
  t.deepEqual(files.readProcess('c64'), { args: ['c64'] });
  t.is(files.readProcess('c0'), often);
  t.deepEqual(files.readProcess('c1'), seldom);
  t.not(files.readProcess('c1'), seldom, 'it was read again');
});
