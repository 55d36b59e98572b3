// A node that runs short of memory or of disk: whom the kubelet evicts, which images it removes, by what podwright tells it.
import type { V1Pod } from '@kubernetes/client-node';
import test from 'ava';
import { container, restartsOf, useCluster } from '../helpers/cluster.ts';
import { crictl } from '../helpers/crictl.ts';
import { Kubelet } from '../helpers/kubelet.ts';
import { ref } from '../helpers/registry.ts';
import { until } from '../helpers/until.ts';

const cluster = useCluster(test);
const kubelet = new Kubelet(cluster);
const gibi = 1 << 30;
/** Evictions: the kubelet looks every ten seconds, and asks for statistics before. */
const evictionMs = 180_000;
/** The kubelet collects images every five minutes, the first time as soon as it knows how old they are. */
const collectionMs = 420_000;

const spare = ref('e2e-test-images/busybox:1.29-2');
/** Six GiB of blocks, which nobody has to write; asked for once more, it is there. */
const takeDisk = 'fallocate -l 6442450944 /var/f';
const noDisk = {
  'nodefs.available': '0%',
  'nodefs.inodesFree': '0%',
  'imagefs.available': '0%',
  'imagefs.inodesFree': '0%',
};

test.after.always('the kubelet is as it was', () => kubelet.restore());

interface Summary {
  readonly node: {
    readonly memory?: { readonly availableBytes?: number };
    readonly runtime?: { readonly imageFs?: { readonly availableBytes?: number } };
  };
}

const evicted = ({ status }: V1Pod): boolean => status?.phase === 'Failed' && status.reason === 'Evicted';

/** Waits, longer than the other tests of the cluster do, until a pod is evicted; answers what it was told. */
const untilEvicted = (pod: string): Promise<string> =>
  until(
    `pod ${pod} is evicted`,
    async () => {
      const now = await cluster.read(pod);
      if (evicted(now)) return now.status?.message ?? '';
      await new Promise((resolve) => setTimeout(resolve, 500));
      return null;
    },
    evictionMs,
  );

/** References of the images that the runtime has. */
async function images(): Promise<readonly string[]> {
  const socket = cluster.where.RUNTIME_SOCKET.replace(/^unix:\/\//, '');
  const { images: found } = JSON.parse(await crictl(socket, 'images', '-o', 'json')) as {
    images: readonly { repoTags: readonly string[] }[];
  };
  return found.flatMap(({ repoTags }) => repoTags);
}

/** Runs a pod of the spare image to its end, and removes it: the image stays. */
async function leaveImage(): Promise<void> {
  const pod = await cluster.pod({
    restartPolicy: 'Never',
    containers: [container({ image: spare, command: ['true'] })],
  });
  await cluster.ended(pod);
  await cluster.remove(pod);
  if (!(await images()).includes(spare)) throw new Error(`image ${spare} did not stay`);
}

const untilCollected = (withinMs: number): Promise<true> =>
  until(
    `image ${spare} is removed`,
    async () => {
      if (!(await images()).includes(spare)) return true;
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return null;
    },
    withinMs,
  );

test.serial('short of memory the node says so, and evicts who takes more than was asked for', async (t) => {
  const modest = await cluster.readyPod({
    containers: [container({ resources: { requests: { memory: '64Mi' } } })],
  });
  const memory = [{ name: 'memory', emptyDir: { medium: 'Memory' } }];
  const greedy = await cluster.readyPod({
    volumes: memory,
    containers: [container({ volumeMounts: [{ name: 'memory', mountPath: '/memory' }] })],
  });
  const free = await cluster.until('the kubelet knows the memory', async () => {
    const { node } = JSON.parse(await kubelet.get('stats/summary')) as Summary;
    return node.memory?.availableBytes;
  });
  // others work on this machine too: what is taken is far more than they are likely to take or to give meanwhile
  await kubelet.configure({
    evictionHard: { 'memory.available': `${Math.floor((free - 2 * gibi) / 1024)}Ki`, ...noDisk },
    evictionPressureTransitionPeriod: '5s',
  });
  await cluster.ready(greedy);
  // beside what is executed, for the pod may end in the middle; the kubelet has just come back
  const take = 'dd if=/dev/zero of=/memory/f bs=1M count=4096 > /dev/null 2>&1 &';
  await cluster.until('the pod takes memory', async () => (await cluster.sh(greedy, `${take} echo taken`)) === 'taken');
  t.regex(await untilEvicted(greedy), /low on resource: memory.*main was using \d+Ki, request is 0/s);
  const { status } = await cluster.read(modest);
  t.is(status?.phase, 'Running', 'who took what was asked for stays');
  t.is(restartsOf(await cluster.read(modest)), 0);
  await until('the pressure is over', async () => !(await kubelet.condition('MemoryPressure')), evictionMs);
  t.is(await cluster.sh(await cluster.readyPod(), 'echo here'), 'here', 'and pods come again');
  const events = await cluster.kubectl('get', 'events', '--field-selector', `involvedObject.name=${greedy}`);
  t.regex(events.stdout, /Evicted/);
});

test.serial('images that nobody needs go once the disk is fuller than it should be', async (t) => {
  const kept = await cluster.readyPod();
  await leaveImage();
  await kubelet.configure({
    imageGCHighThresholdPercent: 1,
    imageGCLowThresholdPercent: 0,
    imageMinimumGCAge: '1s',
  });
  await untilCollected(collectionMs);
  t.true(
    (await images()).some((name) => name === ref('bench/tools')),
    'what a container stands on stays',
  );
  t.is(await cluster.sh(kept, 'echo here'), 'here');
});

test.serial('short of disk the node removes images first, and evicts who has written most', async (t) => {
  await leaveImage();
  const writer = await cluster.readyPod();
  const modest = await cluster.readyPod();
  const free = await cluster.until('the kubelet knows the disk', async () => {
    const { node } = JSON.parse(await kubelet.get('stats/summary')) as Summary;
    return node.runtime?.imageFs?.availableBytes;
  });
  await kubelet.configure({
    evictionHard: {
      'memory.available': '50Mi',
      ...noDisk,
      'imagefs.available': `${Math.floor((free - 3 * gibi) / 1024)}Ki`,
    },
    imageMinimumGCAge: '1s', // younger ones are spared even then
    evictionPressureTransitionPeriod: '5s',
  });
  await cluster.until(
    'the pod takes disk',
    async () => (await cluster.sh(writer, `${takeDisk} && echo taken`)) === 'taken',
  );
  t.regex(await untilEvicted(writer), /low on resource: ephemeral-storage.*main was using \d+Ki/s);
  t.false((await images()).includes(spare), 'the image went before');
  t.is(restartsOf(await cluster.read(modest)), 0, 'who has written nothing stays');
  await until('the pressure is over', async () => !(await kubelet.condition('DiskPressure')), evictionMs);
  t.is(await cluster.sh(await cluster.readyPod(), 'echo here'), 'here', 'and pods come again');
});
