// What the controllers make of pods: Deployments, Jobs, CronJobs, DaemonSets, StatefulSets.
import test from 'ava';
import { type Manifest, container, isReady, podSpec, scripted, useCluster } from '../helpers/cluster.ts';

const cluster = useCluster(test);

/** A workload, by its kind and name, of pods labelled by that. */
const workload = (what: string, spec: object, template = podSpec()): Manifest => {
  const [kind = '', name = ''] = what.split('/');
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name },
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: template },
      ...spec,
    },
  };
};

const job = (name: string, spec: object, template = podSpec()): Manifest => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name },
  spec: {
    template: { metadata: { labels: { app: name } }, spec: { ...template, restartPolicy: 'Never' } },
    ...spec,
  },
});

const condition = async (object: string, wish: string): Promise<void> => {
  await cluster.until(`${object} is ${wish}`, async () => {
    const { code } = await cluster.kubectl('wait', object, `--for=${wish}`, '--timeout=1s');
    return code === 0;
  });
};

test.before('a CronJob that is due within the minute', () =>
  cluster.make({
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'clock' },
    spec: {
      schedule: '* * * * *',
      jobTemplate: {
        spec: {
          template: {
            metadata: { labels: { app: 'clock' } },
            spec: { ...podSpec({ containers: [scripted('echo tick')] }), restartPolicy: 'Never' },
          },
        },
      },
    },
  }),
);

test.serial('the node is podwright’s, and kubectl says so', async (t) => {
  const { stdout } = await cluster.kubectl('describe', 'node', cluster.where.NODE);
  t.regex(stdout, /Container Runtime Version:\s+podwright:\/\/\d+\.\d+\.\d+/);
  t.regex(stdout, /Ready\s+True/);
});

test.serial('a Deployment is rolled out, scaled, rolled over to another template and rolled back', async (t) => {
  await cluster.make(workload('Deployment/web', { replicas: 3 }));
  await cluster.until('three pods are ready', async () => (await cluster.pods('app=web')).filter(isReady).length === 3);
  const addresses = new Set((await cluster.pods('app=web')).map(({ status }) => status?.podIP));
  t.is(addresses.size, 3, 'each has an address of its own');
  t.is((await cluster.kubectl('scale', 'deployment/web', '--replicas=5')).code, 0);
  await cluster.until('five pods are ready', async () => (await cluster.pods('app=web')).filter(isReady).length === 5);
  t.is((await cluster.kubectl('set', 'env', 'deployment/web', 'COLOUR=blue')).code, 0);
  t.is((await cluster.kubectl('rollout', 'status', 'deployment/web', '--timeout=100s')).code, 0);
  const colourOf = async (): Promise<string> => {
    const all = await cluster.pods('app=web');
    const name = all.find(isReady)?.metadata?.name ?? '';
    return cluster.sh(name, 'echo ${COLOUR:-none}');
  };
  await cluster.until('only new pods are left', async () => (await cluster.pods('app=web')).length === 5);
  t.is(await colourOf(), 'blue');
  t.is((await cluster.kubectl('rollout', 'undo', 'deployment/web')).code, 0);
  t.is((await cluster.kubectl('rollout', 'status', 'deployment/web', '--timeout=100s')).code, 0);
  await cluster.until(
    'only pods of the first template are left',
    async () => (await cluster.pods('app=web')).length === 5,
  );
  t.is(await colourOf(), 'none');
});

test.serial('a Job runs to completion in parallel; one that fails is tried again and given up', async (t) => {
  await cluster.make(
    job('sums', { completions: 4, parallelism: 2 }, podSpec({ containers: [scripted('echo $((6 * 7))')] })),
    job('doomed', { backoffLimit: 1 }, podSpec({ containers: [scripted('exit 3')] })),
  );
  await condition('job/sums', 'condition=complete');
  const done = await cluster.pods('app=sums');
  t.is(done.length, 4);
  for (const { metadata } of done) t.is(await cluster.logs(metadata?.name ?? ''), '42\n');
  await condition('job/doomed', 'condition=failed');
  const failed = await cluster.pods('app=doomed');
  t.is(failed.length, 2);
  for (const { status } of failed) t.is(status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 3);
});

test.serial('a Job ends its pods at its deadline', async (t) => {
  await cluster.make(job('late', { activeDeadlineSeconds: 2, backoffLimit: 0 }));
  await condition('job/late', 'condition=failed');
  await cluster.until('its pods are gone', async () =>
    (await cluster.pods('app=late')).every(({ status }) => status?.phase === 'Failed'),
  );
  t.pass();
});

test.serial('a DaemonSet has one pod on the node, in the host’s network if it wishes', async (t) => {
  await cluster.make(workload('DaemonSet/agent', {}, podSpec({ hostNetwork: true, hostPID: true })));
  const pods = await cluster.until('its pod is ready', async () => {
    const found = await cluster.pods('app=agent');
    return found.length > 0 && found.every(isReady) ? found : null;
  });
  t.is(pods.length, 1);
  t.is(pods[0]?.status?.podIP, cluster.where.NODE_IP);
  t.regex(await cluster.sh(pods[0]?.metadata?.name ?? '', 'cat /proc/net/dev'), /pwnode0/);
});

test.serial('a StatefulSet starts its pods in order, and one that is deleted comes back under its name', async (t) => {
  const slow = container({ readinessProbe: { exec: { command: ['true'] }, periodSeconds: 1 } });
  await cluster.make(workload('StatefulSet/db', { replicas: 2, serviceName: 'db' }, podSpec({ containers: [slow] })));
  const [first, second] = [await cluster.ready('db-0'), await cluster.ready('db-1')];
  const readyAt = first.status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
  t.true((readyAt ?? 0) <= (second.metadata?.creationTimestamp ?? 0));
  t.is(await cluster.sh('db-1', 'hostname'), 'db-1');
  await cluster.core.deleteNamespacedPod({ name: 'db-0', namespace: cluster.namespace });
  const again = await cluster.podThat(
    'db-0',
    'is there anew',
    (pod) => isReady(pod) && pod.metadata?.uid !== first.metadata?.uid,
  );
  t.is(again.metadata?.name, 'db-0');
});

test.serial('a CronJob’s Job has run by now', async (t) => {
  const pods = await cluster.until('its pod has ended', async () => {
    const found = await cluster.pods('app=clock');
    return found.some(({ status }) => status?.phase === 'Succeeded') ? found : null;
  });
  const done = pods.find(({ status }) => status?.phase === 'Succeeded');
  t.is(await cluster.logs(done?.metadata?.name ?? ''), 'tick\n');
});
