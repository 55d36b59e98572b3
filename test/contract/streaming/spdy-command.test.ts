// Exec and attach over real SPDY bytes, in front of a monitor that the test plays.
import test from 'ava';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { SpdyClient, requestUpgrade } from '../../helpers/spdy-client.ts';
import { testStreaming } from '../../helpers/streaming.ts';
import { until } from '../../helpers/until.ts';

const all = { stdin: true, stdout: true, stderr: true };

test('input, both outputs and the exit code go through, each stream ends by itself', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.execUrl(all));
  const { error, stdin, stdout, stderr } = await client.openAll('error', 'stdin', 'stdout', 'stderr');
  const process = await streaming.monitor.process();
  const input = await process.stream('STDIN');
  client.send(stdin, 'hello ');
  client.send(stdin, 'world', true);
  let got = '';
  input.on('data', (chunk: Buffer) => void (got += chunk.toString())).resume();
  await once(input, 'end');
  t.is(got, 'hello world');
  (await process.stream('STDOUT')).write('to stdout');
  (await process.stream('STDERR')).end('to stderr');
  await until('stderr has ended', () => stderr.ended);
  t.is(client.text(stderr), 'to stderr');
  t.false(stdout.ended);
  await process.exit(7);
  await until('the connection is closed', () => client.closed);
  t.is(client.text(stdout), 'to stdout');
  t.deepEqual(JSON.parse(client.text(error)), {
    metadata: {},
    status: 'Failure',
    message: 'command terminated with non-zero exit code: exit status 7',
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: '7' }] },
  });
  t.true(client.goneAway);
  t.like(streaming.ends[0], { kind: 'exec', result: 'done', detail: 'exit code 7', bytesIn: 11, bytesOut: 18 });
  await until('the exec is let go', () => process.released);
});

for (const [version, resizes] of [
  ['v4.channel.k8s.io', true],
  ['v3.channel.k8s.io', true],
  ['v2.channel.k8s.io', false],
  ['channel.k8s.io', false],
] as const) {
  test(`${version}: terminal ${resizes ? 'with' : 'without'} sizes; how it ended`, async (t) => {
    const streaming = await testStreaming(resizes ? { firstSizeMs: 20_000 } : {});
    t.teardown(() => streaming.close());
    const client = await SpdyClient.connect(streaming.execUrl({ tty: true, stdout: true }), version);
    const { error } = await client.openAll('error', 'stdout');
    const resize = resizes ? await client.open({ streamtype: 'resize' }) : null;
    if (resize) client.send(resize, '{"Width":80,"Height":24}\n{"Width":132,');
    const process = await streaming.monitor.process();
    if (resize) {
      t.like(process.request.exec?.size, { width: 80, height: 24 });
      client.send(resize, '"Height":50}');
      await until('the last size is set', () => process.sizes.at(-1)?.width === 132);
    } else t.is(process.request.exec?.size, null);
    await process.stream('STDOUT');
    await process.exit(3);
    await until('it is closed', () => client.closed);
    const said = client.text(error);
    if (version.startsWith('v4')) t.is((JSON.parse(said) as { reason: string }).reason, 'NonZeroExitCode');
    else t.is(said, 'command terminated with non-zero exit code: exit status 3');
  });
}

test('a success says so in v4 and nothing before', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  for (const [n, version] of ['v4.channel.k8s.io', 'v2.channel.k8s.io'].entries()) {
    const client = await SpdyClient.connect(streaming.execUrl({ stdout: true }), version);
    const { error } = await client.openAll('error', 'stdout');
    const process = await streaming.monitor.process(n);
    await process.stream('STDOUT');
    await process.exit(0);
    await until('it is closed', () => client.closed);
    t.is(client.text(error), n === 0 ? '{"metadata":{},"status":"Success"}' : '');
    t.true(error.ended);
  }
});

test('a command that cannot be started is an internal error with its reason', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  streaming.monitor.refuse = ({ exec }) =>
    exec ? { failure: { kind: 'FAILED_PRECONDITION', detail: 'exec: "x": executable file not found in $PATH' } } : null;
  const client = await SpdyClient.connect(streaming.execUrl({ stdout: true }));
  const { error, stdout } = await client.openAll('error', 'stdout');
  await until('it is closed', () => client.closed);
  t.like(JSON.parse(client.text(error)), {
    status: 'Failure',
    reason: 'InternalError',
    code: 500,
    message:
      'Internal error occurred: error executing command in container: exec: "x": executable file not found in $PATH',
  });
  t.true(stdout.ended);
  t.like(streaming.ends[0], { result: 'failed' });
});

test('attach lasts until the container ends, and succeeds whatever its exit code', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.attachUrl(all));
  const { error, stdin, stdout } = await client.openAll('error', 'stdin', 'stdout', 'stderr');
  const process = await streaming.monitor.process();
  const input = await process.stream('STDIN');
  client.send(stdin, 'x');
  input.resume();
  (await process.stream('STDOUT')).write('out');
  await process.stream('STDERR');
  streaming.monitor.pushExit('another', 1);
  await until('output came', () => client.text(stdout) === 'out');
  t.false(client.closed);
  streaming.monitor.pushExit('c', 5);
  await process.exit(0);
  await until('it is closed', () => client.closed);
  t.is(client.text(error), '{"metadata":{},"status":"Success"}');
});

test("the end of the input ends an attachment, unless it is the end of the container's", async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  for (const [n, containerId] of ['c', 'stdin-once'].entries()) {
    const client = await SpdyClient.connect(streaming.attachUrl({ ...all, containerId }));
    const { error, stdin, stdout } = await client.openAll('error', 'stdin', 'stdout', 'stderr');
    const process = await streaming.monitor.process(n);
    const [input, output] = [await process.stream('STDIN'), await process.stream('STDOUT')];
    await process.stream('STDERR');
    let text = '';
    input.on('data', (bytes: Buffer) => void (text += bytes.toString()));
    input.resume();
    client.send(stdin, 'last words', true);
    await until('all input came', () => text === 'last words');
    if (containerId === 'stdin-once') {
      await until('the input has ended', () => input.readableEnded);
      output.write('an answer');
      await until('the answer came', () => client.text(stdout) === 'an answer');
      streaming.monitor.pushExit(containerId, 0);
      await process.exit(0);
    }
    await until('it is closed', () => client.closed);
    t.is(client.text(error), '{"metadata":{},"status":"Success"}');
    await until('it is let go', () => process.released);
    t.like(streaming.ends[n], { result: 'done' });
  }
});

test('an attachment that the monitor gave up ends with its reason', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.attachUrl({ stdout: true }));
  const { error } = await client.openAll('error', 'stdout');
  (await (await streaming.monitor.process()).stream('STDOUT')).end('last');
  await until('it is closed', () => client.closed);
  t.like(JSON.parse(client.text(error)), { status: 'Failure', reason: 'InternalError' });
  t.regex(client.text(error), /not taken in time; the container runs on/);
});

test('an attachment with input outlives the output: a program may close that and read on', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const endOutput = async (n: number) => (await (await streaming.monitor.process(n)).stream('STDOUT')).end('last');
  const writer = await SpdyClient.connect(streaming.attachUrl({ stdin: true, stdout: true }));
  const { error, stdin } = await writer.openAll('error', 'stdin', 'stdout');
  const input = await (await streaming.monitor.process(0)).stream('STDIN');
  let text = '';
  input.on('data', (bytes: Buffer) => void (text += bytes.toString()));
  input.resume();
  await endOutput(0);
  // this one's time begins later, and ends with an error
  const reader = await SpdyClient.connect(streaming.attachUrl({ stdout: true }));
  await reader.openAll('error', 'stdout');
  await endOutput(1);
  await until('the reader is told', () => reader.closed);
  t.false(writer.closed);
  writer.send(stdin, 'more');
  await until('input still comes', () => text === 'more');
  streaming.monitor.pushExit('c', 0);
  await until('it is closed', () => writer.closed);
  t.is(writer.text(error), '{"metadata":{},"status":"Success"}');
});

test('an attachment that the monitor gave up ends with its reason, also one with input', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.attachUrl({ stdin: true, stdout: true }));
  const { error } = await client.openAll('error', 'stdin', 'stdout');
  const process = await streaming.monitor.process();
  (await process.stream('STDIN')).end();
  (await process.stream('STDOUT')).end('last');
  await until('it is closed', () => client.closed);
  t.regex(client.text(error), /not taken in time; the container runs on/);
});

test('a client that leaves lets go of the process', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  for (const [n, leave] of [
    (client: SpdyClient) => client.socket.destroy(),
    (client: SpdyClient) => client.socket.end(),
    (client: SpdyClient) => (client.socket as Socket).resetAndDestroy(),
  ].entries()) {
    const client = await SpdyClient.connect(streaming.execUrl(all));
    await client.openAll('error', 'stdin', 'stdout', 'stderr');
    const process = await streaming.monitor.process(n);
    const input = await process.stream('STDIN');
    leave(client);
    input.resume();
    await once(input, 'end');
    await until('it is let go', () => process.released);
    await until('the session has ended', () => streaming.ends.length === n + 1);
    t.like(streaming.ends[n], { result: 'lost' });
  }
});

test('streams that never come are waited for, then the client is told', async (t) => {
  const streaming = await testStreaming({ creationTimeoutMs: 2000 });
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.execUrl(all));
  const { error } = await client.openAll('error', 'stdout');
  await until('it is closed', () => client.closed);
  t.regex(client.text(error), /timed out waiting for the client to open streams: stdin, stderr/);
  t.is(streaming.monitor.processes.length, 0);
});

test('streams of no or a second of the same type are refused, the others go on', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.execUrl({ stdout: true }));
  const { stdout } = await client.openAll('stdout');
  for (const headers of [{ streamtype: 'stdout' }, { streamtype: 'fax' }, {}])
    t.is((await client.open(headers as Record<string, string>)).reset, 3);
  await client.openAll('error');
  const process = await streaming.monitor.process();
  (await process.stream('STDOUT')).write('still here');
  await until('output comes', () => client.text(stdout) === 'still here');
});

test('a stopping daemon tells its clients and lets go of their processes', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.execUrl(all));
  const { error } = await client.openAll('error', 'stdin', 'stdout', 'stderr');
  const process = await streaming.monitor.process();
  await process.stream('STDERR');
  await streaming.server.stop();
  await until('it is closed', () => client.closed);
  t.regex(client.text(error), /"reason":"InternalError".*|podwrightd is stopping/);
  t.true(client.goneAway);
  await until('it is let go', () => process.released);
});

test('pings are answered, what needs no answer gets none, and nothing is lost over it', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await SpdyClient.connect(streaming.execUrl({ stdout: true }));
  const control = (type: number, body: readonly number[]): Buffer =>
    Buffer.from([0x80, 3, 0, type, 0, 0, 0, body.length, ...body]);
  const { stdout } = await client.openAll('error', 'stdout');
  client.socket.write(
    Buffer.concat([
      control(6, [0, 0, 0, 9]), // PING 9
      control(9, [0, 0, 0, 1, 0, 0, 255, 255]), // WINDOW_UPDATE
      control(4, [0, 0, 0, 1, 0, 0, 0, 7, 0, 1, 0, 0]), // SETTINGS: initial window
      control(5, []), // NOOP
      control(6, [0, 0, 0, 11]),
      control(6, [0, 0, 0, 2]), // an answer to a ping of ours
    ]),
  );
  const process = await streaming.monitor.process();
  (await process.stream('STDOUT')).write('fine');
  await until('output comes', () => client.text(stdout) === 'fine');
  t.deepEqual(client.pings, [9, 11]);
});

test('requests that cannot be upgraded are refused with the reason', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const ask = async (url: string, options: Parameters<typeof requestUpgrade>[1]) => {
    const { answer, socket } = await requestUpgrade(url, options);
    socket.destroy();
    return answer;
  };
  const protocols = 'v4.channel.k8s.io';
  const used = streaming.execUrl({ stdout: true });
  t.is((await ask(used, { protocols })).status, 101);
  t.is((await ask(used, { protocols })).status, 404);
  t.is((await ask(streaming.execUrl().replace('/exec/', '/attach/'), { protocols })).status, 404);
  t.is((await ask(streaming.execUrl().replace('/exec/', '/shell/'), { protocols })).status, 404);
  t.is((await ask(streaming.execUrl(), {})).status, 400);
  const older = await ask(streaming.execUrl(), { protocols: 'v9.channel.k8s.io' });
  t.is(older.status, 403);
  t.truthy(older.headers.get('x-accepted-stream-protocol-versions'));
  t.is((await ask(streaming.execUrl(), { protocols, upgrade: 'h2c' })).status, 400);
  t.is((await ask(streaming.execUrl(), { protocols, method: 'PUT' })).status, 405);
  t.is((await ask(streaming.execUrl({ stdout: true }), { protocols, method: 'GET' })).status, 101);
  const best = await ask(streaming.execUrl({ stdout: true }), { protocols: `v9.x, v3.channel.k8s.io,${protocols}` });
  t.is(best.headers.get('x-stream-protocol-version'), 'v3.channel.k8s.io');
  t.is((await fetch(streaming.execUrl())).status, 400);
  t.is((await fetch(`http://${streaming.server.address}/`)).status, 404);
  t.true(streaming.refused.length >= 4);
});
