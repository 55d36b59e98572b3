// Exec, attach and port-forward as operators use them: crictl by both transports and podwright, at a terminal and not.
import test from 'ava';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { join } from 'node:path';
import { tryCrictl } from '../helpers/crictl.ts';
import { dist, endsWithoutResidue, freePort, useDaemon } from '../helpers/daemon.ts';
import { containerConfig, exited, fails, type Pod, pull, runPod, scripted, start } from '../helpers/pods.ts';
import { Pty } from '../helpers/pty.ts';
import { kitPrograms } from '../helpers/registry.ts';
import { processesOf } from '../helpers/residue.ts';
import { until, untilSeen } from '../helpers/until.ts';

const daemon = useDaemon(test);
let pod: Pod;
let id = '';
let shell = '';
let programs = '';

test.before('a pod with a server, a shell with stdin and a shell at a terminal', async () => {
  programs = await kitPrograms();
  await pull(daemon);
  pod = await runPod(daemon);
  // not nc, which resets some of several connections that come at once
  id = await start(daemon, pod, scripted('exec busybox tcpsvd -E -c 100 0.0.0.0 8080 cat'));
});

const transports = ['spdy', 'websocket'] as const;
type Transport = (typeof transports)[number];
const crictlAt = (transport: Transport, verb: string, ...args: string[]): string[] => {
  const endpoint = `unix://${daemon.socket}`;
  return [
    join(programs, 'crictl'),
    '--config',
    '/dev/null',
    '-r',
    endpoint,
    '-i',
    endpoint,
    verb,
    '-r',
    transport,
    ...args,
  ];
};

/** Runs a program with input; answers its output and exit code. */
async function pipe([program = '', ...args]: readonly string[], input: Buffer | string) {
  const child: ChildProcess = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const chunks = { out: [] as Buffer[], err: [] as Buffer[] };
  child.stdout?.on('data', (bytes: Buffer) => void chunks.out.push(bytes));
  child.stderr?.on('data', (bytes: Buffer) => void chunks.err.push(bytes));
  child.stdin?.on('error', () => undefined).end(input);
  const { promise, resolve } = Promise.withResolvers<number>();
  child.on('close', (code) => resolve(code ?? -1));
  const code = await promise;
  return { code, out: Buffer.concat(chunks.out), err: Buffer.concat(chunks.err).toString() };
}

const podwright = (...args: string[]): string[] => [join(dist, 'podwright'), '--socket', daemon.socket, ...args];
const bytes = (length: number): Buffer => Buffer.alloc(length, 'abcdefghijklmnopqrstuvwxyz0123456789\n');
const digest = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

const tools: [string, (...args: string[]) => string[]][] = [
  ...transports.map((transport): [string, (...args: string[]) => string[]] => [
    `crictl by ${transport}`,
    (...args) => crictlAt(transport, 'exec', ...args),
  ]),
  ['podwright', (...args) => podwright('exec', ...args)],
];

for (const [name, exec] of tools) {
  test.serial(`exec, ${name}: both outputs apart, the exit code in the message or the status`, async (t) => {
    const { code, out, err } = await pipe(exec(id, 'sh', '-c', 'echo to stdout; echo to stderr >&2; exit 42'), '');
    t.is(out.toString(), 'to stdout\n');
    t.regex(err, /^to stderr$/m);
    if (name === 'podwright') t.is(code, 42);
    else t.regex(err, /exit code 42|exit status 42|: 42/);
  });

  test.serial(`exec, ${name}: megabytes in and out, and the end of the input`, async (t) => {
    const input = bytes(20_000_000);
    const { code, out } = await pipe(exec('-i', id, 'cat'), input);
    t.is(code, 0);
    t.is(out.length, input.length);
    t.is(digest(out), digest(input));
  });

  test.serial(`exec, ${name}: at a terminal, with its size and its changes`, async (t) => {
    const pty = new Pty(exec('-it', id, 'sh'), { columns: 101, rows: 37 });
    t.teardown(() => pty.destroy());
    pty.type('echo TERM is $TERM; tty\n');
    // a client may tell its size after the command has begun
    await untilSeen(
      'the size inside is that outside',
      () => pty.type('stty size\n'),
      () => pty.output.includes('37 101'),
    );
    await pty.shows('TERM is xterm');
    await pty.shows('/dev/pts/');
    pty.resize(77, 22);
    await untilSeen(
      'the size inside follows',
      () => pty.type('stty size\n'),
      () => pty.output.includes('22 77'),
    );
    pty.type('sleep 1000\n');
    await until('it runs', () => processesOf(daemon).some(({ what }) => what.includes('sleep 1000')));
    pty.type('\u0003');
    await until('ctrl-c ends it', () => !processesOf(daemon).some(({ what }) => what.includes('sleep 1000')));
    pty.type('exit 5\n');
    const code = await pty.ended();
    if (name === 'podwright') t.is(code, 5);
    else t.not(code, 0);
  });

  test.serial(`exec, ${name}: a program that is not there`, async (t) => {
    const { code, err } = await pipe(exec(id, '/no/such/program'), '');
    t.not(code, 0);
    t.regex(err, /\/no\/such\/program/);
  });
}

const attaches: [string, (...args: string[]) => string[]][] = [
  ...transports.map((transport): [string, (...args: string[]) => string[]] => [
    `crictl by ${transport}`,
    (...args) => crictlAt(transport, 'attach', ...args),
  ]),
  ['podwright', (...args) => podwright('attach', ...args)],
];

for (const [name, attach] of attaches) {
  test.serial(`attach, ${name}: nothing of before, input and output from now on, gone without harm`, async (t) => {
    shell = await start(
      daemon,
      pod,
      scripted('echo before; while read line; do echo "got $line"; done', { stdin: true }),
    );
    t.teardown(() => daemon.runtime.RemoveContainer({ container_id: shell }));
    const [program = '', ...args] = attach('-i', shell);
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    t.teardown(() => child.kill('SIGKILL'));
    let out = '';
    child.stdout.on('data', (more: Buffer) => void (out += more.toString()));
    await untilSeen(
      'it is attached',
      () => void child.stdin.write('hello\n'),
      () => out.includes('got hello'),
    );
    t.notRegex(out, /before/);
    child.kill('SIGKILL');
    const { status } = await daemon.runtime.ContainerStatus({ container_id: shell });
    t.is(status?.state, 'CONTAINER_RUNNING');
  });

  test.serial(`attach, ${name}: at a terminal, several at once, until the container ends`, async (t) => {
    const tty = await start(daemon, pod, containerConfig({ command: ['sh'], stdin: true, tty: true }));
    t.teardown(() => daemon.runtime.RemoveContainer({ container_id: tty }));
    const ptys = [1, 2].map(() => new Pty(attach('-it', tty), { columns: 90, rows: 25 }));
    t.teardown(() => ptys.map((pty) => pty.destroy()));
    const [first, second] = ptys as [Pty, Pty];
    await untilSeen(
      'both are attached',
      () => first.type('echo one$((1))\n'),
      () => first.output.includes('one1') && second.output.includes('one1'),
    );
    second.type('stty size\n');
    await first.shows('25 90');
    second.type('exit 3\n');
    await Promise.all(ptys.map((pty) => pty.ended()));
    // its terminal is closed before its end is known
    t.like(await exited(daemon, tty), { exit_code: 3 });
  });
}

const forwards: [string, (pair: string) => string[]][] = [
  ...transports.map((transport): [string, (pair: string) => string[]] => [
    `crictl by ${transport}`,
    (pair) => crictlAt(transport, 'port-forward', pod.id, pair),
  ]),
  ['podwright', (pair) => podwright('port-forward', pod.id, pair)],
];

/** Sends bytes to a port, ends, and answers what came back. */
async function echo(port: number, sent: Buffer): Promise<Buffer> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => void chunks.push(chunk));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on('error', reject).on('close', () => resolve());
  socket.end(sent);
  await promise;
  return Buffer.concat(chunks);
}

for (const [name, forward] of forwards) {
  test.serial(`port-forward, ${name}: many connections at once, and a port that nobody serves`, async (t) => {
    const [local, dead] = [await freePort(), await freePort()];
    const [program = '', ...args] = forward(`${local}:8080`);
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    t.teardown(() => child.kill('SIGKILL'));
    let said = '';
    child.stdout.on('data', (more: Buffer) => void (said += more.toString()));
    child.stderr.on('data', (more: Buffer) => void (said += more.toString()));
    await until('it listens', () => said.includes(`127.0.0.1:${local}`));
    const sent = bytes(1_000_000);
    const answers = await Promise.all(Array.from({ length: 8 }, () => echo(local, sent)));
    for (const answer of answers) t.is(digest(answer), digest(sent), said);
    const [, ...others] = forward(`${dead}:9`);
    const refused = spawn(program, others, { stdio: ['ignore', 'pipe', 'pipe'] });
    t.teardown(() => refused.kill('SIGKILL'));
    let told = '';
    refused.stdout.on('data', (more: Buffer) => void (told += more.toString()));
    refused.stderr.on('data', (more: Buffer) => void (told += more.toString()));
    await until('it listens', () => told.includes(`127.0.0.1:${dead}`));
    await echo(dead, Buffer.from('x')).catch(() => undefined);
    await until('the refusal is told', () => /refused/.test(told));
    child.kill('SIGTERM');
  });
}

test.serial('wrong calls have the codes of the CRI', async (t) => {
  const { runtime } = daemon;
  const streams = { stdout: true };
  await fails(t, runtime.Exec({ container_id: 'none', cmd: ['true'], ...streams }), { code: 'NOT_FOUND' });
  await fails(t, runtime.Attach({ container_id: 'none', ...streams }), { code: 'NOT_FOUND' });
  await fails(t, runtime.PortForward({ pod_sandbox_id: 'none' }), { code: 'NOT_FOUND' });
  await fails(t, runtime.Exec({ container_id: id, cmd: ['true'] }), { code: 'INVALID_ARGUMENT' });
  await fails(t, runtime.Exec({ container_id: id, ...streams }), { code: 'INVALID_ARGUMENT' });
  await fails(t, runtime.Exec({ container_id: id, cmd: ['sh'], tty: true, stderr: true }), {
    code: 'INVALID_ARGUMENT',
  });
  const over = await start(daemon, pod, scripted('true'));
  await until('it has ended', async () => {
    const { status } = await runtime.ContainerStatus({ container_id: over });
    return status?.state === 'CONTAINER_EXITED';
  });
  await fails(t, runtime.Exec({ container_id: over, cmd: ['true'], ...streams }), { code: 'FAILED_PRECONDITION' });
  await fails(t, runtime.Attach({ container_id: over, ...streams }), { code: 'FAILED_PRECONDITION' });
  await runtime.RemoveContainer({ container_id: over });
  const { code, stderr } = await tryCrictl(daemon.socket, ['exec', 'none', 'true']);
  t.not(code, 0);
  t.regex(stderr, /none/);
});

test.serial('sessions, their bytes and refused tokens are counted', async (t) => {
  t.is((await fetch((await daemon.runtime.Exec({ container_id: id, cmd: ['true'], stdout: true })).url)).status, 400);
  const { url } = await daemon.runtime.Exec({ container_id: id, cmd: ['true'], stdout: true });
  t.is((await fetch(url.replace(/[^/]+$/, 'guessed'))).status, 404);
  await pipe(crictlAt('spdy', 'exec', '-i', id, 'cat'), bytes(10_000_000));
  const scrape = await until('every session has ended', async () => {
    const all = await (await fetch(daemon.metricsUrl)).text();
    const lines = all.split('\n').filter((line) => line.startsWith('podwright_streaming'));
    // a client may be gone before its session is
    return lines.includes('podwright_streaming_sessions{kind="exec"} 0') && lines.join('\n');
  });
  t.regex(scrape, /podwright_streaming_sessions_total\{kind="exec",result="done"\} [1-9]/);
  t.regex(scrape, /podwright_streaming_bytes_total\{kind="exec",direction="in"\} [1-9]\d{7}/);
  t.regex(scrape, /podwright_streaming_refused_tokens_total\{why="unknown"\} [1-9]/);
  t.notRegex(daemon.log(1_000_000), /\/exec\/[A-Za-z0-9_-]{32}/, 'no token in the log');
});

endsWithoutResidue(test, daemon);
