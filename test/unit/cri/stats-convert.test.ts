import test from 'ava';
import * as fc from 'fast-check';
import { encodeContainerUsages, encodeSandboxUsages } from '../../../src/cri/convert/stats.ts';
import type { ContainerUsage, SandboxUsage } from '../../../src/cri/usage.ts';
import { criMessage } from '../../../src/proto/cri-codec.ts';
import type { ContainerStats__Output } from '../../../src/proto/generated/cri/runtime/v1/ContainerStats.ts';
import type { LinuxPodSandboxStats__Output } from '../../../src/proto/generated/cri/runtime/v1/LinuxPodSandboxStats.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';

fc.configureGlobal({ seed: 4711 }); // the same cases each time: other ones are the fuzzers' work

// How values read after a trip through the codec.
const count = (value: bigint) => ({ value: String(value) });
const maybe = <T, R>(value: T | null, to: (value: T) => R): R | null => (value === null ? null : to(value));
/** The fields that come from a cgroup, as the codec reads them. */
const read = (name: string, bytes: Uint8Array) => criMessage(name).deserialize(Buffer.from(bytes));
function measuredOfContainer(bytes: Uint8Array) {
  const { cpu, memory, swap, io } = read('ContainerStats', bytes) as ContainerStats__Output;
  return { cpu, memory, swap, io };
}
function measuredOfPod(bytes: Uint8Array) {
  const { cpu, memory, process, io } = read('LinuxPodSandboxStats', bytes) as LinuxPodSandboxStats__Output;
  return { cpu, memory, process, io };
}

const containerStats = (of: ContainerUsage) => {
  const { id, config } = of.container.identity;
  return {
    attributes: {
      id,
      metadata: { name: config.metadata.name, attempt: config.metadata.attempt },
      labels: config.labels,
      annotations: config.annotations,
    },
    ...measuredOfContainer(of.measured),
    writable_layer: {
      timestamp: String(of.writableLayer.timestamp),
      fs_id: { mountpoint: of.writableLayer.mountpoint },
      used_bytes: count(of.writableLayer.usedBytes),
      inodes_used: count(of.writableLayer.inodesUsed),
    },
  };
};
const sandboxStats = (of: SandboxUsage) => {
  const { id, config } = of.sandbox.identity;
  const traffic = (i: NonNullable<NonNullable<SandboxUsage['network']>['defaultInterface']>) => ({
    name: i.name,
    rx_bytes: count(i.rxBytes),
    rx_errors: count(i.rxErrors),
    tx_bytes: count(i.txBytes),
    tx_errors: count(i.txErrors),
  });
  return {
    attributes: { id, metadata: { ...config.metadata }, labels: config.labels, annotations: config.annotations },
    linux: {
      ...measuredOfPod(of.measured),
      network: maybe(of.network, (n) => ({
        timestamp: String(n.timestamp),
        default_interface: maybe(n.defaultInterface, traffic),
        interfaces: n.others.map(traffic),
      })),
      containers: of.containers.map(containerStats),
    },
    windows: null,
  };
};

// Values: all sizes that a varint has, and those that a number cannot hold.
const uint64 = fc.oneof(
  fc.constantFrom(0n, 1n, 127n, 128n, 2n ** 31n, 2n ** 53n, 2n ** 64n - 1n),
  fc.bigInt(0n, 2n ** 64n - 1n),
);
const int64 = fc.bigInt(0n, 2n ** 63n - 1n);
const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: null });
const value = fc.record({ value: uint64.map(String) });
const timestamp = int64.map(String);
const percent = fc.constantFrom(0, 0.01, 12.5, 99.99, 100);
const line = fc.record({ Total: uint64.map(String), Avg10: percent, Avg60: percent, Avg300: percent });
const psi = optional(fc.record({ Full: line, Some: line }));
const cpu = optional(fc.record({ timestamp, usage_core_nano_seconds: value, usage_nano_cores: optional(value), psi }));
const memory = optional(fc.record({ timestamp, working_set_bytes: value, available_bytes: optional(value), psi }));
const io = optional(fc.record({ timestamp, psi }));
const swap = optional(fc.record({ timestamp, swap_usage_bytes: value, swap_available_bytes: optional(value) }));
const process = optional(fc.record({ timestamp, process_count: value }));
const encoded = (name: string) => (message: object) => new Uint8Array(criMessage(name).serialize(message));
const ofContainer = fc.record({ cpu, memory, swap, io }).map(encoded('ContainerStats'));
const ofPod = fc.record({ cpu, memory, process, io }).map(encoded('LinuxPodSandboxStats'));
const text = fc.oneof(fc.constantFrom('', 'ü', 'x'.repeat(300)), fc.string());
const words = fc.dictionary(fc.constantFrom('a', 'b.c/d', 'é'), text, { noNullPrototype: true });
const attempt = fc.constantFrom(0, 1, 2 ** 32 - 1);
const containerUsage = fc.record({
  container: fc.record({ labels: words, annotations: words, name: text, attempt }).map(
    ({ name, attempt: tries, ...maps }) =>
      ({
        identity: { id: 'c'.repeat(64), config: { ...containerConfig(), ...maps, metadata: { name, attempt: tries } } },
      }) as ContainerUsage['container'],
  ),
  measured: ofContainer,
  writableLayer: fc.record({
    timestamp: int64,
    mountpoint: fc.constantFrom('/s', '/' + 'y'.repeat(200)),
    usedBytes: uint64,
    inodesUsed: uint64,
  }),
});
const interfaceUsage = fc.record({
  name: fc.constantFrom('eth0', 'net1'),
  rxBytes: uint64,
  rxErrors: uint64,
  txBytes: uint64,
  txErrors: uint64,
});
const sandboxUsage = fc.record({
  sandbox: fc.record({ labels: words, annotations: words, attempt }).map(({ attempt: tries, ...maps }) => {
    const config = sandboxConfig();
    return {
      identity: {
        id: 's'.repeat(64),
        config: { ...config, ...maps, metadata: { ...config.metadata, attempt: tries } },
      },
    } as SandboxUsage['sandbox'];
  }),
  measured: ofPod,
  network: optional(
    fc.record({
      timestamp: int64,
      defaultInterface: optional(interfaceUsage),
      others: fc.array(interfaceUsage, { maxLength: 3 }),
    }),
  ),
  containers: fc.array(containerUsage, { maxLength: 3 }),
});

test('the bytes of containers are what the codec reads back as the same usage', (t) => {
  const codec = criMessage('ListContainerStatsResponse');
  fc.assert(
    fc.property(fc.array(containerUsage, { maxLength: 4 }), (usages) => {
      const read = codec.deserialize(Buffer.concat([...encodeContainerUsages(usages)]));
      t.deepEqual(read, { stats: usages.map(containerStats) });
    }),
    { numRuns: 300 },
  );
});

test('the bytes of pods are what the codec reads back as the same usage', (t) => {
  const codec = criMessage('ListPodSandboxStatsResponse');
  fc.assert(
    fc.property(fc.array(sandboxUsage, { maxLength: 3 }), (usages) => {
      const read = codec.deserialize(Buffer.concat([...encodeSandboxUsages(usages)]));
      t.deepEqual(read, { stats: usages.map(sandboxStats) });
    }),
    { numRuns: 300 },
  );
});

test('the answer for one is a list of one', (t) => {
  const [usage] = fc.sample(containerUsage, { numRuns: 1, seed: 7 });
  if (!usage) throw new Error('no sample');
  const read = criMessage('ContainerStatsResponse').deserialize(Buffer.concat([...encodeContainerUsages([usage])]));
  t.deepEqual(read, { stats: containerStats(usage) });
});
