// RuntimeService as a table: RPC → decode, verb, encode. Must hold nothing else.
// What is not listed answers UNIMPLEMENTED.
import type { RuntimeServiceDefinition } from '../proto/generated/cri/runtime/v1/RuntimeService.ts';
import { containerList, sandboxList } from './cached-lists.ts';
import { checkpoints } from './checkpoint-service.ts';
import { decodeContainerConfig, encodeContainerStatus } from './convert/container.ts';
import { decodeHandler, name } from './convert/fields.ts';
import { decodeContainerFilter, decodeSandboxFilter, decodeUsageFilter } from './convert/filters.ts';
import { encodeDescriptor, encodePodMetrics } from './convert/metrics.ts';
import {
  containerById,
  containerStatusRequest,
  decodeAttach,
  decodeExec,
  decodeExecSync,
  decodePortForward,
  decodeSandboxUpdate,
  decodeStop,
  decodeUpdate,
  sandboxById,
  sandboxStatusRequest,
} from './convert/requests.ts';
import { decodeSandboxConfig, encodeSandboxStatus } from './convert/sandbox.ts';
import { encodeContainerUsages, encodeSandboxUsages } from './convert/stats.ts';
import { encodeRuntimeConfig, encodeStatus, encodeVersion } from './convert/status.ts';
import { gathered } from './encoded-list.ts';
import { aContainer, answering, aSandbox, listing, mutating, nothing, reading } from './row.ts';
import { runtimeStreams } from './runtime-streams.ts';
import type { Table } from './table.ts';
import type { RuntimeVerbs } from './verbs.ts';

/** Every RPC of RuntimeService that is served. */
export const runtimeService: Table<RuntimeVerbs, RuntimeServiceDefinition> = {
  ...runtimeStreams,
  ...checkpoints,

  Version: {
    ...answering,
    subject: nothing,
    serve: async (_, verbs, context) => encodeVersion(await verbs.version(null, context)),
  },
  Status: {
    ...answering,
    subject: nothing,
    serve: async ({ verbose }, verbs, context) => encodeStatus(await verbs.status({ verbose }, context), verbose),
  },
  RuntimeConfig: {
    ...answering,
    subject: nothing,
    serve: async (_, verbs, context) => encodeRuntimeConfig(await verbs.runtimeConfig(null, context)),
  },
  UpdateRuntimeConfig: {
    ...mutating,
    subject: nothing,
    async serve({ runtime_config }, verbs, context) {
      await verbs.updateRuntimeConfig({ podCidr: runtime_config?.network_config?.pod_cidr ?? '' }, context);
      return {};
    },
  },

  RunPodSandbox: {
    ...mutating,
    subject: ({ config }) => ({ pod: config?.metadata?.name ?? '', namespace: config?.metadata?.namespace ?? '' }),
    serve: async (request, verbs, context) => ({
      pod_sandbox_id: await verbs.runPodSandbox(
        {
          config: decodeSandboxConfig(request.config),
          runtimeHandler: decodeHandler('runtime_handler', request.runtime_handler),
        },
        context,
      ),
    }),
  },
  StopPodSandbox: {
    ...mutating,
    subject: aSandbox,
    async serve(request, verbs, context) {
      await verbs.stopPodSandbox(sandboxById(request), context);
      return {};
    },
  },
  RemovePodSandbox: {
    ...mutating,
    subject: aSandbox,
    async serve(request, verbs, context) {
      await verbs.removePodSandbox(sandboxById(request), context);
      return {};
    },
  },
  PodSandboxStatus: {
    ...reading,
    subject: aSandbox,
    serve: async (request, verbs, context) =>
      encodeSandboxStatus(await verbs.podSandboxStatus(sandboxStatusRequest(request), context), request.verbose),
  },
  ListPodSandbox: {
    ...listing,
    subject: nothing,
    serve: async ({ filter }, verbs, context) =>
      sandboxList.encode(await verbs.listPodSandbox(decodeSandboxFilter(filter), context)),
  },
  UpdatePodSandboxResources: {
    ...mutating,
    subject: aSandbox,
    async serve(request, verbs, context) {
      await verbs.updatePodSandboxResources(decodeSandboxUpdate(request), context);
      return {};
    },
  },

  CreateContainer: {
    ...mutating,
    subject: ({ pod_sandbox_id, config }) => ({ sandboxId: pod_sandbox_id, container: config?.metadata?.name ?? '' }),
    serve: async (request, verbs, context) => ({
      container_id: await verbs.createContainer(
        {
          sandboxId: name('pod_sandbox_id', request.pod_sandbox_id),
          config: decodeContainerConfig(request.config),
        },
        context,
      ),
    }),
  },
  StartContainer: {
    ...mutating,
    subject: aContainer,
    async serve(request, verbs, context) {
      await verbs.startContainer(containerById(request), context);
      return {};
    },
  },
  StopContainer: {
    ...mutating,
    subject: (request) => ({ ...aContainer(request), timeoutSeconds: request.timeout }),
    async serve(request, verbs, context) {
      await verbs.stopContainer(decodeStop(request), context);
      return {};
    },
  },
  RemoveContainer: {
    ...mutating,
    subject: aContainer,
    async serve(request, verbs, context) {
      await verbs.removeContainer(containerById(request), context);
      return {};
    },
  },
  ListContainers: {
    ...listing,
    subject: nothing,
    serve: async ({ filter }, verbs, context) =>
      containerList.encode(await verbs.listContainers(decodeContainerFilter(filter), context)),
  },
  ContainerStatus: {
    ...reading,
    subject: aContainer,
    async serve(request, verbs, context) {
      const { container, info } = await verbs.containerStatus(containerStatusRequest(request), context);
      return { status: encodeContainerStatus(container), info: request.verbose ? info : {} };
    },
  },
  UpdateContainerResources: {
    ...mutating,
    subject: aContainer,
    async serve(request, verbs, context) {
      await verbs.updateContainerResources(decodeUpdate(request), context);
      return {};
    },
  },
  ReopenContainerLog: {
    ...mutating,
    subject: aContainer,
    async serve(request, verbs, context) {
      await verbs.reopenContainerLog(containerById(request), context);
      return {};
    },
  },
  ExecSync: {
    // a probe every few seconds: as frequent as a read
    ...reading,
    subject: aContainer,
    async serve(request, verbs, context) {
      const { stdout, stderr, exitCode } = await verbs.execSync(decodeExecSync(request), context);
      return { stdout, stderr, exit_code: exitCode };
    },
  },
  Exec: {
    ...mutating,
    subject: aContainer,
    serve: async (request, verbs, context) => ({ url: await verbs.exec(decodeExec(request), context) }),
  },
  Attach: {
    ...mutating,
    subject: aContainer,
    serve: async (request, verbs, context) => ({ url: await verbs.attach(decodeAttach(request), context) }),
  },
  PortForward: {
    ...mutating,
    subject: aSandbox,
    serve: async (request, verbs, context) => ({ url: await verbs.portForward(decodePortForward(request), context) }),
  },

  ContainerStats: {
    ...reading,
    subject: aContainer,
    serve: async (request, verbs, context) =>
      gathered(encodeContainerUsages([await verbs.containerStats(containerById(request), context)])),
  },
  ListContainerStats: {
    ...listing,
    subject: nothing,
    serve: async ({ filter }, verbs, context) =>
      gathered(encodeContainerUsages(await verbs.listContainerStats(decodeUsageFilter(filter), context))),
  },
  PodSandboxStats: {
    ...reading,
    subject: aSandbox,
    serve: async (request, verbs, context) =>
      gathered(encodeSandboxUsages([await verbs.podSandboxStats(sandboxById(request), context)])),
  },
  ListPodSandboxStats: {
    ...listing,
    subject: nothing,
    serve: async ({ filter }, verbs, context) =>
      gathered(encodeSandboxUsages(await verbs.listPodSandboxStats(decodeUsageFilter(filter), context))),
  },

  ListMetricDescriptors: {
    ...answering,
    subject: nothing,
    async serve(_, verbs, context) {
      const descriptors = await verbs.listMetricDescriptors(null, context);
      return { descriptors: descriptors.map(encodeDescriptor) };
    },
  },
  ListPodSandboxMetrics: {
    ...listing,
    subject: nothing,
    async serve(_, verbs, context) {
      const pods = await verbs.listPodSandboxMetrics(null, context);
      return gathered(encodePodMetrics(pods));
    },
  },
};
