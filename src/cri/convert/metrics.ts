// PURE
// Metrics of pods to answers, as protobuf bytes: a node of 500 pods has 50,000 of them, for which the codec would
// hold the event loop for a second. Field numbers are those of runtime/v1/api.proto.
import type { MetricDescriptor as DescriptorMessage } from '../../proto/generated/cri/runtime/v1/MetricDescriptor.ts';
import type { MetricDescriptor, MetricSet, MetricValue, PodMetrics } from '../usage.ts';
import { varintLength, Writer } from './wire.ts';

/** MetricDescriptor. */
export const encodeDescriptor = (from: MetricDescriptor): DescriptorMessage => ({
  name: from.name,
  help: from.help,
  label_keys: [...from.labelKeys],
});

const smallRoom = 512;
const largeRoom = 64 * 1024;

function encodeLabels(values: readonly string[]): Buffer {
  const writer = new Writer(smallRoom);
  for (const value of values) writer.field(4, Buffer.from(value));
  return writer.take();
}

/** Metric.name and Metric.metric_type; COUNTER is 0 and left out. */
function encodeHead({ name, type }: MetricValue): Buffer {
  const writer = new Writer(smallRoom);
  writer.field(1, Buffer.from(name));
  if (type === 'gauge') {
    writer.tag(3, 0);
    writer.varint(1);
  }
  return writer.take();
}

/** What is the same in many metrics is encoded once: names, and values of the metrics' own labels. */
class MetricEncoder {
  readonly #writer: Writer;
  readonly #heads = new Map<string, Buffer>();
  readonly #labels = new Map<string, Buffer>();

  constructor(writer: Writer) {
    this.#writer = writer;
  }

  /** Metrics as field 2 of PodSandboxMetrics and of ContainerMetrics. Timestamps are 0: gathered for this call. */
  write({ base, metrics }: MetricSet): void {
    const shared = encodeLabels(base);
    for (const metric of metrics) {
      const head = kept(this.#heads, metric.name, () => encodeHead(metric));
      const labels = kept(this.#labels, metric.labels.join('\u0000'), () => encodeLabels(metric.labels));
      const valueLength = metric.value === 0 ? 0 : 1 + varintLength(metric.value);
      this.#writer.tag(2, 2);
      this.#writer.varint(head.byteLength + shared.byteLength + labels.byteLength + 2 + valueLength);
      this.#writer.bytes(head);
      this.#writer.bytes(shared);
      this.#writer.bytes(labels);
      this.#value(metric.value, valueLength);
    }
  }

  /** Metric.value: UInt64Value, empty for 0. */
  #value(value: number, length: number): void {
    this.#writer.tag(5, 2);
    this.#writer.varint(length);
    if (length === 0) return;
    this.#writer.tag(1, 0);
    this.#writer.varint(value);
  }
}

function kept(known: Map<string, Buffer>, key: string, encode: () => Buffer): Buffer {
  let found = known.get(key);
  if (found === undefined) {
    found = encode();
    known.set(key, found);
  }
  return found;
}

/** PodSandboxMetrics messages, each made when it is asked for. */
export function* encodePodMetrics(pods: Iterable<PodMetrics>): Generator<Buffer> {
  const [whole, part] = [new Writer(largeRoom), new Writer(largeRoom)];
  const [ofPod, ofContainer] = [new MetricEncoder(whole), new MetricEncoder(part)];
  for (const pod of pods) {
    whole.field(1, Buffer.from(pod.sandboxId));
    ofPod.write(pod);
    for (const container of pod.containers) {
      part.field(1, Buffer.from(container.containerId));
      ofContainer.write(container);
      whole.field(3, part.take());
    }
    yield whole.take();
  }
}
