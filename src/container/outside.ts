// PURE
// A container that another OCI runtime makes: what its spec and its request say besides.
import type { OciSpec } from '../oci/types.ts';
import { externalSpec, type ExternalSpec } from '../oci/external.ts';
import type { PodRuntime, Sandbox } from '../sandbox/sandbox.ts';
import { hooksPid } from './hooks.ts';
import type { Container, ContainerConfig } from './container.ts';
import type { ExternalPod, ExternalRuntime } from './ports.ts';

/** What the spec of such a container is made from besides its own. */
export interface OutsideInput {
  readonly config: ContainerConfig;
  readonly sandbox: Sandbox;
  /** Whose pid namespace is joined (pid TARGET). */
  readonly target: Container | null;
  readonly bundle: string;
  /** runtime-spec `linux.seccomp`. */
  readonly seccomp: object | null;
}

/** The process whose pid namespace the container joins, null for none. */
function pidOf({ config, sandbox, target }: OutsideInput): number | null {
  if (target) return target.status.pid;
  return config.security.namespaces.pid === 'pod' ? sandbox.status.pausePid : null;
}

/** The spec for another runtime. The pod's own namespaces are its monitor's. */
export function outsideSpec(spec: OciSpec, input: OutsideInput): ExternalSpec {
  const { namespaces } = input.sandbox.identity.config.security;
  const monitor = input.sandbox.status.monitor?.pid ?? null;
  return externalSpec(spec, {
    bundle: input.bundle,
    ipcOf: namespaces.ipc === 'node' ? null : monitor,
    utsOf: namespaces.network === 'node' ? null : monitor,
    pidOf: pidOf(input),
    seccomp: input.seccomp,
    resources: input.config.resources,
    annotations: {},
  });
}

/** The runtime as a monitor is told; null for a container that the monitor makes itself. `daemonPid`: see hooksPid. */
export const externalRuntime = (
  runtime: PodRuntime | null,
  spec: OciSpec,
  at: { readonly root: string; readonly pod: ExternalPod | null; readonly daemonPid: number },
): ExternalRuntime | null =>
  runtime && {
    path: runtime.path,
    root: at.root,
    args: runtime.args,
    hideUnified: runtime.hideUnifiedCgroup,
    flavor: runtime.type === 'runsc' ? 'RUNSC' : 'OCI',
    pod: at.pod,
    runtimePid: hooksPid(spec, at.daemonPid),
  };
