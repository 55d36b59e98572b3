// PURE
// Whether a container may divide its cgroup among cgroups of its own: what the pod's annotations say, and the node.
import { failedPrecondition, invalidArgument } from '../lib/failure.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { ContainerConfig } from './container.ts';

/**
 * Annotation of a pod, or of a container, "true" or "false": /sys/fs/cgroup is writable and the container's own, so that
 * systemd, a nested runtime or a job scheduler can run in it without privileges. `<annotation>/<container name>` of a pod
 * is for that container alone.
 */
export const writableCgroupAnnotation = 'podwright.writable-cgroup';
/** The same in CRI-O's words, of a pod. */
export const crioAnnotation = 'io.kubernetes.cri-o.cgroup2-mount-hierarchy-rw';

/** How many cgroups such a container may make: each takes memory of the kernel. */
export const writableCgroupBounds = { maxDescendants: 1000 } as const;

/** Whether it is asked for; throws invalid-argument naming the annotation. The one nearest to the container counts. */
export function wantsWritableCgroup(config: ContainerConfig, sandbox: Sandbox): boolean {
  const pod = sandbox.identity.config.annotations;
  const named = `${writableCgroupAnnotation}/${config.metadata.name}`;
  const said = [
    [writableCgroupAnnotation, config.annotations[writableCgroupAnnotation]],
    [named, pod[named]],
    [writableCgroupAnnotation, pod[writableCgroupAnnotation]],
    [crioAnnotation, pod[crioAnnotation]],
  ] as const;
  const [name, text] = said.find(([, value]) => value !== undefined) ?? ['', 'false'];
  if (text === 'true' || text === 'false') return text === 'true';
  throw invalidArgument(`annotation ${name} is ${JSON.stringify(text?.slice(0, 100))}, neither "true" nor "false"`);
}

/** The same, refused where it cannot be: `refusal` is why this node never does, null when it does. */
export function writableCgroup(config: ContainerConfig, sandbox: Sandbox, refusal: string | null): boolean {
  if (!wantsWritableCgroup(config, sandbox)) return false;
  const handler = sandbox.identity.runtime ? `runtime handler ${sandbox.identity.runtimeHandler} makes its own` : null;
  const why = refusal ?? handler;
  if (why !== null) throw failedPrecondition(`a writable cgroup was asked for by annotation: ${why}`);
  return true;
}
