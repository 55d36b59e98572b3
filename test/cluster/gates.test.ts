// Fields of pods that are behind feature gates yet: the cluster must have been brought up with them (hack/run-suites.mjs does).
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { container, podSpec, scripted, useCluster } from '../helpers/cluster.ts';

const cluster = useCluster(test);
const shared = mkdtempSync('/tmp/pwcluster-host-');
test.after.always('the directory of the host is gone', () => rmSync(shared, { recursive: true, force: true }));

/** A test that needs gates; skipped where one is not open. */
const gated = (gates: readonly string[], title: string, body: (t: ExecutionContext) => Promise<void>): void => {
  const closed = gates.filter((gate) => !cluster.where.GATES.includes(`${gate}=true`));
  if (closed.length === 0) test.serial(title, body);
  else
    test.serial.skip(
      `${title} (hack/cluster up --feature-gates ${closed.map((gate) => `${gate}=true`).join(',')})`,
      body,
    );
};

/** Makes a pod by kubectl, for the client's types do not know these fields; waits until it is ready. */
async function apply(name: string, spec: object): Promise<void> {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { ...spec } };
  const { code, stderr } = await cluster.kubectlWith(JSON.stringify(pod), 'apply', '-f', '-');
  if (code !== 0) throw new Error(stderr);
  await cluster.ready(name);
}

const jsonPath = async (name: string, path: string): Promise<string> =>
  (await cluster.kubectl('get', 'pod', name, '-o', `jsonpath={${path}}`)).stdout;

gated(['ContainerStopSignals'], 'a container is stopped by the signal that its pod names', async (t) => {
  const main = scripted(
    'trap "echo usr1 > /host/signal; exit 0" USR1; trap "echo term > /host/signal; exit 0" TERM; while :; do sleep 0.1; done',
    {
      volumeMounts: [{ name: 'host', mountPath: '/host' }],
    },
  );
  const spec = podSpec({ terminationGracePeriodSeconds: 30, volumes: [{ name: 'host', hostPath: { path: shared } }] });
  await apply('signal', {
    ...spec,
    os: { name: 'linux' },
    containers: [{ ...main, lifecycle: { stopSignal: 'SIGUSR1' } }],
  });
  t.is(await jsonPath('signal', '.status.containerStatuses[0].stopSignal'), 'SIGUSR1');
  await cluster.remove('signal');
  t.is(readFileSync(join(shared, 'signal'), 'utf8'), 'usr1\n');
});

gated(['VolumeBindMountOptions'], 'a volume is mounted with the options that its pod names', async (t) => {
  const main = { ...container(), volumeMounts: [{ name: 'box', mountPath: '/box', bindMountOptions: ['noexec'] }] };
  await apply('options', { ...podSpec({ volumes: [{ name: 'box', emptyDir: {} }] }), containers: [main] });
  t.regex(await cluster.sh('options', 'grep " /box " /proc/mounts'), /noexec/);
  t.is(await cluster.sh('options', 'cp /bin/busybox /box/true; /box/true 2> /dev/null || echo refused'), 'refused');
});

gated(
  ['UserNamespacesHostNetworkSupport'],
  'a pod in a user namespace of its own and in the host’s network',
  async (t) => {
    await apply('both', podSpec({ hostUsers: false, hostNetwork: true }));
    t.false(/^\s*0\s+0\s/.test(await cluster.sh('both', 'cat /proc/self/uid_map')));
    t.regex(await cluster.sh('both', 'cat /proc/net/dev'), /pwnode0/);
  },
);
