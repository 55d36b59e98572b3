// The Kubernetes client library for JavaScript: its Exec, Attach and PortForward, through an API server that does what a
// kubelet does. (The library for Go, by SPDY and by WebSocket, is what crictl is made of: see streaming.test.ts.)
import { Attach, Exec, KubeConfig, PortForward, type V1Status } from '@kubernetes/client-node';
import test from 'ava';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { PassThrough } from 'node:stream';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { type Pod, pull, runPod, scripted, start } from '../helpers/pods.ts';
import { until, untilSeen } from '../helpers/until.ts';

const daemon = useDaemon(test);
let pod: Pod;
let id = '';

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
  const serve = 'nc -lk -p 8080 -e cat & while read line; do echo "got $line"; done; wait';
  id = await start(daemon, pod, scripted(serve, { stdin: true }));
});

const config = new KubeConfig();

/** Makes the CRI call that a path of the API asks for, as a kubelet would; answers its URL. */
async function criUrl(path: string): Promise<string> {
  const { pathname, searchParams: query } = new URL(path, 'http://x');
  const has = (name: string): boolean => query.get(name) === 'true';
  const streams = {
    container_id: id,
    stdin: has('stdin'),
    stdout: has('stdout'),
    stderr: has('stderr'),
    tty: has('tty'),
  };
  if (pathname.endsWith('/exec')) return (await daemon.runtime.Exec({ ...streams, cmd: query.getAll('command') })).url;
  if (pathname.endsWith('/attach')) return (await daemon.runtime.Attach(streams)).url;
  const { url } = await daemon.runtime.PortForward({ pod_sandbox_id: pod.id });
  return `${url}?port=${query.get('ports')}`;
}

/** An API server that does nothing but what the kubelet does behind it: the request goes on to the URL of the CRI. */
const api = createServer((client) => {
  client.on('error', () => client.destroy());
  client.once('data', (head: Buffer) => {
    client.pause();
    const [method = '', path = ''] = head.toString('latin1').split(' ', 2);
    criUrl(path).then(
      (url) => {
        const { host, hostname, port } = new URL(url);
        const runtime = connect(Number(port), hostname, () => {
          runtime.write(
            head.toString('latin1').replace(`${method} ${path}`, `${method} ${url.split(host)[1]}`),
            'latin1',
          );
          client.pipe(runtime).pipe(client);
        });
        runtime.on('error', () => client.destroy());
      },
      () => client.destroy(),
    );
  });
});

test.before('an API server', async () => {
  api.listen(0, '127.0.0.1');
  await once(api, 'listening');
  config.loadFromOptions({
    clusters: [{ name: 'c', server: `http://127.0.0.1:${(api.address() as AddressInfo).port}`, skipTLSVerify: true }],
    users: [{ name: 'u' }],
    contexts: [{ name: 'x', cluster: 'c', user: 'u' }],
    currentContext: 'x',
  });
});
test.after.always(() => void api.close());

function sink(): PassThrough & { text: () => string } {
  const stream = new PassThrough();
  let text = '';
  stream.on('data', (bytes: Buffer) => void (text += bytes.toString()));
  return Object.assign(stream, { text: () => text });
}

test.serial('Exec: outputs, input to its end, the status', async (t) => {
  const cmd = ['sh', '-c', 'cat; echo problem >&2; exit 9'];
  const [stdout, stderr, stdin] = [sink(), sink(), new PassThrough()];
  let status: V1Status | null = null;
  const tell = (told: V1Status): void => void (status = told);
  await new Exec(config).exec('ns', 'pod', 'c', cmd, stdout, stderr, stdin, false, tell);
  stdin.write('first ');
  stdin.end('last');
  const told = await until('the status', () => status as V1Status | null);
  t.like(told, { status: 'Failure', reason: 'NonZeroExitCode' });
  t.is(told.details?.causes?.[0]?.message, '9');
  t.is(stdout.text(), 'first last');
  t.is(stderr.text(), 'problem\n');
});

test.serial('Exec: a terminal that is resized', async (t) => {
  const cmd = ['sh'];
  const stdout = Object.assign(sink(), { columns: 61, rows: 17 });
  const stdin = new PassThrough();
  let status: V1Status | null = null;
  const exec = new Exec(config);
  await exec.exec('ns', 'pod', 'c', cmd, stdout, null, stdin, true, (told) => void (status = told));
  const ask = (): void => void stdin.write('stty size\n');
  await untilSeen('the size inside', ask, () => stdout.text().includes('17 61'));
  Object.assign(stdout, { columns: 90, rows: 40 }).emit('resize');
  await untilSeen('the new size', ask, () => stdout.text().includes('40 90'));
  stdin.write('exit\n');
  t.like(await until('the status', () => status as V1Status | null), { status: 'Success' });
});

test.serial('Attach: input and output of the main process', async (t) => {
  const [stdout, stdin] = [sink(), new PassThrough()];
  const ws = await new Attach(config).attach('ns', 'pod', 'c', stdout, sink(), stdin, false);
  t.teardown(() => ws.close());
  await untilSeen(
    'the answer',
    () => void stdin.write('hello\n'),
    () => stdout.text().includes('got hello'),
  );
  t.pass();
});

test.serial('PortForward: bytes both ways', async (t) => {
  const [output, input] = [sink(), new PassThrough()];
  const forward = new PortForward(config);
  const ws = await forward.portForward('ns', 'pod', [8080], output, null, input);
  t.teardown(() => (ws as { close: () => void }).close());
  input.write('there and back');
  await until('the echo', () => output.text() === 'there and back');
  t.pass();
});

endsWithoutResidue(test, daemon);
