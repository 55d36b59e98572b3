import test from 'ava';
import { encodePodMetrics } from '../../../src/cri/convert/metrics.ts';
import type { MetricValue, PodMetrics } from '../../../src/cri/usage.ts';
import { criMessage } from '../../../src/proto/cri-codec.ts';

const values = [0, 1, 127, 128, 16_383, 16_384, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 40 + 5, Number.MAX_SAFE_INTEGER];

const metrics = (prefix: string): MetricValue[] =>
  values.flatMap((value) => [
    { name: `${prefix}_gauge`, type: 'gauge', labels: [], value },
    { name: `${prefix}_counter_total`, type: 'counter', labels: ['ü', '', 'x'.repeat(300)], value },
    { name: `${prefix}_counter_total`, type: 'counter', labels: ['eth0', '', ''], value },
  ]);

const pods: PodMetrics[] = ['a', 'b'].map((id) => ({
  sandboxId: id.repeat(64),
  base: ['', '/pods/x', '', '', 'default', id],
  metrics: metrics('pod'),
  containers: ['1', '2'].map((number) => ({
    containerId: number.repeat(64),
    base: ['c', `/pods/x/${number}`, 'busybox', number, 'default', 'y'.repeat(200)],
    metrics: metrics('container'),
  })),
}));

test('the bytes are those that the codec reads and would have made', (t) => {
  const codec = criMessage('PodSandboxMetrics');
  const asMessage = (base: readonly string[], list: Iterable<MetricValue>): object[] =>
    [...list].map(({ name, type, labels, value }) => ({
      name,
      timestamp: '0',
      metric_type: type === 'gauge' ? 'GAUGE' : 'COUNTER',
      label_values: [...base, ...labels],
      value: { value: String(value) },
    }));
  const encoded = [...encodePodMetrics(pods)];
  t.is(encoded.length, pods.length);
  for (const [at, pod] of pods.entries()) {
    const message = {
      pod_sandbox_id: pod.sandboxId,
      metrics: asMessage(pod.base, pod.metrics),
      container_metrics: pod.containers.map(({ containerId, base, metrics: list }) => ({
        container_id: containerId,
        metrics: asMessage(base, list),
      })),
    };
    const bytes = encoded[at] ?? Buffer.alloc(0);
    t.deepEqual(codec.deserialize(bytes), message);
    t.deepEqual(codec.deserialize(Buffer.from(codec.serialize(message))), message);
  }
});

test('a pod without anything is its id', (t) => {
  const [bytes] = [...encodePodMetrics([{ sandboxId: 's', base: [], metrics: [], containers: [] }])];
  t.deepEqual([...(bytes ?? [])], [0x0a, 1, 's'.charCodeAt(0)]);
  t.deepEqual([...encodePodMetrics([])], []);
});
