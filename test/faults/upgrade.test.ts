// A daemon of the next release takes over live pods with their monitors, and the one before takes them back (ruling 11): no
// container is restarted, no line of a log is lost, no probe is answered wrongly, streams end as ruling 8 says.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import { version } from '../../src/config/version.ts';
import { laterVersion, otherBuild } from '../helpers/builds.ts';
import { ChannelClient } from '../helpers/channel-client.ts';
import { TestDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  exec,
  exited,
  pidOf,
  type Pod,
  podIp,
  pull,
  readLog,
  runPod,
  scripted,
  sh,
  shell,
  start,
  statusOf,
  textOf,
} from '../helpers/pods.ts';
import { processesOf } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';
import { monitorOf } from './processes.ts';

const builds = mkdtempSync('/tmp/pwt-builds-');
const dir = mkdtempSync('/tmp/pwt-up-');
const old = new TestDaemon({ dir });
const next = new TestDaemon({ dir, after: old, dist: join(builds, 'next'), logFile: `${dir}-next.log` });
/** Ids of both are those of either: what is left is asked of one. */
const known = (): void => {
  for (const id of [...old.ids, ...next.ids]) for (const daemon of [old, next]) daemon.ids.add(id);
};
let pod: Pod;
let probed = '';
let logger = '';
let shellId = '';
let over = '';
let logPath = '';

test.before('a release, the next one, and pods on the first', async () => {
  otherBuild(join(builds, 'next'), laterVersion);
  await old.start();
  await pull(old);
  pod = await runPod(old, { port_mappings: [{ container_port: 80, host_port: 38_131 }] });
  probed = await start(old, pod, containerConfig());
  const lines = 'n=0; while [ ! -e /tmp/stop ]; do for _ in 1 2 3 4 5 6 7 8 9 10; do n=$((n+1)); echo $n; done; ';
  logger = await start(old, pod, scripted(`${lines} sleep 0.01; done; echo end $n`));
  shellId = await start(old, pod, scripted('while read line; do echo "got $line"; done', { stdin: true }));
  over = await start(old, pod, scripted('exit 5'));
  await exited(old, over);
  logPath = (await statusOf(old, logger)).log_path;
});
test.afterEach.always('the logs of a failed test', (t) => {
  if (!t.passed) for (const daemon of [old, next]) t.log(daemon.lastWords());
});
test.after.always('everything is swept away', async () => {
  known();
  for (const daemon of [next, old]) await daemon.destroy();
  for (const path of [builds, dir, `${dir}-next.log`]) rmSync(path, { recursive: true, force: true });
});

/** All that a change of releases must leave as it is. */
async function lives(daemon: TestDaemon): Promise<object> {
  const ids = [probed, logger, shellId];
  const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
  const { items } = await daemon.runtime.ListPodSandbox({});
  return {
    pods: items.map(({ id, state }) => `${id} ${state}`).filter((each) => each.startsWith(pod.id)),
    created: status?.created_at,
    address: await podIp(daemon, pod),
    monitor: monitorOf(daemon, pod.id),
    pids: await Promise.all(ids.map((id) => pidOf(daemon, id))),
    statuses: await Promise.all([...ids, over].map((id) => statusOf(daemon, id))),
  };
}

/** Probes as the kubelet's: what was answered wrongly, and how many were answered. A call that is refused is no answer. */
function probes(daemons: readonly TestDaemon[]) {
  const wrong: string[] = [];
  let answered = 0;
  const end = new AbortController();
  const unsure = new Set([grpcStatus.UNAVAILABLE, grpcStatus.CANCELLED]);
  const one = async (daemon: TestDaemon): Promise<void> => {
    try {
      const { exit_code, stdout } = await daemon.runtime.ExecSync({
        container_id: probed,
        cmd: sh('echo well'),
        timeout: '20',
      });
      answered += 1;
      if (exit_code !== 0 || stdout.toString() !== 'well\n') wrong.push(`${exit_code} ${stdout.toString()}`);
    } catch (error) {
      const { code, message } = error as ServiceError;
      // a client of a daemon that is not there yet, or no more, is closed
      if (code === undefined ? !/shut ?down|closed/i.test(message) : !unsure.has(code)) wrong.push(message);
    }
  };
  const run = async (): Promise<void> => {
    while (!end.signal.aborted) {
      for (const daemon of daemons) if (daemon.running) await one(daemon);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const running = run();
  return {
    end: async (): Promise<{ wrong: string[]; answered: number }> => {
      end.abort();
      await running;
      return { wrong, answered };
    },
  };
}

/** Runs a command with its streams; its input is read to a file. */
async function command(daemon: TestDaemon, name: string, seconds: number): Promise<ChannelClient> {
  const script = `echo up; cat > /tmp/${name}; echo over > /tmp/${name}.after; sleep ${seconds}`;
  const wanted = { container_id: probed, cmd: sh(script), stdin: true, stdout: true, stderr: true };
  const { url } = await daemon.runtime.Exec(wanted);
  const client = await ChannelClient.connect(url, 'v5.channel.k8s.io');
  await until('the command runs', () => client.text(1).includes('up'));
  client.send(0, 'typed\n');
  // what was sent is read before the daemon goes
  await until('it was read', async () => (await shell(daemon, probed, `cat /tmp/${name}`)) === 'typed');
  return client;
}

interface Change {
  readonly name: string;
  readonly from: TestDaemon;
  readonly to: TestDaemon;
  readonly by: 'stop' | 'kill9';
  readonly seconds: number;
}

/** Changes the daemon under the pods, and looks at everything. */
async function change(t: ExecutionContext, { name, from, to, by, seconds }: Change): Promise<void> {
  const before = await lives(from);
  const stream = await command(from, name, seconds);
  const { url } = await from.runtime.Attach({ container_id: shellId, stdin: true, stdout: true });
  const attached = await ChannelClient.connect(url, 'v5.channel.k8s.io');
  const probing = probes([from, to]);
  await from[by]();
  const { size } = statSync(logPath);
  await until('the log grows without a daemon', () => statSync(logPath).size > size + 10_000);
  await to.start();
  known();
  const ran = (await exec(to, probed, 'echo', 'at once')).stdout;
  t.is(ran, 'at once\n');
  t.deepEqual(await lives(to), before);
  const { wrong, answered } = await probing.end();
  t.deepEqual(wrong, []);
  t.true(answered > 0);
  // ruling 8: a client whose daemon stops is told so; its command has no more input, and lives on
  await until('the streams are closed', () => stream.closeCode !== null && attached.closeCode !== null);
  if (by === 'stop') t.deepEqual([stream.closeCode, attached.closeCode], [1000, 1000]);
  await until('its input ended', async () => (await shell(to, probed, `cat /tmp/${name}.after`)) === 'over');
  t.true(processesOf(to).some(({ what }) => what.includes(`sleep ${seconds}`)));
  await exec(to, probed, 'pkill', '-f', `sleep ${seconds}`);
  const again = await to.runtime.Attach({ container_id: shellId, stdin: true, stdout: true });
  const reattached = await ChannelClient.connect(again.url, 'v5.channel.k8s.io');
  reattached.send(0, `${name}\n`);
  await until('the container answers', () => reattached.text(1).includes(`got ${name}`));
  reattached.ws.terminate();
}

/** Versions of monitors as the daemon names them where they are not its own. */
const foreign = async (daemon: TestDaemon): Promise<string[]> => {
  const said = await daemon.podwright('-o', 'json', 'doctor').catch((error: { stdout?: string }) => error.stdout ?? '');
  return [...said.matchAll(/its monitor is of release ([\d.]+)/g)].map(([, found = '']) => found);
};

test.serial('the next release takes over: nothing of the pods changes', async (t) => {
  t.deepEqual(await foreign(old), []);
  await change(t, { name: 'up', from: old, to: next, by: 'stop', seconds: 7474 });
  t.deepEqual(await foreign(next), [version]);
});

test.serial('beside the old monitor, new pods have new ones, and the old pod gets new containers', async (t) => {
  const fresh = await runPod(next);
  const id = await start(next, fresh, containerConfig());
  t.is((await exec(next, id, 'true')).code, 0);
  t.deepEqual(await foreign(next), [version]);
  const late = await start(next, pod, scripted('echo late; exit 3'));
  t.like(await exited(next, late), { exit_code: 3 });
  await next.runtime.RemoveContainer({ container_id: late });
});

test.serial('the release before takes back its own pod and one of the next', async (t) => {
  await change(t, { name: 'down', from: next, to: old, by: 'stop', seconds: 7575 });
  t.deepEqual(await foreign(old), [laterVersion]);
  const { items } = await old.runtime.ListPodSandbox({});
  t.deepEqual(
    items.map(({ state }) => state),
    ['SANDBOX_READY', 'SANDBOX_READY'],
  );
  const other = items.find(({ id }) => id !== pod.id)?.id ?? '';
  const { containers } = await old.runtime.ListContainers({ filter: { pod_sandbox_id: other } });
  t.is((await exec(old, containers[0]?.id ?? '', 'true')).code, 0);
  await old.removePod(other);
});

test.serial('a release that was killed is taken over as well', async (t) => {
  await change(t, { name: 'killed', from: old, to: next, by: 'kill9', seconds: 7676 });
});

test.serial('of the log that was written all the time no line is lost or doubled', async (t) => {
  await shell(next, logger, 'touch /tmp/stop');
  t.is((await exited(next, logger)).exit_code, 0);
  const lines = textOf(readLog(logPath)).trim().split('\n');
  t.is(lines.pop(), `end ${lines.length}`);
  t.true(lines.length > 2000, String(lines.length));
  t.is(
    lines.findIndex((line, at) => line !== String(at + 1)),
    -1,
  );
  t.log(`${lines.length} lines`);
});

test.serial('nothing is left on the host', async (t) => {
  await next.removeAllPods();
  known();
  t.deepEqual(await next.leftOfPods(), []);
  await next.shutdown();
  t.deepEqual(await next.leftOfNetwork(), []);
});
