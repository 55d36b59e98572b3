import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { cgroupTables } from '../../../src/state/processes.ts';

test('each table is told once; who has ended, and what is no process, is passed over', (t) => {
  const proc = mkdtempSync('/tmp/pw-processes-');
  t.teardown(() => rmSync(proc, { recursive: true }));
  for (const [name, table] of Object.entries({ '1': '0::/\n', '2': '0::/a\n', '3': '0::/a\n', self: '0::/b\n' })) {
    mkdirSync(join(proc, name));
    writeFileSync(join(proc, name, 'cgroup'), table);
  }
  mkdirSync(join(proc, '4'));
  t.deepEqual(cgroupTables(proc).toSorted(), ['0::/\n', '0::/a\n']);
});
