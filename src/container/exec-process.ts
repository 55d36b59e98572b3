// What ExecSync and Exec have in common: a running container, and the process that is to run in it.
import { failedPrecondition, invalidArgument } from '../lib/failure.ts';
import type { OciProcess } from '../oci/types.ts';
import type { SecurityProfile } from '../sandbox/sandbox.ts';
import { type Container, containerState, mayAct } from './container.ts';
import { findContainer } from './list.ts';
import type { ContainerFiles, ContainerRecords, SeccompFilter } from './ports.ts';

/** What making a process for a container needs. */
export interface ExecProcessPorts {
  readonly records: Pick<ContainerRecords, 'find'>;
  readonly files: Pick<ContainerFiles, 'readProcess'>;
  readonly seccomp: (profile: SecurityProfile | null, capabilities: readonly string[]) => Promise<SeccompFilter>;
  /** Compiles a whole policy, given as JSON. */
  readonly seccompPolicy: (policy: string) => SeccompFilter;
  readonly newExecId: () => string;
}

/** The common members of proto ExecSync and Exec. */
export interface ExecProcess {
  readonly containerId: string;
  readonly execId: string;
  /** OCI runtime-spec process, as JSON. */
  readonly process: string;
  readonly seccompBpf: Buffer;
  readonly seccompFlags: number;
}

/** A container that a command may be run in. Throws not-found and failed-precondition. */
export function runningContainer(records: Pick<ContainerRecords, 'find'>, idOrPrefix: string): Container {
  const container = findContainer(records, idOrPrefix);
  const state = containerState(container);
  if (!mayAct('exec', state)) throw failedPrecondition(`container ${container.identity.id} is ${state}, not running`);
  return container;
}

/** The process of a command: the container's own with other arguments. */
export async function execProcess(
  ports: ExecProcessPorts,
  container: Container,
  { command, terminal }: { readonly command: readonly string[]; readonly terminal: boolean },
): Promise<ExecProcess> {
  if (command.length === 0) throw invalidArgument('cmd is empty');
  const { id, config } = container.identity;
  const own = ports.files.readProcess(id) as OciProcess | null;
  if (own === null) throw failedPrecondition(`container ${id} has no bundle any more`);
  const { privileged, seccomp } = config.security;
  const policy = container.status.seccomp;
  const filter =
    policy === undefined
      ? await ports.seccomp(privileged ? null : seccomp, own.capabilities.bounding)
      : ports.seccompPolicy(policy);
  const hasTerm = own.env.some((entry) => entry.startsWith('TERM='));
  const env = terminal && !hasTerm ? [...own.env, 'TERM=xterm'] : own.env;
  return {
    containerId: id,
    execId: ports.newExecId(),
    process: JSON.stringify({ ...own, args: command, env, terminal }),
    seccompBpf: filter.bpf,
    seccompFlags: filter.flags,
  };
}
