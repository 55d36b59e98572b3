// RuntimeService's verbs over the composed pods. Wires, decides nothing.
import type { CgroupDriver } from '../cgroup/path.ts';
import type { Config } from '../config/schema.ts';
import { version } from '../config/version.ts';
import { attach } from '../container/attach.ts';
import { createContainer } from '../container/create.ts';
import { exec } from '../container/exec.ts';
import { execSync } from '../container/exec-sync.ts';
import { findContainer, listContainers } from '../container/list.ts';
import { removeContainer } from '../container/remove.ts';
import { reopenContainerLog } from '../container/reopen-log.ts';
import { startContainer } from '../container/start.ts';
import { stopContainer } from '../container/stop.ts';
import { updateContainerResources } from '../container/update-resources.ts';
import type { RuntimeVerbs } from '../cri/verbs.ts';
import { failureChain } from '../lib/failure.ts';
import type { Nri } from '../nri/nri.ts';
import type { Network } from '../network/network.ts';
import { listSandboxes, sandboxStatus } from '../sandbox/list.ts';
import { portForward } from '../sandbox/port-forward.ts';
import { removeSandbox } from '../sandbox/remove.ts';
import { runSandbox } from '../sandbox/run.ts';
import { stopSandbox } from '../sandbox/stop.ts';
import { sandboxResources, updateSandboxResources } from '../sandbox/update-resources.ts';
import type { podMetricVerbs } from '../stats/pod-metrics.ts';
import type { statsVerbs } from '../stats/sample.ts';
import type { ListedHandler } from './handlers.ts';
import { type CheckpointParts, checkpointVerbs } from './checkpoint-ports.ts';
import type { OwnProcesses } from './own-processes.ts';
import type { Pods } from './live.ts';
import type { MetricListeners } from './metric-listeners.ts';
import type { Streaming } from './streaming.ts';

export interface RuntimeParts extends Pick<CheckpointParts, 'paths' | 'images'> {
  readonly pods: Pods;
  readonly config: Config;
  readonly cgroupDriver: CgroupDriver;
  readonly network: Network;
  readonly own: Pick<OwnProcesses, 'report'>;
  readonly metricListeners: Pick<MetricListeners, 'troubles'>;
  readonly stats: ReturnType<typeof statsVerbs>;
  readonly podMetrics: ReturnType<typeof podMetricVerbs>;
  readonly now: () => bigint;
  readonly nri: Nri;
  readonly streaming: Pick<Streaming, 'url'>;
  /** The handlers beside our own. */
  readonly handlers: () => readonly ListedHandler[];
  /** Why the runtime is not ready; null when it is. */
  readonly notReady: () => { readonly reason: string; readonly message: string } | null;
}

/** The name in every container id ("podwright://…"): never change it. */
const runtimeName = 'podwright';

const json = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each));

/** What the node adds to containers, and whether it can. */
async function securityInfo({ apparmor, selinux, hooks: ofNode }: Pods) {
  const { hooks, broken } = await ofNode.look();
  return {
    apparmor: json(apparmor.status()),
    selinux: json(selinux.status()),
    hooks: json({ hooks: hooks.map(({ path }) => path), broken }),
  };
}

/** Sandboxes whose monitor does not answer. */
const silentMonitors = ({ sandboxes, monitors }: Pods): string[] =>
  sandboxes
    .list()
    .filter(({ identity, status }) => status.phase === 'ready' && !monitors.isReachable(identity.id))
    .map(({ identity }) => identity.id);

/** Status and configuration. */
function statusVerbs({
  pods,
  config,
  cgroupDriver,
  network,
  own,
  metricListeners,
  handlers,
  notReady,
  nri,
}: RuntimeParts): Pick<RuntimeVerbs, 'version' | 'status' | 'runtimeConfig' | 'updateRuntimeConfig'> {
  return {
    version: async () => ({ runtimeName, runtimeVersion: version }),
    async status({ verbose }) {
      const [net, userNamespaces] = await Promise.all([network.status(), pods.userNamespaceTrouble({ often: true })]);
      const why = notReady();
      const features = {
        recursiveReadOnlyMounts: pods.facts.recursiveReadOnly,
        userNamespaces: userNamespaces.pods === null,
      };
      return {
        conditions: [
          { type: 'RuntimeReady', status: why === null, reason: why?.reason ?? '', message: why?.message ?? '' },
          { type: 'NetworkReady', status: net.ready, reason: net.reason, message: net.message },
        ],
        handlers: [
          ...['', 'podwright'].map((name) => ({ name, ...features })),
          ...handlers().map(({ name, recursiveReadOnly }) => ({
            name,
            recursiveReadOnlyMounts: recursiveReadOnly && features.recursiveReadOnlyMounts,
            userNamespaces: false,
          })),
        ],
        supplementalGroupsPolicy: true,
        userNamespacesHostNetwork: userNamespaces.hostNetwork === null,
        mountOptions: true,
        info: verbose
          ? {
              config: json(config),
              cniconfig: json(net.config),
              ...(await securityInfo(pods)),
              nri: json({ ...config.nri, plugins: nri.list }),
              userNamespaceTrouble: json({
                pods: userNamespaces.pods && failureChain(userNamespaces.pods),
                hostNetwork: userNamespaces.hostNetwork && failureChain(userNamespaces.hostNetwork),
              }),
              ownProcesses: json(own.report()),
              metricsTrouble: json(metricListeners.troubles()),
              unreachableMonitors: json(silentMonitors(pods)),
            }
          : {},
      };
    },
    runtimeConfig: async () => ({ cgroupDriver }),
    updateRuntimeConfig: async ({ podCidr }) => {
      if (podCidr !== '') network.setPodCidr(podCidr);
    },
  };
}

type SandboxVerbs = Pick<
  RuntimeVerbs,
  | 'runPodSandbox'
  | 'stopPodSandbox'
  | 'removePodSandbox'
  | 'podSandboxStatus'
  | 'listPodSandbox'
  | 'updatePodSandboxResources'
>;

function podVerbs({ pods, now, nri }: RuntimeParts): SandboxVerbs {
  const { sandboxes, locks, requests } = pods;
  const list = { records: sandboxes, monitors: requests };
  return {
    runPodSandbox: (input, context) => runSandbox(pods.runPorts, input, context),
    stopPodSandbox: ({ id }, { signal }) => stopSandbox({ ...pods.releasePorts, locks, now }, id, signal),
    removePodSandbox: ({ id }, { signal }) =>
      removeSandbox({ records: sandboxes, locks, teardown: pods.teardownSandbox }, id, signal),
    async podSandboxStatus({ id, verbose }) {
      const view = sandboxStatus(list, id);
      const { identity, status } = view.sandbox;
      const containers = pods.containers
        .list()
        .filter((c) => c.identity.sandboxId === identity.id && c.status.phase === 'created');
      const info = {
        pid: status.monitor?.pid ?? 0,
        netns: pods.runPorts.netnsPin(identity.id),
        ...identity,
        status,
        ...sandboxResources(view.sandbox),
      };
      return { view, containers, timestamp: now(), info: verbose ? { info: json(info) } : {} };
    },
    listPodSandbox: async (filter) => listSandboxes(list, filter),
    async updatePodSandboxResources(input, { signal }) {
      await nri.updatingPod(input);
      await updateSandboxResources({ records: sandboxes, locks }, input, signal);
      nri.updatedPod(input.id);
    },
  };
}

function containerVerbs({ pods, nri }: RuntimeParts) {
  const { containers, requests, containerPorts, ooms } = pods;
  return {
    createContainer: (input, context) => createContainer(pods.createPorts, input, context),
    startContainer: ({ id }, { signal }) => startContainer(containerPorts, id, signal),
    stopContainer: (input, { signal }) => stopContainer(containerPorts, input, signal),
    removeContainer: ({ id }, { signal }) =>
      removeContainer({ ...containerPorts, teardown: pods.teardownContainer, halt: pods.haltContainer }, id, signal),
    listContainers: async (filter) => listContainers(containers, filter),
    async containerStatus({ id, verbose }) {
      const container = findContainer(containers, id);
      const { identity, status } = container;
      const info = {
        sandboxID: identity.sandboxId,
        pid: status.pid,
        snapshotKey: identity.id,
        config: identity.config,
        selinux: identity.selinux,
        notes: status.notes,
        oom: ooms.of(identity.id),
      };
      return {
        container,
        info: verbose ? { info: json({ ...info, runtimeSpec: pods.files.readBundle(identity.id) }) } : {},
      };
    },
    async updateContainerResources({ id, resources }, { signal }) {
      // nobody is asked about an update that cannot be
      const limits = nri.idle ? { resources } : await nri.updating(findContainer(containers, id), resources);
      await updateContainerResources(containerPorts, { id, ...limits }, signal);
      nri.updated(id);
    },
    reopenContainerLog: ({ id }, { signal }) =>
      reopenContainerLog({ records: containers, monitors: requests }, id, signal),
    execSync: (input, { signal }) => execSync(pods.execPorts, input, signal),
  } satisfies Partial<RuntimeVerbs>;
}

function streamVerbs({ pods, streaming }: RuntimeParts): Pick<RuntimeVerbs, 'exec' | 'attach' | 'portForward'> {
  const { containers, sandboxes, requests } = pods;
  const { url } = streaming;
  return {
    exec: async (input) => exec({ records: containers, url }, input),
    attach: async (input) => attach({ records: containers, url }, input),
    portForward: async (input) => portForward({ records: sandboxes, monitors: requests, url }, input),
  };
}

/** All of them. */
export const runtimeVerbs = (parts: RuntimeParts): RuntimeVerbs => ({
  ...statusVerbs(parts),
  ...podVerbs(parts),
  ...containerVerbs(parts),
  ...streamVerbs(parts),
  ...checkpointVerbs(parts),
  containerStats: ({ id }) => parts.stats.containerStats(id),
  listContainerStats: (filter) => parts.stats.listContainerStats(filter),
  podSandboxStats: ({ id }) => parts.stats.podSandboxStats(id),
  listPodSandboxStats: (filter) => parts.stats.listPodSandboxStats(filter),
  listMetricDescriptors: async () => parts.podMetrics.metricDescriptors(),
  listPodSandboxMetrics: () => parts.podMetrics.podMetrics(),
  containerEvents: (sizeOf) => parts.pods.events.subscribe(sizeOf),
});
