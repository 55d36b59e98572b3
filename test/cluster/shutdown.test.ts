// A node that is shut down with grace: the kubelet is told by a login manager of its own (hack/kubernetes/logind.py), for a machine
// without systemd has none, and the machine stays up.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { V1Pod } from '@kubernetes/client-node';
import test from 'ava';
import { crictl } from '../helpers/crictl.ts';
import { podSpec, scripted, useCluster } from '../helpers/cluster.ts';
import { Kubelet } from '../helpers/kubelet.ts';
import { until } from '../helpers/until.ts';

const cluster = useCluster(test);
const kubelet = new Kubelet(cluster);
const shared = mkdtempSync('/tmp/pwcluster-host-');
const busDir = mkdtempSync('/tmp/pwcluster-bus-');
const busKey = 'DBUS_SYSTEM_BUS_ADDRESS';
const script = join(import.meta.dirname, '../../hack/kubernetes/logind.py');
const shutdownMs = 120_000;

let logind: ChildProcessByStdio<Writable, Readable, null>;
let told = '';

/** Waits until the login manager has said a line as often as that. */
const heard = (line: string, times = 1): Promise<boolean> =>
  until(
    `logind says ${line}, ${times} times`,
    () => told.split('\n').filter((one) => one === line).length >= times,
    shutdownMs,
  );

test.before('a login manager, and a kubelet that hears it', async () => {
  logind = spawn(script, [busDir], { stdio: ['pipe', 'pipe', 'inherit'] });
  logind.stdout.setEncoding('utf8').on('data', (text: string) => void (told += text));
  await heard('ready');
  process.env[busKey] = `unix:path=${busDir}/bus`;
  await kubelet.configure({ shutdownGracePeriod: '40s', shutdownGracePeriodCriticalPods: '15s' });
  await heard('taken shutdown kubelet delay');
});

test.after.always('the kubelet hears nobody', async () => {
  delete process.env[busKey];
  await kubelet.restore();
  const ended = logind === undefined || new Promise((resolve) => void logind.once('exit', resolve));
  logind?.stdin.end();
  await ended;
  for (const dir of [busDir, shared]) rmSync(dir, { recursive: true, force: true });
});

/** A pod that writes its name to the host's file when it is asked to end, a second later. */
const lastWords = (name: string, more: object = {}): Promise<string> =>
  cluster.readyPod(
    {
      ...podSpec(),
      terminationGracePeriodSeconds: 30,
      volumes: [{ name: 'host', hostPath: { path: shared } }],
      containers: [
        scripted(`trap "sleep 1; echo ${name} >> /host/said; exit 0" TERM; while :; do sleep 0.1; done`, {
          volumeMounts: [{ name: 'host', mountPath: '/host' }],
        }),
      ],
      ...more,
    },
    { name },
  );

const exitOf = ({ status }: V1Pod): number | undefined => status?.containerStatuses?.[0]?.state?.terminated?.exitCode;

test.serial('pods end with their grace, the critical ones last, before the machine may go', async (t) => {
  await lastWords('plain');
  await lastWords('critical', { priorityClassName: 'system-node-critical' });
  const deaf = scripted('trap "" TERM; while :; do sleep 0.1; done');
  await cluster.readyPod({ terminationGracePeriodSeconds: 3, containers: [deaf] }, { name: 'deaf' });
  logind.stdin.write('down\n');
  await heard('released');
  t.is(readFileSync(join(shared, 'said'), 'utf8'), 'plain\ncritical\n');
  const socket = cluster.where.RUNTIME_SOCKET.replace(/^unix:\/\//, '');
  const ofUs = ['--label', `io.kubernetes.pod.namespace=${cluster.namespace}`];
  t.is(await crictl(socket, 'ps', '-q', ...ofUs), '', 'nothing of them runs');
  const over = (pod: V1Pod): boolean =>
    ['Succeeded', 'Failed'].includes(pod.status?.phase ?? '') && exitOf(pod) !== undefined;
  for (const name of ['plain', 'critical']) {
    const pod = await cluster.podThat(name, 'has ended', over);
    t.is(exitOf(pod), 0, name);
  }
  const { status } = await cluster.podThat('deaf', 'has ended', over);
  t.is(status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 137, 'killed after its own grace');
  t.is(status?.reason, 'Terminated');
  t.regex(status?.message ?? '', /imminent node shutdown/);
  await until('the node says why it takes no pods', async () => !(await kubelet.condition('Ready')), shutdownMs);
});

test.serial('a shutdown that is called off leaves a node that takes pods', async (t) => {
  logind.stdin.write('up\n');
  await heard('taken shutdown kubelet delay', 2);
  await until('the node is ready', () => kubelet.condition('Ready'), shutdownMs);
  t.is(await cluster.sh(await cluster.readyPod(), 'echo here'), 'here');
});
