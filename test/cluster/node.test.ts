// The kubelet beside its pods: static ones, statistics, what is still new, checkpoints.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { container, isReady, podSpec, scripted, useCluster } from '../helpers/cluster.ts';
import { Kubelet } from '../helpers/kubelet.ts';

const cluster = useCluster(test);
const { DIR, NODE } = cluster.where;
const kubelet = new Kubelet(cluster);
const staticPod = join(DIR, 'manifests/still.json');

test.after.always('the kubelet is as it was', async () => {
  rmSync(staticPod, { force: true });
  await kubelet.restore();
});

/** The value of the first series whose line has all the words, or null. */
const series = (metrics: string, ...words: string[]): number | null => {
  const line = metrics.split('\n').find((each) => !each.startsWith('#') && words.every((word) => each.includes(word)));
  return line === undefined ? null : Number(line.split(' ')[1]);
};

const metricsPort = (): string =>
  /^address = "(\S+:\d+)"$/m.exec(readFileSync(join(DIR, 'podwright.toml'), 'utf8'))?.[1] ?? '';
const daemonMetrics = async (): Promise<string> => (await fetch(`http://${metricsPort()}/metrics`)).text();

test.serial('a static pod: made, changed and removed by its file', async (t) => {
  const { namespace } = cluster;
  const write = (colour: string): void => {
    const spec = podSpec({ containers: [container({ env: [{ name: 'COLOUR', value: colour }] })] });
    writeFileSync(
      staticPod,
      JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'still', namespace }, spec }),
    );
  };
  const name = `still-${NODE}`;
  write('red');
  await cluster.ready(name);
  t.is(await cluster.sh(name, 'echo $COLOUR'), 'red');
  write('blue');
  await cluster.until('the changed pod runs', async () => (await cluster.sh(name, 'echo $COLOUR')) === 'blue');
  rmSync(staticPod);
  await cluster.until('it is gone', () =>
    cluster.read(name).then(
      () => false,
      () => true,
    ),
  );
});

interface Usage {
  readonly usageNanoCores?: number;
  readonly workingSetBytes?: number;
}
interface Summary {
  readonly node: { readonly runtime: { readonly imageFs: { readonly usedBytes: number } } };
  readonly pods: readonly {
    readonly podRef: { readonly name: string; readonly namespace: string };
    readonly cpu?: Usage;
    readonly memory?: Usage;
    readonly network?: { readonly name: string; readonly rxBytes: number };
    readonly containers: readonly {
      readonly cpu?: Usage;
      readonly memory?: Usage;
      readonly rootfs?: { readonly usedBytes: number };
    }[];
  }[];
}

/** What the kubelet says of a pod once it has all of it. */
async function statistics(name: string): Promise<Summary['pods'][number] & { readonly images: number }> {
  return cluster.until('the statistics are there', async () => {
    const { node, pods } = JSON.parse(await kubelet.get('stats/summary')) as Summary;
    const pod = pods.find(({ podRef }) => podRef.name === name && podRef.namespace === cluster.namespace);
    const [main] = pod?.containers ?? [];
    const whole =
      pod !== undefined &&
      main?.cpu?.usageNanoCores !== undefined &&
      main.memory !== undefined &&
      main.rootfs !== undefined;
    return whole ? { ...pod, images: node.runtime.imageFs.usedBytes } : null;
  });
}

const busy = (): Promise<string> =>
  cluster.readyPod({ containers: [scripted('dd if=/dev/zero of=/var/f bs=1M count=4; while :; do :; done')] });

test.serial('with statistics, events and lists from the runtime the kubelet sees and does the same', async (t) => {
  await kubelet.configure({
    featureGates: { PodAndContainerStatsFromCRI: true, EventedPLEG: true, CRIListStreaming: true },
  });
  const name = await busy();
  const pod = await statistics(name);
  t.is(pod.network?.name, 'eth0');
  t.true((pod.memory?.workingSetBytes ?? 0) > 0);
  const metrics = await cluster.until('the metrics name the pod', async () => {
    const all = await kubelet.get('metrics/cadvisor');
    return series(all, 'container_cpu_usage_seconds_total', `pod="${name}"`, 'container="main"') === null ? null : all;
  });
  t.true((series(metrics, 'container_memory_working_set_bytes', `pod="${name}"`, 'container="main"') ?? 0) > 0);
  t.true((series(metrics, 'container_network_receive_bytes_total', `pod="${name}"`, 'interface="eth0"') ?? -1) >= 0);
  t.true((series(await kubelet.get('metrics'), 'kubelet_evented_pleg_connection_success_count') ?? 0) >= 1);
  const served = await daemonMetrics();
  for (const method of ['StreamPodSandboxes', 'StreamContainers', 'StreamPodSandboxStats', 'StreamPodSandboxMetrics'])
    t.true(served.includes(`"${method}"`), `the kubelet called ${method}`);
  const short = await cluster.pod({ restartPolicy: 'Never', containers: [scripted('exit 4')] });
  t.is(await cluster.ended(short), 'Failed');
  await cluster.remove(name);
  await kubelet.configure(null);
});

test.serial('the kubelet takes a checkpoint of a container where criu can, and says why where it cannot', async (t) => {
  const name = await cluster.readyPod();
  const path = `/api/v1/nodes/${NODE}/proxy/checkpoint/${cluster.namespace}/${name}/main`;
  const { stdout, stderr, code } = await cluster.kubectl('create', '--raw', path, '-f', '/dev/null');
  if (code === 0) {
    const [archive] = (JSON.parse(stdout) as { items: string[] }).items;
    t.true(existsSync(archive ?? ''));
    t.regex(execFileSync('tar', ['-tf', archive ?? ''], { encoding: 'utf8' }), /checkpoint\//);
  } else t.regex(stderr, /criu/i);
  t.true(isReady(await cluster.read(name)), 'the container goes on');
});
