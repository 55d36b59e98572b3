// A request of each RPC that is right: the wrong ones differ in one field.
import { randomUUID } from 'node:crypto';

/** What requests may be about. */
export interface World {
  /** A sandbox that is ready. */
  readonly sandboxId: string;
  /** A container that runs in it, with a log. */
  readonly running: string;
  /** An image that is there. */
  readonly image: string;
  /** A directory for logs. */
  readonly logs: string;
}

let serial = 0;
const fresh = (): string => `bad-input-${(serial += 1)}`;
const namespaces = { security_context: { namespace_options: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } } };

const container = ({ running }: World): object => ({ container_id: running });
const sandbox = ({ sandboxId }: World): object => ({ pod_sandbox_id: sandboxId });
const empty = (): object => ({});

/** A sandbox's config that nobody had before. */
export const sandboxConfig = ({ logs }: World): object => ({
  metadata: { name: fresh(), namespace: 'test', uid: randomUUID(), attempt: 0 },
  hostname: 'bad-input',
  log_directory: logs,
  linux: namespaces,
});

/** A container's config that nobody had before. */
export const containerConfig = ({ image }: World): object => ({
  metadata: { name: fresh(), attempt: 0 },
  image: { image },
  command: ['sleep', '3600'],
  log_path: 'bad-input.log',
  linux: namespaces,
});

/** By RPC. */
export const requests: Readonly<Record<string, (world: World) => object>> = {
  Version: empty,
  Status: empty,
  RuntimeConfig: empty,
  UpdateRuntimeConfig: empty,
  ImageFsInfo: empty,
  ListPodSandbox: empty,
  ListContainers: empty,
  ListImages: empty,
  ListContainerStats: empty,
  ListPodSandboxStats: empty,
  ListMetricDescriptors: empty,
  ListPodSandboxMetrics: empty,
  GetContainerEvents: empty,
  StreamPodSandboxes: empty,
  StreamContainers: empty,
  StreamContainerStats: empty,
  StreamPodSandboxStats: empty,
  StreamPodSandboxMetrics: empty,
  StreamImages: empty,
  RunPodSandbox: (world) => ({ config: sandboxConfig(world) }),
  // what they end is another's: the world goes on
  StopPodSandbox: () => ({ pod_sandbox_id: 'e'.repeat(64) }),
  RemovePodSandbox: () => ({ pod_sandbox_id: 'e'.repeat(64) }),
  PodSandboxStatus: sandbox,
  PodSandboxStats: sandbox,
  PortForward: (world) => ({ ...sandbox(world), port: [80] }),
  UpdatePodSandboxResources: sandbox,
  CreateContainer: (world) => ({ ...sandbox(world), config: containerConfig(world), sandbox_config: {} }),
  StopContainer: () => ({ container_id: 'e'.repeat(64), timeout: '1' }),
  RemoveContainer: () => ({ container_id: 'e'.repeat(64) }),
  ContainerStatus: container,
  ContainerStats: container,
  ReopenContainerLog: container,
  UpdateContainerResources: (world) => ({ ...container(world), linux: { cpu_shares: '2' } }),
  ExecSync: (world) => ({ ...container(world), cmd: ['true'], timeout: '20' }),
  Exec: (world) => ({ ...container(world), cmd: ['true'], stdout: true }),
  Attach: (world) => ({ ...container(world), stdout: true }),
  ImageStatus: ({ image }) => ({ image: { image } }),
  PullImage: ({ image }) => ({ image: { image } }),
  RemoveImage: () => ({ image: { image: 'nobody.invalid/has/this:1' } }),
};

/** RPCs of which no request is right in this world, and why: their rows are asked all the same. */
export const neverRight: Readonly<Record<string, string>> = {
  StartContainer: 'the container runs already',
  CheckpointContainer: 'whether it succeeds is the host to say',
  CheckpointPod: 'whether it succeeds is the host to say',
  RestorePod: 'there is no checkpoint',
};

/** Requests of those. */
export const hopeless: typeof requests = {
  StartContainer: container,
  CheckpointContainer: (world) => ({ ...container(world), location: '/tmp/podwright-no-checkpoint.tar' }),
  CheckpointPod: (world) => ({
    ...sandbox(world),
    container_ids: [world.running],
    output_path: '/tmp/podwright-no-checkpoint',
  }),
  RestorePod: (world) => ({
    config: sandboxConfig(world),
    checkpoint_path: '/tmp/podwright-no-checkpoint',
    container_configs: [containerConfig(world)],
  }),
};

/** The request that a wrong one of an RPC is made from. */
export function baseOf(method: string, world: World): object {
  const make = requests[method] ?? hopeless[method];
  if (make === undefined) throw new TypeError(`${method} has no request: add one to test/bad-input/requests.ts`);
  return make(world);
}
