// The kubelet and the daemon go and come back, by SIGTERM and by SIGKILL, while pods come and go: no container notices.
import type { V1Pod } from '@kubernetes/client-node';
import test from 'ava';
import { type Manifest, hackCluster, isReady, podSpec, restartsOf, scripted, useCluster } from '../helpers/cluster.ts';
import { until } from '../helpers/until.ts';

const cluster = useCluster(test);

/** What must not change: each pod's container and how often it was restarted. */
const identity = (pods: readonly V1Pod[]): unknown =>
  pods
    .map((pod) => [pod.metadata?.name, pod.status?.containerStatuses?.[0]?.containerID, restartsOf(pod)])
    .toSorted(([a], [b]) => String(a).localeCompare(String(b)));

const allReady = async (app: string, count: number): Promise<V1Pod[] | null> => {
  const pods = await cluster.pods(`app=${app}`);
  return pods.length === count && pods.every(isReady) ? pods : null;
};

const deployment = (name: string, replicas: number, script: string): Manifest => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: podSpec({
        containers: [
          scripted(script, {
            livenessProbe: { exec: { command: ['true'] }, periodSeconds: 2, failureThreshold: 5, timeoutSeconds: 10 },
          }),
        ],
      }),
    },
  },
});

/** Pods are made and deleted, as quickly as it goes, until told to stop. */
function churn(): () => Promise<number> {
  const stopped = new AbortController();
  let done = 0;
  const loop = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const names = await Promise.all([
        cluster.pod({}, { labels: { app: 'churn' } }),
        cluster.pod({}, { labels: { app: 'churn' } }),
      ]);
      await Promise.all(names.map((name) => cluster.ready(name)));
      await Promise.all(names.map((name) => cluster.remove(name)));
      done += names.length;
    }
  };
  const ended = loop();
  return async () => {
    stopped.abort();
    await ended;
    return done;
  };
}

test.before('pods that must not notice', async () => {
  await cluster.make(deployment('steady', 5, 'n=0; while :; do n=$((n + 1)); echo $n; sleep 0.5; done'));
  await cluster.until('they are ready', () => allReady('steady', 5));
});

for (const [who, ...how] of [['kubelet'], ['runtime'], ['kubelet', '-9'], ['runtime', '-9']] as const)
  test.serial(`${who} restarts${how.length > 0 ? ' after kill -9' : ''} under load`, async (t) => {
    const before = identity((await allReady('steady', 5)) ?? []);
    const stop = churn();
    const following = cluster.kubectlLasting('logs', '-f', '--tail=1', 'deployment/steady');
    let said = '';
    following.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until('the load goes', () => said.length > 0, 60_000);
    await hackCluster('restart', who, ...how);
    t.true((await stop()) >= 2, 'pods came and went');
    const after = await cluster.until('the steady pods are ready', () => allReady('steady', 5));
    t.deepEqual(identity(after), before);
    const name = after[0]?.metadata?.name ?? '';
    t.is(await cluster.sh(name, 'echo $((6 * 7))'), '42', 'and can be entered');
    const numbers = (await cluster.logs(name)).trim().split('\n').map(Number);
    t.deepEqual(
      numbers,
      Array.from(numbers, (_, i) => i + 1),
      'and lost no line of their logs',
    );
  });

test.serial('while the daemon is down containers run, and those that end then are noticed after', async (t) => {
  const name = await cluster.readyPod({
    restartPolicy: 'Never',
    containers: [scripted('trap "exit 9" TERM; while [ ! -e /over ]; do sleep 0.2; done; exit 9')],
  });
  const before = identity((await allReady('steady', 5)) ?? []);
  await cluster.sh(name, '(sleep 2; touch /over) > /dev/null 2>&1 &');
  await hackCluster('pause', 'runtime', 'KILL');
  await new Promise((resolve) => setTimeout(resolve, 4000)); // the end happens meanwhile
  await hackCluster('resume', 'runtime');
  t.is(await cluster.ended(name), 'Failed');
  t.is((await cluster.read(name)).status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 9);
  const after = await cluster.until('the steady pods are ready', () => allReady('steady', 5));
  t.deepEqual(identity(after), before);
});
