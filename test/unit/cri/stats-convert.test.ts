import test from 'ava';
import * as fc from 'fast-check';
import { encodeContainerUsages, encodeSandboxUsages } from '../../../src/cri/convert/stats.ts';
import type { ContainerUsage, CpuUsage, MemoryUsage, Pressure, SandboxUsage } from '../../../src/cri/usage.ts';
import { criMessage } from '../../../src/proto/cri-codec.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';

// How values read after a trip through the codec.
const count = (value: bigint) => ({ value: String(value) });
const maybe = <T, R>(value: T | null, to: (value: T) => R): R | null => (value === null ? null : to(value));
const psi = ({ full, some }: Pressure) => {
  const [Full, Some] = [full, some].map((of) => ({
    Total: String(of.totalNanos),
    Avg10: of.avg10,
    Avg60: of.avg60,
    Avg300: of.avg300,
  }));
  return { Full, Some };
};
const cpu = (of: CpuUsage) => ({
  timestamp: String(of.timestamp),
  usage_core_nano_seconds: count(of.usageCoreNanos),
  usage_nano_cores: maybe(of.usageNanoCores, count),
  psi: maybe(of.pressure, psi),
});
const memory = (of: MemoryUsage) => ({
  timestamp: String(of.timestamp),
  working_set_bytes: count(of.workingSetBytes),
  available_bytes: maybe(of.availableBytes, count),
  usage_bytes: count(of.usageBytes),
  rss_bytes: count(of.rssBytes),
  page_faults: count(of.pageFaults),
  major_page_faults: count(of.majorPageFaults),
  psi: maybe(of.pressure, psi),
});
const io = (of: { readonly timestamp: bigint; readonly pressure: Pressure | null }) => ({
  timestamp: String(of.timestamp),
  psi: maybe(of.pressure, psi),
});
const containerStats = (of: ContainerUsage) => {
  const { id, config } = of.container.identity;
  return {
    attributes: {
      id,
      metadata: { name: config.metadata.name, attempt: config.metadata.attempt },
      labels: config.labels,
      annotations: config.annotations,
    },
    cpu: maybe(of.cpu, cpu),
    memory: maybe(of.memory, memory),
    swap: maybe(of.swap, (s) => ({
      timestamp: String(s.timestamp),
      swap_available_bytes: maybe(s.availableBytes, count),
      swap_usage_bytes: count(s.usageBytes),
    })),
    io: maybe(of.io, io),
    writable_layer: maybe(of.writableLayer, (w) => ({
      timestamp: String(w.timestamp),
      fs_id: { mountpoint: w.mountpoint },
      used_bytes: count(w.usedBytes),
      inodes_used: count(w.inodesUsed),
    })),
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
      cpu: maybe(of.cpu, cpu),
      memory: maybe(of.memory, memory),
      network: maybe(of.network, (n) => ({
        timestamp: String(n.timestamp),
        default_interface: maybe(n.defaultInterface, traffic),
        interfaces: n.others.map(traffic),
      })),
      process: maybe(of.processCount, (p) => ({ timestamp: String(p.timestamp), process_count: count(p.count) })),
      containers: of.containers.map(containerStats),
      io: maybe(of.io, io),
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
const percent = fc.constantFrom(0, 0.01, 12.5, 99.99, 100);
const line = fc.record({ totalNanos: uint64, avg10: percent, avg60: percent, avg300: percent });
const pressure = optional(fc.record({ full: line, some: line }));
const cpuUsage = fc.record({ timestamp: int64, usageCoreNanos: uint64, usageNanoCores: optional(uint64), pressure });
const memoryUsage = fc.record({
  timestamp: int64,
  workingSetBytes: uint64,
  availableBytes: optional(uint64),
  usageBytes: uint64,
  rssBytes: uint64,
  pageFaults: uint64,
  majorPageFaults: uint64,
  pressure,
});
const ioUsage = fc.record({ timestamp: int64, pressure });
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
  cpu: optional(cpuUsage),
  memory: optional(memoryUsage),
  swap: optional(fc.record({ timestamp: int64, availableBytes: optional(uint64), usageBytes: uint64 })),
  io: optional(ioUsage),
  writableLayer: optional(
    fc.record({
      timestamp: int64,
      mountpoint: fc.constantFrom('/s', '/' + 'y'.repeat(200)),
      usedBytes: uint64,
      inodesUsed: uint64,
    }),
  ),
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
  cpu: optional(cpuUsage),
  memory: optional(memoryUsage),
  io: optional(ioUsage),
  network: optional(
    fc.record({
      timestamp: int64,
      defaultInterface: optional(interfaceUsage),
      others: fc.array(interfaceUsage, { maxLength: 3 }),
    }),
  ),
  processCount: optional(fc.record({ timestamp: int64, count: uint64 })),
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
