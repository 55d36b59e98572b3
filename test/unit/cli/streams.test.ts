// exec, attach and port-forward of the tool: command lines, outcomes, the keys that detach.
import test from 'ava';
import { separateCommand } from '../../../src/cli/command-line.ts';
import { detachScanner, exitCodeOf } from '../../../src/cli/console.ts';
import { parsePair } from '../../../src/cli/port-forward.ts';

for (const [line, separated] of [
  ['exec web ls -l', 'exec web -- ls -l'],
  ['exec -it web sh -c x', 'exec -it web -- sh -c x'],
  ['-r /s exec -i web cat --help', '-r /s exec -i web -- cat --help'],
  ['--socket=/s exec web -- ls', '--socket=/s exec web -- ls'],
  ['exec web', 'exec web --'],
  ['exec -- web ls', 'exec -- web ls'],
  ['ps -a', 'ps -a'],
  ['inspect exec -o json', 'inspect exec -o json'],
  ['', ''],
] as const)
  test(`podwright ${line}`, (t) => {
    t.deepEqual(separateCommand(line.split(' ').filter(Boolean)), separated.split(' ').filter(Boolean));
  });

test('exit codes and reasons out of a status', (t) => {
  t.is(exitCodeOf('{"metadata":{},"status":"Success"}'), 0);
  const failure = {
    status: 'Failure',
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: '42' }] },
  };
  t.is(exitCodeOf(JSON.stringify(failure)), 42);
  const broken =
    '{"status":"Failure","message":"Internal error occurred: no such file","reason":"InternalError","code":500}';
  t.throws(() => exitCodeOf(broken), { message: 'no such file' });
  t.throws(() => exitCodeOf(''), { message: /without telling how/ });
});

test('ctrl-p ctrl-q detaches, also in two pieces, and nothing else does', (t) => {
  const pressed = (...pieces: number[][]): boolean => {
    const scan = detachScanner();
    return pieces.map((piece) => scan(Uint8Array.from(piece))).includes(true);
  };
  t.true(pressed([0x10, 0x11]));
  t.true(pressed([65, 0x10], [0x11]));
  t.true(pressed([0x10, 0x10, 0x11]));
  t.false(pressed([0x10, 65, 0x11]));
  t.false(pressed([0x11, 0x10]));
});

test('pairs of ports', (t) => {
  t.deepEqual(parsePair('80'), { local: 80, remote: 80 });
  t.deepEqual(parsePair('8080:80'), { local: 8080, remote: 80 });
  t.deepEqual(parsePair(':80'), { local: 0, remote: 80 });
  for (const wrong of ['', ':', '0', '80:', '80:0', '65536', '1:65536', 'a', '1:2:3', '-1'])
    t.throws(() => parsePair(wrong), { message: /is not a port/ }, wrong);
});
