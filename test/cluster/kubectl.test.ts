// What people do with kubectl: logs, exec, attach, port-forward, cp.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { container, patientMs, restartsOf, scripted, useCluster } from '../helpers/cluster.ts';
import { ask } from '../helpers/outside.ts';
import { Pty } from '../helpers/pty.ts';
import { until } from '../helpers/until.ts';

const cluster = useCluster(test);
const files = mkdtempSync('/tmp/pwcluster-files-');
test.after.always('the files are gone', () => rmSync(files, { recursive: true, force: true }));

/** All that a program that goes on has said so far. */
function listen(child: ChildProcess): () => string {
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return () => said;
}

test.serial('logs: all, the end, with times, and of a container that was restarted', async (t) => {
  const name = await cluster.pod({
    volumes: [{ name: 'box', emptyDir: {} }],
    containers: [
      scripted(
        'echo run >> /box/runs; n=$(grep -c run /box/runs); echo one of $n; echo two of $n >&2; [ $n -gt 1 ] && exec sleep 3600; exit 1',
        {
          volumeMounts: [{ name: 'box', mountPath: '/box' }],
        },
      ),
    ],
  });
  await cluster.podThat(
    name,
    'runs again',
    (pod) => restartsOf(pod) === 1 && pod.status?.containerStatuses?.[0]?.state?.running !== undefined,
  );
  await cluster.until('the second run has spoken', async () => (await cluster.logs(name)).includes('two of 2'));
  t.deepEqual((await cluster.logs(name)).split('\n').toSorted(), ['', 'one of 2', 'two of 2']);
  t.is((await cluster.logs(name, '--tail=1')).trim().split('\n').length, 1);
  t.deepEqual((await cluster.logs(name, '--previous')).split('\n').toSorted(), ['', 'one of 1', 'two of 1']);
  t.regex(await cluster.logs(name, '--timestamps'), /^\d{4}-\d\d-\d\dT\S+ (one|two) of 2\n/);
});

test.serial('logs are followed while the kubelet rotates their files', async (t) => {
  const lines = 30_000;
  const script = `i=0; while [ $i -lt ${lines} ]; do i=$((i + 1)); echo "line $i ${'x'.repeat(80)}"; [ $((i % 6000)) = 0 ] && sleep 5; done; echo over; exec sleep 3600`;
  const name = await cluster.readyPod({ containers: [scripted(script)] });
  const said = listen(cluster.kubectlLasting('logs', '-f', name));
  await until('the follower has heard the end', () => said().endsWith('over\n'), patientMs);
  const heard = said()
    .split('\n')
    .map((line) => Number(/^line (\d+) /.exec(line)?.[1]))
    .filter(Number.isInteger);
  t.deepEqual(
    heard,
    Array.from({ length: lines }, (_, i) => i + 1),
  );
  const { metadata } = await cluster.read(name);
  const dir = join(cluster.where.DIR, 'pods', `${cluster.namespace}_${name}_${metadata?.uid}`, 'main');
  const rotated = await until(
    'there are rotated files',
    () => readdirSync(dir).filter((file) => file !== '0.log').length > 0,
    patientMs,
  );
  t.true(rotated);
});

test.serial('exec: exit status, both outputs, input; over WebSocket and SPDY', async (t) => {
  const name = await cluster.readyPod();
  for (const websockets of ['true', 'false']) {
    process.env['KUBECTL_REMOTE_COMMAND_WEBSOCKETS'] = websockets;
    const ended = await cluster.kubectlWith(
      'from here\n',
      'exec',
      '-i',
      name,
      '--',
      'sh',
      '-c',
      'cat; echo bad >&2; exit 7',
    );
    t.is(ended.code, 7);
    t.is(ended.stdout, 'from here\n');
    t.regex(ended.stderr, /^bad\n/);
    const bytes = 3_000_000;
    t.is((await cluster.sh(name, `head -c ${bytes} /dev/zero | tr '\\0' x`)).length, bytes);
  }
  delete process.env['KUBECTL_REMOTE_COMMAND_WEBSOCKETS'];
  const missing = await cluster.kubectl('exec', name, '--', '/no/such');
  t.not(missing.code, 0);
  t.regex(missing.stderr, /no such file|not found/i);
});

test.serial('exec with a terminal has one, of the size of kubectl’s own', async (t) => {
  const name = await cluster.readyPod();
  const kubectl = [
    join(cluster.where.BIN, 'kubectl'),
    '--kubeconfig',
    cluster.where.KUBECONFIG,
    '-n',
    cluster.namespace,
  ];
  const script = 'tty; read word; stty size; exit 5';
  const pty = new Pty([...kubectl, 'exec', '-it', name, '--', 'sh', '-c', script], { columns: 77, rows: 33 });
  try {
    await pty.shows('/dev/pts/0');
    pty.type('go on\r');
    await pty.shows('33 77');
    t.is(await pty.ended(), 5);
  } finally {
    pty.destroy();
  }
});

test.serial('attach hears a container and, where it has an input, is heard', async (t) => {
  const script = 'while read -r word; do echo "got $word"; done; echo end of input; sleep 3600';
  const name = await cluster.readyPod({ containers: [scripted(script, { stdin: true, stdinOnce: true })] });
  const attached = cluster.kubectlLasting('attach', '-i', name);
  const said = listen(attached);
  attached.stdin?.write('hello\n');
  await until('the container answers', () => said().includes('got hello'), patientMs);
  attached.stdin?.end();
  await cluster.until('the container’s input has ended', async () =>
    (await cluster.logs(name)).includes('end of input'),
  );
  t.is(await cluster.logs(name), 'got hello\nend of input\n');
});

test.serial('kubectl run --rm -i runs a container to its end, as people do', async (t) => {
  const command = [
    'run',
    'once',
    '--rm',
    '-i',
    '--restart=Never',
    `--image=${container().image}`,
    '--',
    'sh',
    '-c',
    'read word; echo got $word',
  ];
  const { stdout, code } = await cluster.kubectlWith('this\n', ...command);
  t.is(code, 0);
  t.regex(stdout, /got this/);
});

test.serial('port-forward carries many connections to a port of the pod', async (t) => {
  const name = await cluster.readyPod({ containers: [scripted('exec nc -lk -p 7000 -e cat', {})] });
  const said = listen(cluster.kubectlLasting('port-forward', name, ':7000'));
  const port = await until('the port is open', () => /127\.0\.0\.1:(\d+) ->/.exec(said())?.[1], patientMs);
  await cluster.until('the pod answers', async () => (await ask('127.0.0.1', Number(port), 'x')) === 'x');
  const words = ['one', 'two', 'three', 'four'];
  t.deepEqual(await Promise.all(words.map((word) => ask('127.0.0.1', Number(port), word))), words);
});

test.serial('cp takes files there and back unchanged', async (t) => {
  const name = await cluster.readyPod();
  const content = Buffer.alloc(2_000_000, 'podwright ');
  writeFileSync(join(files, 'there'), content);
  t.is((await cluster.kubectl('cp', join(files, 'there'), `${name}:/tmp/there`)).code, 0);
  t.is((await cluster.kubectl('cp', `${name}:/tmp/there`, join(files, 'back'))).code, 0);
  t.true(content.equals(readFileSync(join(files, 'back'))));
});
