// The sandbox that gVisor has for each pod: a container of its own, of which the others are part.
import { podContainerSpec } from '../oci/external.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { cgroupResources, type ContainerCgroups, type ContainerFiles, type ExternalPod } from './ports.ts';

export interface GvisorPodPorts {
  readonly cgroups: Pick<ContainerCgroups, 'create'>;
  readonly files: Pick<ContainerFiles, 'writePodBundle' | 'hostFiles'>;
  readonly netnsPin: (sandboxId: string) => string;
  readonly cgroupPathOf: (sandboxCgroup: string, id: string) => string;
}

/** What a monitor is told of it, and where its memory events are: all of the pod's containers use its memory. */
export interface PreparedPod {
  readonly pod: ExternalPod;
  readonly memoryEvents: string;
}

/** Makes its cgroup and its bundle; those that are there are kept. The monitor runs it when it makes the first container. */
export async function prepareGvisorPod(ports: GvisorPodPorts, sandbox: Sandbox): Promise<PreparedPod> {
  const { id, config, cgroupPath } = sandbox.identity;
  const path = ports.cgroupPathOf(cgroupPath, id);
  const { place, memoryEvents } = await ports.cgroups.create(
    path,
    config.resources && cgroupResources(config.resources),
  );
  const hostNetwork = config.security.namespaces.network === 'node';
  const spec = podContainerSpec({
    id,
    hostname: hostNetwork || config.hostname === '' ? ports.files.hostFiles().hostname : config.hostname,
    netns: hostNetwork ? null : ports.netnsPin(id),
    cgroupPath: path,
    resources: config.resources,
  });
  return { pod: { id, bundle: ports.files.writePodBundle(id, spec), cgroup: place }, memoryEvents };
}
