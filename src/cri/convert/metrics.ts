// PURE
// Metrics of pods to answers, as protobuf bytes: a node of 500 pods has 50,000 of them, for which the codec would
// hold the event loop for a second. Field numbers are those of runtime/v1/api.proto.
import type { MetricDescriptor as DescriptorMessage } from '../../proto/generated/cri/runtime/v1/MetricDescriptor.ts';
import type { MetricDescriptor, MetricHead, MetricSet, PodMetrics } from '../usage.ts';
import { varintLength, Writer } from './wire.ts';

/** MetricDescriptor. */
export const encodeDescriptor = (from: MetricDescriptor): DescriptorMessage => ({
  name: from.name,
  help: from.help,
  label_keys: [...from.labelKeys],
});

const smallRoom = 512;
const largeRoom = 256 * 1024;
/** How many bytes the length of a pod's or a container's message mostly has: there are 15 to 60 KB of metrics. */
const lengthBytes = 3;

function encodeLabels(values: readonly string[]): Buffer {
  const writer = new Writer(smallRoom);
  for (const value of values) writer.field(4, Buffer.from(value));
  return writer.take();
}

/** Metric.name and Metric.metric_type; COUNTER is 0 and left out. */
function encodeHead({ name, type }: MetricHead): Buffer {
  const writer = new Writer(smallRoom);
  writer.field(1, Buffer.from(name));
  if (type === 'gauge') {
    writer.tag(3, 0);
    writer.varint(1);
  }
  return writer.take();
}

/** Heads of metrics, and label values of pods and containers, for as long as these live. */
const heads = new WeakMap<MetricHead, Buffer>();
const bases = new WeakMap<readonly string[], Buffer>();

/** Encodes what metrics of one call have in common once. */
class MetricEncoder {
  readonly #writer: Writer;
  readonly #labels = new Map<readonly string[], Buffer>();

  constructor(writer: Writer) {
    this.#writer = writer;
  }

  /** Metrics as field 2 of PodSandboxMetrics and of ContainerMetrics. Timestamps are 0: gathered for this call. */
  write({ base, tell }: MetricSet): void {
    const writer = this.#writer;
    const shared = kept(bases, base, encodeLabels);
    tell((metric, own, exact) => {
      const value = Math.floor(exact); // CRI's values are integers
      const head = kept(heads, metric, encodeHead);
      const labels = kept(this.#labels, own, encodeLabels);
      const valueLength = value === 0 ? 0 : 1 + varintLength(value);
      writer.tag(2, 2);
      writer.varint(head.byteLength + shared.byteLength + labels.byteLength + 2 + valueLength);
      writer.bytes(head);
      writer.bytes(shared);
      if (labels.byteLength > 0) writer.bytes(labels);
      // Metric.value: UInt64Value, empty for 0
      writer.tag(5, 2);
      writer.varint(valueLength);
      if (valueLength === 0) return;
      writer.tag(1, 0);
      writer.varint(value);
    });
  }
}

function kept<Key extends object>(
  known: { get(key: Key): Buffer | undefined; set(key: Key, encoded: Buffer): unknown },
  key: Key,
  encode: (key: Key) => Buffer,
): Buffer {
  let found = known.get(key);
  if (found === undefined) {
    found = encode(key);
    known.set(key, found);
  }
  return found;
}

/** PodSandboxMetrics messages as items of an answer (`repeated PodSandboxMetrics = 1`), each made when it is asked for. */
export function* encodePodMetrics(pods: Iterable<PodMetrics>): Generator<Buffer> {
  const writer = new Writer(largeRoom);
  const encoder = new MetricEncoder(writer);
  for (const pod of pods) {
    writer.message(
      1,
      () => {
        writer.field(1, Buffer.from(pod.sandboxId));
        encoder.write(pod);
        for (const container of pod.containers) {
          writer.message(
            3,
            () => {
              writer.field(1, Buffer.from(container.containerId));
              encoder.write(container);
            },
            lengthBytes,
          );
        }
      },
      lengthBytes,
    );
    yield writer.handOver();
  }
}
