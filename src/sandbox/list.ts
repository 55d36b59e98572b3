// ListPodSandbox and PodSandboxStatus: from memory, without locks.
import { notFound } from '../lib/failure.ts';
import { labelsMatch } from '../lib/labels.ts';
import type { SandboxMonitors, SandboxRecords } from './ports.ts';
import { type Sandbox, type SandboxFilter, type SandboxView, sandboxState } from './sandbox.ts';

export interface ListSandboxPorts {
  readonly records: Pick<SandboxRecords, 'list' | 'find'>;
  readonly monitors: Pick<SandboxMonitors, 'isAlive'>;
}

const view = (ports: ListSandboxPorts, sandbox: Sandbox): SandboxView => ({
  sandbox,
  state: sandboxState(sandbox, sandbox.status.phase === 'ready' && ports.monitors.isAlive(sandbox.identity.id)),
});

/** The sandboxes that a filter lets through; those never reported READY to anybody stay out of sight. */
export function listSandboxes(ports: ListSandboxPorts, filter: SandboxFilter): SandboxView[] {
  const found: SandboxView[] = [];
  for (const sandbox of ports.records.list()) {
    const { identity, status } = sandbox;
    if (status.phase === 'creating') continue;
    if (filter.id !== '' && !identity.id.startsWith(filter.id)) continue;
    if (!labelsMatch(identity.config.labels, filter.labels)) continue;
    const each = view(ports, sandbox);
    if (filter.state === null || filter.state === each.state) found.push(each);
  }
  return found;
}

/** One sandbox. Throws not-found. */
export function sandboxStatus(ports: ListSandboxPorts, idOrPrefix: string): SandboxView {
  const sandbox = ports.records.find(idOrPrefix);
  if (!sandbox) throw notFound(`sandbox ${idOrPrefix} does not exist`);
  return view(ports, sandbox);
}
