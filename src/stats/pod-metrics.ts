// ListMetricDescriptors and ListPodSandboxMetrics: read during the call. Must not cache what it reads.
import type { PodMetricGroup } from '../config/pod-metrics.ts';
import type { CgroupStats } from '../cgroup/cgroup.ts';
import { type Container, containerState } from '../container/container.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import {
  type BaseLabelValues,
  descriptorsOf,
  type MetricDescriptor,
  metricsOf,
  type TakeMetric,
  tellValues,
} from './metrics/catalogue.ts';
import { KnownLabels } from './metrics/known-labels.ts';
import type { Measured } from './metrics/metric.ts';
import type { CgroupTasks, MetricPorts } from './ports.ts';

/** What was measured of one pod or container. */
export interface MetricSet {
  /** Values of the base labels, for all that is told: the same array in each call. */
  readonly base: BaseLabelValues;
  /** Tells all values, made as they are told; the same each time. */
  readonly tell: (take: TakeMetric) => void;
}

/** CRI PodSandboxMetrics. */
export interface PodMetrics extends MetricSet {
  readonly sandboxId: string;
  readonly containers: readonly (MetricSet & { readonly containerId: string })[];
}

const wholeSeconds = (nanos: bigint): number => Number(nanos / 1_000_000_000n);

/** What was read for all pods in few calls. */
interface Readings {
  readonly cgroups: ReadonlyMap<string, CgroupStats | null>;
  readonly tasks: ReadonlyMap<string, CgroupTasks>;
  /** Bytes of writable layers, by container. */
  readonly layers: ReadonlyMap<string, number>;
  readonly room: Awaited<ReturnType<MetricPorts['layerRoom']>> | null;
  readonly known: KnownLabels;
}

interface Live {
  readonly pods: readonly Sandbox[];
  readonly containers: readonly Container[];
}

async function readAll(
  ports: MetricPorts,
  groups: readonly PodMetricGroup[],
  { pods, containers }: Live,
): Promise<Readings> {
  const paths = [...pods, ...containers].map(({ identity }) => identity.cgroupPath);
  const wanted = containers.map(({ identity, status }) => ({ path: identity.cgroupPath, mainPid: status.pid }));
  const ids = groups.includes('disk') ? containers.map(({ identity }) => identity.id) : [];
  const [cgroups, tasks, room, layers] = await Promise.all([
    ports.cgroupStats(paths),
    groups.includes('process') ? ports.cgroupTasks(wanted) : [],
    groups.includes('disk') ? ports.layerRoom() : null,
    ports.layerUsages(ids),
  ]);
  return {
    cgroups: new Map(paths.map((path, at) => [path, cgroups[at] ?? null])),
    tasks: new Map(wanted.flatMap(({ path }, at) => (tasks[at] ? [[path, tasks[at]] as const] : []))),
    layers: new Map(ids.map((id, at) => [id, layers[at]?.bytes ?? 0])),
    room,
    known: new KnownLabels(ports.deviceName),
  };
}

const nothing = { startedAt: null, cgroup: null, tasks: null, traffic: [], disk: null, limits: null };

/** The verbs; `groups` are those that are served. */
export function podMetricVerbs(ports: MetricPorts, groups: readonly PodMetricGroup[]) {
  const metrics = metricsOf(groups);
  const descriptors = descriptorsOf(metrics);

  const measure = (of: Partial<Measured> & Pick<Measured, 'known'>): Measured => ({
    ...nothing,
    now: wholeSeconds(ports.now()),
    ...of,
  });
  const set = (measured: Measured) => ({ tell: (take: TakeMetric) => tellValues(metrics, measured, take) });

  function ofContainer(container: Container, sandbox: Sandbox, readings: Readings) {
    const { id, cgroupPath, config } = container.identity;
    const { room, layers, known } = readings;
    const measured = measure({
      known,
      startedAt: wholeSeconds(container.status.startedAt),
      cgroup: readings.cgroups.get(cgroupPath) ?? null,
      tasks: readings.tasks.get(cgroupPath) ?? null,
      disk: room && { ...room, usedBytes: layers.get(id) ?? 0 },
      limits: container.status.resources,
    });
    const image = config.image.userSpecifiedImage || config.image.image;
    const own = () => ({ container: config.metadata.name, id: cgroupPath, image, name: id });
    return { containerId: id, base: labelsOf(container.identity, sandbox, own), ...set(measured) };
  }

  async function ofPod(sandbox: Sandbox, containers: readonly Container[], readings: Readings): Promise<PodMetrics> {
    const { id, cgroupPath, config, createdAt } = sandbox.identity;
    const own = config.security.namespaces.network !== 'node' && groups.includes('network');
    const measured = measure({
      known: readings.known,
      startedAt: wholeSeconds(createdAt),
      cgroup: readings.cgroups.get(cgroupPath) ?? null,
      traffic: own ? await ports.interfaces(sandbox) : [],
    });
    return {
      sandboxId: id,
      base: labelsOf(sandbox.identity, sandbox, () => ({ container: '', id: cgroupPath, image: '', name: '' })),
      ...set(measured),
      containers: containers.map((container) => ofContainer(container, sandbox, readings)),
    };
  }

  return {
    /** ListMetricDescriptors: the same for as long as the daemon lives. */
    metricDescriptors: (): readonly MetricDescriptor[] => descriptors,
    /** ListPodSandboxMetrics: of pods that are ready and their running containers. */
    async podMetrics(): Promise<readonly PodMetrics[]> {
      const pods = ports.sandboxes.list().filter(({ status }) => status.phase === 'ready');
      const ready = new Set<string>(pods.map(({ identity }) => identity.id));
      const running = ports.containers
        .list()
        .filter((c) => ready.has(c.identity.sandboxId) && containerState(c) === 'running');
      const readings = await readAll(ports, groups, { pods, containers: running });
      const bySandbox = Map.groupBy(running, ({ identity }) => identity.sandboxId);
      return Promise.all(pods.map((pod) => ofPod(pod, bySandbox.get(pod.identity.id) ?? [], readings)));
    },
  };
}

interface OwnLabels {
  readonly container: string;
  readonly id: string;
  readonly image: string;
  readonly name: string;
}

/** By the identity of a sandbox or a container, which never changes: who encodes them may keep that too. */
const keptLabels = new WeakMap<object, BaseLabelValues>();

function labelsOf(of: object, { identity }: Sandbox, own: () => OwnLabels): BaseLabelValues {
  let labels = keptLabels.get(of);
  if (labels === undefined) {
    const { metadata } = identity.config;
    const { container, id, image, name } = own();
    labels = [container, id, image, name, metadata.namespace, metadata.name];
    keptLabels.set(of, labels);
  }
  return labels;
}
