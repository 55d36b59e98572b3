import test from 'ava';
import { encodePodMetrics } from '../../../src/cri/convert/metrics.ts';
import type { MetricHead, MetricSet, PodMetrics } from '../../../src/cri/usage.ts';
import { criMessage } from '../../../src/proto/cri-codec.ts';

const values = [0, 1, 127, 128, 16_383, 16_384, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 40 + 5, Number.MAX_SAFE_INTEGER];

const long = ['ü', '', 'x'.repeat(300)];
const short = ['eth0', '', ''];

/** Tells each value of a gauge, and twice that of a counter; `times` makes messages longer. */
const metrics = (prefix: string, times = 1): MetricSet['tell'] => {
  const gauge: MetricHead = { name: `${prefix}_gauge`, type: 'gauge' };
  const counter: MetricHead = { name: `${prefix}_counter_total`, type: 'counter' };
  return (take) => {
    for (const value of Array.from({ length: times }, () => values).flat()) {
      take(gauge, [], value);
      take(counter, long, value);
      take(counter, short, value);
    }
  };
};

const pods: PodMetrics[] = ['a', 'b'].map((id) => ({
  sandboxId: id.repeat(64),
  base: ['', '/pods/x', '', '', 'default', id],
  tell: metrics('pod'),
  // lengths of one to four bytes, and more than there is room for at first
  containers: [
    { times: 0, letters: 200 },
    { times: 1, letters: 200 },
    { times: 2, letters: 200 },
    { times: 80, letters: 200 },
    { times: 3, letters: 20_000 },
  ].map(({ times, letters }) => ({
    containerId: String(times).repeat(64),
    base: ['c', `/pods/x/${times}`, 'busybox', String(times), 'default', 'y'.repeat(letters)],
    tell: metrics('container', times),
  })),
}));

test('the bytes are those that the codec reads and would have made', (t) => {
  const codec = criMessage('PodSandboxMetrics');
  const asMessage = ({ base, tell }: MetricSet): object[] => {
    const list: object[] = [];
    tell(({ name, type }, labels, value) => {
      list.push({
        name,
        timestamp: '0',
        metric_type: type === 'gauge' ? 'GAUGE' : 'COUNTER',
        label_values: [...base, ...labels],
        value: { value: String(value) },
      });
    });
    return list;
  };
  const encoded = [...encodePodMetrics(pods)];
  t.is(encoded.length, pods.length);
  for (const [at, pod] of pods.entries()) {
    const message = {
      pod_sandbox_id: pod.sandboxId,
      metrics: asMessage(pod),
      container_metrics: pod.containers.map((container) => ({
        container_id: container.containerId,
        metrics: asMessage(container),
      })),
    };
    const answer = criMessage('ListPodSandboxMetricsResponse');
    const whole = { pod_metrics: [message] };
    const bytes = encoded[at] ?? Buffer.alloc(0);
    t.deepEqual(answer.deserialize(bytes), whole);
    t.deepEqual(codec.deserialize(Buffer.from(codec.serialize(message))), message);
  }
});

test('seconds are whole in CRI, whose values are integers', (t) => {
  const head: MetricHead = { name: 'container_x_seconds_total', type: 'counter' };
  const tell: MetricSet['tell'] = (take) => {
    for (const value of [12.9, 0.005, 3]) take(head, [], value);
  };
  const [bytes = Buffer.alloc(0)] = [...encodePodMetrics([{ sandboxId: 's', base: [], tell, containers: [] }])];
  const { pod_metrics } = criMessage('ListPodSandboxMetricsResponse').deserialize(bytes) as {
    pod_metrics: { metrics: { value: { value: string } }[] }[];
  };
  t.deepEqual(
    pod_metrics[0]?.metrics.map(({ value }) => value.value),
    ['12', '0', '3'],
  );
});

test('a pod without anything is its id', (t) => {
  const [bytes] = [...encodePodMetrics([{ sandboxId: 's', base: [], tell: () => undefined, containers: [] }])];
  t.deepEqual([...(bytes ?? [])], [0x0a, 3, 0x0a, 1, 's'.charCodeAt(0)]);
  t.deepEqual([...encodePodMetrics([])], []);
});
