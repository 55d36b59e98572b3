// PURE
// Usage of containers, pods and file systems to answers. What the kernel does not say is left out.
import type { ContainerStats } from '../../proto/generated/cri/runtime/v1/ContainerStats.ts';
import type { CpuUsage as CpuMessage } from '../../proto/generated/cri/runtime/v1/CpuUsage.ts';
import type { FilesystemUsage as FilesystemMessage } from '../../proto/generated/cri/runtime/v1/FilesystemUsage.ts';
import type { IoUsage as IoMessage } from '../../proto/generated/cri/runtime/v1/IoUsage.ts';
import type { MemoryUsage as MemoryMessage } from '../../proto/generated/cri/runtime/v1/MemoryUsage.ts';
import type { NetworkInterfaceUsage } from '../../proto/generated/cri/runtime/v1/NetworkInterfaceUsage.ts';
import type { NetworkUsage as NetworkMessage } from '../../proto/generated/cri/runtime/v1/NetworkUsage.ts';
import type { PodSandboxStats } from '../../proto/generated/cri/runtime/v1/PodSandboxStats.ts';
import type { PsiData } from '../../proto/generated/cri/runtime/v1/PsiData.ts';
import type { PsiStats } from '../../proto/generated/cri/runtime/v1/PsiStats.ts';
import type { SwapUsage as SwapMessage } from '../../proto/generated/cri/runtime/v1/SwapUsage.ts';
import type {
  ContainerUsage,
  CpuUsage,
  FilesystemUsage,
  InterfaceUsage,
  IoUsage,
  MemoryUsage,
  NetworkUsage,
  Pressure,
  PressureLine,
  SandboxUsage,
  SwapUsage,
} from '../usage.ts';

/** Integers go out as decimal text: a number would round what is above 2^53. */
const count = (value: bigint): { value: string } => ({ value: String(value) });
const countOrNone = (value: bigint | null): { value: string } | null => (value === null ? null : count(value));

const encodeLine = (from: PressureLine): PsiData => ({
  Total: String(from.totalNanos),
  Avg10: from.avg10,
  Avg60: from.avg60,
  Avg300: from.avg300,
});

const encodePressure = (from: Pressure | null): PsiStats | null =>
  from === null ? null : { Full: encodeLine(from.full), Some: encodeLine(from.some) };

const encodeCpu = (from: CpuUsage): CpuMessage => ({
  timestamp: String(from.timestamp),
  usage_core_nano_seconds: count(from.usageCoreNanos),
  usage_nano_cores: countOrNone(from.usageNanoCores),
  psi: encodePressure(from.pressure),
});

const encodeMemory = (from: MemoryUsage): MemoryMessage => ({
  timestamp: String(from.timestamp),
  working_set_bytes: count(from.workingSetBytes),
  available_bytes: countOrNone(from.availableBytes),
  usage_bytes: count(from.usageBytes),
  rss_bytes: count(from.rssBytes),
  page_faults: count(from.pageFaults),
  major_page_faults: count(from.majorPageFaults),
  psi: encodePressure(from.pressure),
});

const encodeSwap = (from: SwapUsage): SwapMessage => ({
  timestamp: String(from.timestamp),
  swap_available_bytes: countOrNone(from.availableBytes),
  swap_usage_bytes: count(from.usageBytes),
});

const encodeIo = (from: IoUsage): IoMessage => ({
  timestamp: String(from.timestamp),
  psi: encodePressure(from.pressure),
});

/** FilesystemUsage. */
export const encodeFilesystem = (from: FilesystemUsage): FilesystemMessage => ({
  timestamp: String(from.timestamp),
  fs_id: { mountpoint: from.mountpoint },
  used_bytes: count(from.usedBytes),
  inodes_used: count(from.inodesUsed),
});

/** ContainerStats. */
export function encodeContainerUsage(from: ContainerUsage): ContainerStats {
  const { id, config } = from.container.identity;
  return {
    attributes: {
      id,
      metadata: { name: config.metadata.name, attempt: config.metadata.attempt },
      labels: config.labels,
      annotations: config.annotations,
    },
    cpu: from.cpu && encodeCpu(from.cpu),
    memory: from.memory && encodeMemory(from.memory),
    swap: from.swap && encodeSwap(from.swap),
    io: from.io && encodeIo(from.io),
    writable_layer: from.writableLayer && encodeFilesystem(from.writableLayer),
  };
}

const encodeInterface = (from: InterfaceUsage): NetworkInterfaceUsage => ({
  name: from.name,
  rx_bytes: count(from.rxBytes),
  rx_errors: count(from.rxErrors),
  tx_bytes: count(from.txBytes),
  tx_errors: count(from.txErrors),
});

const encodeNetwork = (from: NetworkUsage): NetworkMessage => ({
  timestamp: String(from.timestamp),
  default_interface: from.defaultInterface && encodeInterface(from.defaultInterface),
  interfaces: from.others.map(encodeInterface),
});

/** PodSandboxStats. */
export function encodeSandboxUsage(from: SandboxUsage): PodSandboxStats {
  const { id, config } = from.sandbox.identity;
  return {
    attributes: { id, metadata: { ...config.metadata }, labels: config.labels, annotations: config.annotations },
    linux: {
      cpu: from.cpu && encodeCpu(from.cpu),
      memory: from.memory && encodeMemory(from.memory),
      io: from.io && encodeIo(from.io),
      network: from.network && encodeNetwork(from.network),
      process: from.processCount && {
        timestamp: String(from.processCount.timestamp),
        process_count: count(from.processCount.count),
      },
      containers: from.containers.map(encodeContainerUsage),
    },
  };
}
