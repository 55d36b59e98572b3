// Container logs: the CRI form, every byte once and in order, rotation, terminals.
import test from 'ava';
import { existsSync, readFileSync, renameSync, statSync } from 'node:fs';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  exec,
  exited,
  logOf,
  output,
  pull,
  readLog,
  runPod,
  scripted,
  shell,
  start,
  statusOf,
  textOf,
  type Pod,
} from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
let pod: Pod;

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
});

/** RFC3339Nano (`2016-10-06T00:17:09.669794202Z`). */
const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

test.serial('each line is a record with its time, stream and tag', async (t) => {
  const from = Date.now();
  const after = (gate: string): string => `while [ ! -e /tmp/${gate} ]; do sleep 0.05; done`;
  const id = await start(
    daemon,
    pod,
    scripted(`echo out; ${after('one')}; echo err >&2; ${after('two')}; echo; echo " two  words "`),
  );
  // the streams are two pipes: what is in both at once may be read in any order
  const { log_path } = await statusOf(daemon, id);
  for (const [stream, gate] of [
    ['stdout', 'one'],
    ['stderr', 'two'],
  ] as const) {
    await until(`${stream} is in the log`, () => textOf(readLog(log_path), stream) !== '');
    await exec(daemon, id, 'touch', `/tmp/${gate}`);
  }
  await exited(daemon, id);
  const records = readLog(log_path);
  t.deepEqual(
    records.map(({ stream, tag, text }) => [stream, tag, text]),
    [
      ['stdout', 'F', 'out'],
      ['stderr', 'F', 'err'],
      ['stdout', 'F', ''],
      ['stdout', 'F', ' two  words '],
    ],
  );
  for (const { time } of records) {
    t.regex(time, timestamp);
    t.true(Date.parse(time) >= from - 1000 && Date.parse(time) <= Date.now() + 1000, time);
  }
  t.deepEqual(
    records.map(({ time }) => time).toSorted(),
    records.map(({ time }) => time),
  );
  t.is(statSync(log_path).mode & 0o777, 0o640);
  await daemon.runtime.RemoveContainer({ container_id: id });
  t.true(existsSync(log_path), "the log is the kubelet's to remove");
});

test.serial('a line without its end is written when the container ends', async (t) => {
  const { stdout } = await output(daemon, pod, scripted('echo whole; printf "no end"'));
  t.is(stdout, 'whole\nno end\n');
});

test.serial('a long line comes in pieces of 16 KiB of which only the last is final', async (t) => {
  const id = await start(daemon, pod, scripted('head -c 40000 /dev/zero | tr "\\0" x; echo; echo short'));
  const { log_path } = await exited(daemon, id);
  const records = readLog(log_path);
  const long = records.slice(0, -1);
  t.deepEqual(
    long.map(({ tag }) => tag),
    ['P', 'P', 'F'],
  );
  for (const { text } of long.slice(0, -1)) t.is(text.length, 16384);
  t.is(textOf(records), `${'x'.repeat(40000)}\nshort\n`);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial("a line of exactly the piece's length is not followed by an empty one", async (t) => {
  const id = await start(daemon, pod, scripted('head -c 16384 /dev/zero | tr "\\0" y; echo; echo next'));
  const { log_path } = await exited(daemon, id);
  t.is(textOf(readLog(log_path)), `${'y'.repeat(16384)}\nnext\n`);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('bytes that are no text and carriage returns come through', async (t) => {
  const { stdout } = await output(daemon, pod, scripted('printf "\\000\\001\\377\\r\\n\\t\\033[0m\\n"'));
  t.is(stdout, '\u0000\u0001\u00ff\r\n\t\u001b[0m\n');
});

test.serial('no line of many is lost, doubled or out of order, on both streams at once', async (t) => {
  const lines = 20_000;
  const script = `seq 1 ${lines} & seq 1 ${lines} >&2 & wait`;
  const { stdout, stderr } = await output(daemon, pod, scripted(script));
  const expected = `${Array.from({ length: lines }, (_, n) => n + 1).join('\n')}\n`;
  t.true(stdout === expected);
  t.true(stderr === expected);
});

test.serial('a flood of output arrives to the byte', async (t) => {
  const bytes = 50_000_000;
  const { stdout } = await output(daemon, pod, containerConfig({ command: ['spew', String(bytes), '100'] }));
  t.is(stdout.length, bytes);
});

test.serial('what was written right before the end is there when the exit is', async (t) => {
  for (let n = 0; n < 10; n += 1) {
    const { stdout } = await output(daemon, pod, scripted('seq 1 500; echo last'));
    t.true(stdout.endsWith('500\nlast\n'));
  }
});

test.serial('reopening after a rename loses and doubles nothing', async (t) => {
  const script = 'n=0; while [ ! -e /tmp/stop ]; do n=$((n+1)); echo $n; done; echo $n > /tmp/count; echo end; exit 0';
  const id = await start(daemon, pod, scripted(script));
  const { log_path } = await statusOf(daemon, id);
  const parts: string[] = [];
  for (let n = 1; n <= 5; n += 1) {
    await until('the log grows', () => existsSync(log_path) && statSync(log_path).size > 20_000);
    const rotated = `${log_path}.${n}`;
    renameSync(log_path, rotated);
    await daemon.runtime.ReopenContainerLog({ container_id: id });
    t.true(existsSync(log_path), 'the new file is there when the call answers');
    const size = statSync(rotated).size;
    parts.push(rotated);
    await until('the new log grows', () => statSync(log_path).size > 1000);
    t.is(statSync(rotated).size, size, 'nothing goes to the old file after the answer');
  }
  await shell(daemon, id, 'touch /tmp/stop');
  await exited(daemon, id);
  const said = [...parts, log_path]
    .map((path) => textOf(readLog(path)))
    .join('')
    .trim()
    .split('\n');
  t.is(said.pop(), 'end');
  t.true(said.length > 100);
  t.true(said.every((line, at) => line === String(at + 1)));
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('reopening when the file has vanished makes a new one', async (t) => {
  const id = await start(daemon, pod, scripted('while :; do echo tick; sleep 0.05; done'));
  const { log_path } = await statusOf(daemon, id);
  await until('it says something', () => existsSync(log_path) && statSync(log_path).size > 0);
  renameSync(log_path, `${log_path}.gone`);
  await daemon.runtime.ReopenContainerLog({ container_id: id });
  await until('it says something in the new file', () => readFileSync(log_path, 'utf8').includes('tick'));
  await daemon.runtime.RemoveContainer({ container_id: id });
  t.pass();
});

test.serial("a terminal's output is all on stdout, as the terminal gives it", async (t) => {
  const script = 'test -t 0 && test -t 1 && echo is a tty; echo err >&2; tty; stty size';
  const id = await start(daemon, pod, scripted(script, { tty: true }));
  await exited(daemon, id);
  const records = await logOf(daemon, id);
  t.true(records.every(({ stream }) => stream === 'stdout'));
  const [first, second, third] = textOf(records).split('\n');
  t.is(first, 'is a tty\r');
  t.is(second, 'err\r');
  t.regex(third ?? '', /^\/dev\/(pts\/0|console)\r$/);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('a container without a log path runs all the same', async (t) => {
  const { log_path, ...config } = scripted('yes | head -c 1000000; echo err >&2; exit 4');
  t.truthy(log_path);
  const id = await start(daemon, pod, config);
  t.like(await exited(daemon, id), { exit_code: 4, log_path: '' });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('the directory of a log is made, and its file is appended to', async (t) => {
  const config = scripted('echo once', { metadata: { name: 'append', attempt: 0 }, log_path: 'deep/er/0.log' });
  const first = await output(daemon, pod, config);
  t.true(first.status.log_path.endsWith('/deep/er/0.log'));
  const second = await output(daemon, pod, config);
  t.is(second.stdout, 'once\nonce\n');
});

endsWithoutResidue(test, daemon);
