// Exec, attach and port-forward over WebSocket channels, in front of a monitor that the test plays.
import test from 'ava';
import { once } from 'node:events';
import { ChannelClient } from '../../helpers/channel-client.ts';
import { testStreaming } from '../../helpers/streaming.ts';
import { until } from '../../helpers/until.ts';

const all = { stdin: true, stdout: true, stderr: true };

for (const [protocol, { base64, json }] of Object.entries({
  'v5.channel.k8s.io': { base64: false, json: true },
  'v4.channel.k8s.io': { base64: false, json: true },
  'v4.base64.channel.k8s.io': { base64: true, json: true },
  'channel.k8s.io': { base64: false, json: false },
  'base64.channel.k8s.io': { base64: true, json: false },
  '': { base64: false, json: false },
})) {
  test(`${protocol || 'no subprotocol'}: input, outputs, sizes, exit code`, async (t) => {
    const streaming = await testStreaming({ firstSizeMs: 20_000 });
    t.teardown(() => streaming.close());
    const client = await ChannelClient.connect(streaming.execUrl({ ...all, tty: true }), protocol);
    t.is(client.ws.protocol, protocol);
    const send = (channel: number, text: string): void =>
      base64 ? client.sendText(channel, text) : client.send(channel, text);
    send(4, '{"Width":120,"Height":40}');
    const process = await streaming.monitor.process();
    t.like(process.request.exec?.size, { width: 120, height: 40 });
    const input = await process.stream('STDIN');
    let got = '';
    input.on('data', (chunk: Buffer) => void (got += chunk.toString())).resume();
    send(0, 'ab');
    send(0, 'cd');
    await until('input arrives', () => got === 'abcd');
    (await process.stream('STDOUT')).write('to stdout');
    (await process.stream('STDERR')).write('to stderr');
    await until('output arrives', () => client.text(1) === 'to stdout' && client.text(2) === 'to stderr');
    await process.exit(9);
    t.is(await client.closed(), 1000);
    t.deepEqual([...client.messages[0]!], base64 ? [0x31] : [1], 'an empty message came first');
    const said = client.text(3);
    if (json)
      t.like(JSON.parse(said), { status: 'Failure', details: { causes: [{ reason: 'ExitCode', message: '9' }] } });
    else t.is(said, 'command terminated with non-zero exit code: exit status 9');
    t.true(client.texts.every((isText) => isText === base64));
    t.like(streaming.ends[0], { kind: 'exec', result: 'done', bytesIn: 4, bytesOut: 18 });
  });
}

test('v5 ends stdin by a close signal and goes on with output', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await ChannelClient.connect(streaming.execUrl(all), ['v9.channel.k8s.io', 'v5.channel.k8s.io']);
  const process = await streaming.monitor.process();
  const input = await process.stream('STDIN');
  client.send(0, 'last words');
  client.ws.send(Buffer.from([255, 0]));
  let got = '';
  input.on('data', (chunk: Buffer) => void (got += chunk.toString())).resume();
  await once(input, 'end');
  t.is(got, 'last words');
  (await process.stream('STDOUT')).write('and the answer');
  await until('output arrives', () => client.text(1) === 'and the answer');
  await process.stream('STDERR');
  await process.exit(0);
  t.is(await client.closed(), 1000);
  t.like(JSON.parse(client.text(3)), { status: 'Success' });
});

test('a client that leaves lets go of the process', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  for (const [n, leave] of [(c: ChannelClient) => c.ws.close(), (c: ChannelClient) => c.ws.terminate()].entries()) {
    const client = await ChannelClient.connect(streaming.execUrl(all), 'v5.channel.k8s.io');
    const process = await streaming.monitor.process(n);
    await process.stream('STDERR');
    leave(client);
    await until('it is let go', () => process.released);
    await until('the session has ended', () => streaming.ends.length === n + 1);
    t.like(streaming.ends[n], { result: 'lost' });
  }
});

test('messages that break the protocol end the connection, and only that', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const cases: [string, (client: ChannelClient) => void, number][] = [
    ['v5.channel.k8s.io', (c) => c.ws.send(Buffer.from([255])), 1002],
    ['v5.channel.k8s.io', (c) => c.ws.send(Buffer.from([255, 0, 0])), 1002],
    ['v4.base64.channel.k8s.io', (c) => c.ws.send('0not base64!'), 1002],
    ['v4.channel.k8s.io', (c) => c.ws.send(Buffer.alloc(2 ** 20)), 1009],
  ];
  for (const [n, [protocol, send, code]] of cases.entries()) {
    const client = await ChannelClient.connect(streaming.execUrl(all), protocol);
    const process = await streaming.monitor.process(n);
    send(client);
    t.is(await client.closed(), code);
    await until('it is let go', () => process.released);
  }
});

test('empty messages, unknown channels and channels of ours are passed over', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await ChannelClient.connect(streaming.execUrl(all), 'v5.channel.k8s.io');
  const process = await streaming.monitor.process();
  for (const bytes of [[], [1, 65], [3, 65], [77, 65], [255, 9], [4, 123]]) client.ws.send(Buffer.from(bytes));
  (await process.stream('STDOUT')).write('fine');
  await until('output arrives', () => client.text(1) === 'fine');
  t.is(client.closeCode, null);
});

test('unknown subprotocols and used tokens are refused', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  await t.throwsAsync(ChannelClient.connect(streaming.execUrl(all), 'v9.channel.k8s.io'), { message: /403/ });
  const url = streaming.execUrl(all);
  await ChannelClient.connect(url, 'v4.channel.k8s.io');
  await t.throwsAsync(ChannelClient.connect(url, 'v4.channel.k8s.io'), { message: /404/ });
});

for (const [protocol, base64] of [
  ['v4.channel.k8s.io', false],
  ['v4.base64.channel.k8s.io', true],
  ['', false],
] as const) {
  test(`ports by ${protocol || 'no subprotocol'}: two channels for each, which begin with its number`, async (t) => {
    const streaming = await testStreaming();
    t.teardown(() => streaming.close());
    const client = await ChannelClient.connect(`${streaming.forwardUrl()}?port=8080&port=81,82`, protocol);
    await until('three ports are connected', () => streaming.monitor.ports.length === 3);
    const send = (channel: number, text: string): void =>
      base64 ? client.sendText(channel, text) : client.send(channel, text);
    for (const { port, socket } of streaming.monitor.ports)
      socket.on('data', (chunk: Buffer) => void socket.write(`${port} says ${chunk.toString()}`)).resume();
    for (const [i, port] of [8080, 81, 82].entries()) {
      const number = Buffer.from([port & 255, port >> 8]);
      t.deepEqual(client.bytes(2 * i + 1), number);
      send(2 * i, 'hello');
      const answer = Buffer.concat([number, Buffer.from(`${port} says hello`)]);
      await until(`the answer of ${port}`, () => client.bytes(2 * i).equals(answer));
    }
    for (const { socket } of streaming.monitor.ports) socket.destroy();
    t.is(await client.closed(), 1000);
    await until('the session has ended', () => streaming.ends.length === 1);
    t.like(streaming.ends[0], { kind: 'portforward', result: 'done' });
  });
}

test('a port that refuses says so on its error channel, the others go on', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  streaming.monitor.refuse = ({ openStream }) =>
    openStream?.port?.port === 1 ? { failure: { kind: 'FAILED_PRECONDITION', detail: 'connection refused' } } : null;
  const client = await ChannelClient.connect(streaming.forwardUrl(1, 2), 'v4.channel.k8s.io');
  await until('the error', () => client.text(1).endsWith('connection refused'));
  t.regex(client.text(1), /error forwarding port 1 to pod p, uid : connection refused$/);
  const socket = await streaming.monitor.port();
  socket.write('still here');
  await until('the other port', () => client.text(2).endsWith('still here'));
});

test('without ports, or with wrong ones, port-forward is refused', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  for (const query of ['', '?port=', '?port=0', '?port=65536', '?port=x', '?port=80&port=-1'])
    await t.throwsAsync(ChannelClient.connect(`${streaming.forwardUrl()}${query}`, 'v4.channel.k8s.io'), {
      message: /400/,
    });
});

test('the protocol of podwright port-forward ends each direction of a port by itself', async (t) => {
  const streaming = await testStreaming();
  t.teardown(() => streaming.close());
  const client = await ChannelClient.connect(streaming.forwardUrl(80), 'half-close.channel.podwright');
  const socket = await streaming.monitor.port();
  socket.end('first I end');
  await until('the end is told', () => client.messages.some((m) => m.equals(Buffer.from([255, 0]))));
  let got = '';
  socket.on('data', (chunk: Buffer) => void (got += chunk.toString())).resume();
  client.send(0, 'and then I');
  client.ws.send(Buffer.from([255, 0]));
  await once(socket, 'end');
  t.is(got, 'and then I');
  t.is(await client.closed(), 1000);
});
