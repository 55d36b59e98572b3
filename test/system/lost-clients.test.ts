// Ruling 8: what becomes of commands and containers whose client or daemon goes away.
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { containerConfig, exec, type Pod, pull, runPod, scripted, start } from '../helpers/pods.ts';
import { processesOf } from '../helpers/residue.ts';
import { ChannelClient } from '../helpers/channel-client.ts';
import { SpdyClient } from '../helpers/spdy-client.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
let pod: Pod;
let id = '';

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
  id = await start(daemon, pod, containerConfig());
});

const runs = (what: string): boolean => processesOf(daemon).some((each) => each.what.includes(what));
const file = async (name: string): Promise<string> => (await exec(daemon, id, 'cat', `/tmp/${name}`)).stdout;

/** A command in the container, its client by SPDY. */
async function command(script: string, tty: boolean): Promise<SpdyClient> {
  const cmd = ['sh', '-c', script];
  const { url } = await daemon.runtime.Exec({ container_id: id, cmd, tty, stdin: true, stdout: true, stderr: !tty });
  const client = await SpdyClient.connect(url);
  const { stdin } = await client.openAll('error', 'stdin', 'stdout', tty ? 'resize' : 'stderr');
  await until('the command runs', () => client.bytes([...client.streams.values()][2]!) > 0);
  client.send(stdin, 'hello\n');
  return client;
}

test.serial('exec: a lost client closes stdin, the command goes on and its output is drained', async (t) => {
  const script = 'echo up; cat > /tmp/in; spew 3000000 100; echo drained > /tmp/after; sleep 7171';
  const client = await command(script, false);
  client.socket.destroy();
  await until('it went on', async () => (await file('after')) === 'drained\n');
  t.is(await file('in'), 'hello\n');
  t.true(runs('sleep 7171'));
  await exec(daemon, id, 'pkill', '-f', 'sleep 7171');
  await until('it is gone', () => !runs('sleep 7171'));
});

test.serial('exec: a lost client leaves a command at its terminal, which stays drained', async (t) => {
  const client = await command('echo up; read line; spew 3000000 100; echo $line > /tmp/tty; sleep 7272', true);
  (client.socket as unknown as { resetAndDestroy: () => void }).resetAndDestroy();
  await until('it went on', async () => (await file('tty')) === 'hello\n');
  t.true(runs('sleep 7272'));
  await exec(daemon, id, 'pkill', '-f', 'sleep 7272');
  await until('it is gone', () => !runs('sleep 7272'));
});

test.serial('attach: a lost client detaches, and the next one has the container as it is', async (t) => {
  const shell = await start(daemon, pod, scripted('while read line; do echo "got $line"; done', { stdin: true }));
  const attach = async (): Promise<ChannelClient> => {
    const { url } = await daemon.runtime.Attach({ container_id: shell, stdin: true, stdout: true });
    const client = await ChannelClient.connect(url, 'v5.channel.k8s.io');
    client.send(0, 'hello\n');
    await until('the answer', () => client.text(1).includes('got hello'));
    return client;
  };
  for (let n = 0; n < 3; n += 1) (await attach()).ws.terminate();
  const last = await attach();
  const { status } = await daemon.runtime.ContainerStatus({ container_id: shell });
  t.is(status?.state, 'CONTAINER_RUNNING');
  await daemon.runtime.StopContainer({ container_id: shell, timeout: '0' });
  t.is(await last.closed(), 1000);
  t.like(JSON.parse(last.text(3)), { status: 'Success' });
  await daemon.runtime.RemoveContainer({ container_id: shell });
});

test.serial('a daemon that stops ends its sessions in good order; commands and containers live on', async (t) => {
  const { url } = await daemon.runtime.Exec({ container_id: id, cmd: ['sleep', '7373'], stdin: true, stdout: true });
  const client = await ChannelClient.connect(url, 'v5.channel.k8s.io');
  await until('it runs', () => runs('sleep 7373'));
  await daemon.restart();
  t.is(await client.closed(), 1000);
  t.regex(client.text(3), /podwrightd is stopping/);
  t.true(runs('sleep 7373'));
  await exec(daemon, id, 'pkill', '-f', 'sleep 7373');
  await until('it is gone', () => !runs('sleep 7373'));
});

test.serial(
  'a daemon that is killed leaves commands with closed stdin, and its successor serves new ones',
  async (t) => {
    const client = await command('echo up; cat > /tmp/killed; echo end >> /tmp/killed; sleep 7474', false);
    await until('its input came', async () => (await file('killed')) === 'hello\n');
    await daemon.crash();
    await until('its stdin has ended', async () => (await file('killed')) === 'hello\nend\n');
    t.true(runs('sleep 7474'));
    client.socket.destroy();
    const { url } = await daemon.runtime.Exec({ container_id: id, cmd: ['echo', 'served'], stdout: true });
    const next = await ChannelClient.connect(url, 'v5.channel.k8s.io');
    t.is(await next.closed(), 1000);
    t.is(next.text(1), 'served\n');
    await exec(daemon, id, 'pkill', '-f', 'sleep 7474');
    await until('it is gone', () => !runs('sleep 7474'));
  },
);

endsWithoutResidue(test, daemon);
