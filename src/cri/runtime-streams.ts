// The streaming RPCs of RuntimeService as a table: RPC → decode, verb, encode. Must hold nothing else.
import type { RuntimeServiceDefinition } from '../proto/generated/cri/runtime/v1/RuntimeService.ts';
import { containerList, sandboxList } from './cached-lists.ts';
import { decodeContainerFilter, decodeSandboxFilter, decodeUsageFilter } from './convert/filters.ts';
import { encodePodMetrics } from './convert/metrics.ts';
import { encodeContainerUsages, encodeSandboxUsages } from './convert/stats.ts';
import { inBatches } from './encoded-list.ts';
import { eventMessages } from './event-stream.ts';
import { answering, batching, nothing } from './row.ts';
import type { Table } from './table.ts';
import type { RuntimeVerbs } from './verbs.ts';

/** Every streaming RPC of RuntimeService that is served. */
export const runtimeStreams: Table<RuntimeVerbs, RuntimeServiceDefinition> = {
  StreamPodSandboxes: {
    ...batching,
    subject: nothing,
    stream: ({ filter }, verbs, context) =>
      inBatches(async () => sandboxList.entries(await verbs.listPodSandbox(decodeSandboxFilter(filter), context))),
  },
  StreamContainers: {
    ...batching,
    subject: nothing,
    stream: ({ filter }, verbs, context) =>
      inBatches(async () => containerList.entries(await verbs.listContainers(decodeContainerFilter(filter), context))),
  },
  StreamContainerStats: {
    ...batching,
    subject: nothing,
    stream: ({ filter }, verbs, context) =>
      inBatches(async () => encodeContainerUsages(await verbs.listContainerStats(decodeUsageFilter(filter), context))),
  },
  StreamPodSandboxMetrics: {
    ...batching,
    subject: nothing,
    stream: (_, verbs, context) =>
      inBatches(async () => encodePodMetrics(await verbs.listPodSandboxMetrics(null, context))),
  },
  GetContainerEvents: {
    // also while recovering: what is found then are events too
    ...answering,
    endless: true,
    subject: nothing,
    stream: (_, verbs) => eventMessages(verbs.containerEvents),
  },
  StreamPodSandboxStats: {
    ...batching,
    subject: nothing,
    stream: ({ filter }, verbs, context) =>
      inBatches(async () => encodeSandboxUsages(await verbs.listPodSandboxStats(decodeUsageFilter(filter), context))),
  },
};
