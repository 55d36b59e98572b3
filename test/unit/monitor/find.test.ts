import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { monitorArgv } from '../../../src/monitor/launch.ts';
import { isMonitorAt, monitorsAt } from '../../../src/monitor/find.ts';

const id = 'a'.repeat(64);
const socket = `/run/podwright/sockets/${id}`;
const argv = monitorArgv(id, socket, { unifiedDir: '/sys/fs/cgroup/x', v1Tasks: ['/sys/fs/cgroup/pids/x/tasks'] });
const line = (words: readonly string[]): string => words.map((word) => `${word}\0`).join('');

test('a monitor is told by its program and its socket', (t) => {
  t.true(isMonitorAt(line(argv), socket));
  t.true(isMonitorAt(line(['/opt/podwright/podwright-monitor', ...argv.slice(1)]), socket));
  for (const other of [
    line(monitorArgv('b'.repeat(64), `/run/podwright/sockets/${'b'.repeat(64)}`, { unifiedDir: '', v1Tasks: [] })),
    line(['tail', ...argv.slice(1)]),
    line(['podwright-monitor', 'init', '--socket', socket]),
    line(['podwright-monitor', 'serve', '--id', socket]),
    line(['podwright-monitor', 'serve', '--socket']),
    `podwright-monitor serve --socket ${socket}`,
    '',
  ])
    t.false(isMonitorAt(other, socket), other);
});

test('its processes are found, but not one that ends, or whose number another has, meanwhile', (t) => {
  const proc = mkdtempSync('/tmp/pw-find-');
  t.teardown(() => rmSync(proc, { recursive: true }));
  const put = (name: string, words: readonly string[], { comm = 'podwright-mon', pids = 'pid:[1]' } = {}): void => {
    mkdirSync(join(proc, name, 'ns'), { recursive: true });
    writeFileSync(join(proc, name, 'comm'), `${comm}\n`);
    rmSync(join(proc, name, 'ns/pid'), { force: true });
    symlinkSync(pids, join(proc, name, 'ns/pid'));
    writeFileSync(join(proc, name, 'cmdline'), line(words));
  };
  for (const name of ['7', '8', '9', 'self']) put(name, argv);
  put('10', ['sleep', '1']);
  mkdirSync(join(proc, '11'));
  // their memory is not looked at: others' processes could keep whoever reads it waiting
  put('12', argv, { comm: 'sleep' });
  put('13', argv, { pids: 'pid:[2]' });
  const starts = (pid: number): number | null => {
    if (pid === 9) put('9', ['sleep', '1']); // it ended, and so does what it was taken for
    return pid === 8 ? null : pid * 100;
  };
  t.deepEqual(monitorsAt(socket, starts, proc), [{ pid: 7, startTime: 700 }]);
});
