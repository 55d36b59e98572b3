// Looks at what a stopped, killed or rebooted daemon left. Must not change anything.
import { readdirSync } from 'node:fs';
import type { Container } from '../container/container.ts';
import { oomLimitOf, type OomKills } from '../lib/oom.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { FoundContainer, FoundExit, MonitorFinding, Observations, Stranger } from './reconcile.ts';

export interface ObservePorts {
  readonly sandboxes: () => Sandbox[];
  readonly containers: () => Container[];
  readonly bootId: string;
  readonly processStartTime: (pid: number) => number | null;
  /** Connects to a sandbox's monitor and returns what it says of its containers. */
  readonly adopt: (sandboxId: string) => Promise<readonly FoundContainer[]>;
  readonly readExit: (containerId: string) => Readonly<Record<string, unknown>> | null;
  /** Ids that have a record, those of a newer release too: what belongs to them is left alone. */
  readonly sandboxIds: () => readonly string[];
  readonly containerIds: () => readonly string[];
  readonly snapshotsDir: string;
  /** Has the bundles of containers by their ids. */
  readonly bundlesDir: string;
  /** Directories whose entries are named after sandboxes: sockets, netns pins, files. */
  readonly sandboxDirs: readonly string[];
}

/** An exit file's content, when it was written in the boot that the container ran in. */
export function parseExitFile(
  file: Readonly<Record<string, unknown>> | null,
  containerId: string,
  bootId: string,
): FoundExit | null {
  if (file === null || file['boot_id'] !== bootId || file['containerId'] !== containerId) return null;
  const { exitCode, finishedAt } = file;
  // monitors of older releases do not write it
  const startedAt = typeof file['startedAt'] === 'string' ? file['startedAt'] : '0';
  if (typeof exitCode !== 'number' || !/^\d+$/.test(String(finishedAt))) return null;
  return {
    containerId,
    exitCode,
    oomKilled: file['oomKilled'] === true,
    ...oomOf(file),
    finishedAt: BigInt(String(finishedAt)),
    started: file['started'] === true,
    startedAt: /^\d+$/.test(startedAt) ? BigInt(startedAt) : 0n,
    logDroppedBytes: Number(file['logDroppedBytes'] ?? 0),
  };
}

/** Monitors of older releases write the count alone. */
function oomOf(file: Readonly<Record<string, unknown>>): { readonly oom?: OomKills } {
  const number = (key: string): number => Number(file[key] ?? 0) || 0;
  const kills = number('oomKills');
  if (kills === 0) return {};
  const { oomLimit } = file;
  const limit = typeof oomLimit === 'string' ? oomLimitOf(oomLimit) : 'unknown';
  return { oom: { kills, limit, limitBytes: number('oomLimitBytes') } };
}

interface Told {
  readonly facts: Map<string, FoundContainer>;
  readonly strangers: Stranger[];
  readonly known: ReadonlySet<string>;
}

async function findMonitor(ports: ObservePorts, sandbox: Sandbox, told: Told): Promise<MonitorFinding> {
  const { id } = sandbox.identity;
  const { monitor } = sandbox.status;
  if (monitor !== null && monitor.bootId !== ports.bootId) return 'other-boot';
  try {
    for (const fact of await ports.adopt(id)) {
      told.facts.set(fact.containerId, fact);
      if (!told.known.has(fact.containerId)) told.strangers.push({ sandboxId: id, containerId: fact.containerId });
    }
    return 'adopted';
  } catch {
    return monitor !== null && mayLive(ports, monitor) ? 'silent' : 'dead';
  }
}

/** Whether a process is the one it was. What cannot be told counts as alive: pods must not be given up for a failed read. */
function mayLive(
  { processStartTime }: ObservePorts,
  { pid, startTime }: { readonly pid: number; readonly startTime: number },
): boolean {
  try {
    return processStartTime(pid) === startTime;
  } catch {
    return true;
  }
}

function idsIn(dir: string): string[] {
  try {
    return readdirSync(dir).filter((name) => /^[0-9a-f]{64}$/.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Looks at everything; each monitor has its own time limit, so that a hung one holds up nobody. */
export async function observe(ports: ObservePorts): Promise<Observations> {
  const sandboxes = ports.sandboxes();
  const mine = new Set(ports.sandboxIds());
  const read = new Set<string>(sandboxes.map(({ identity }) => identity.id));
  // a sandbox that a newer release recorded is left alone, and so are its containers
  const containers = ports
    .containers()
    .filter(({ identity: { sandboxId } }) => read.has(sandboxId) || !mine.has(sandboxId));
  const known = new Set(ports.containerIds());
  const told: Told = { facts: new Map(), strangers: [], known };
  const findings = await Promise.all(
    sandboxes
      .filter((s) => s.status.phase !== 'stopped')
      .map(async (s) => [s.identity.id, await findMonitor(ports, s, told)] as const),
  );
  const exits = new Map<string, FoundExit>();
  for (const { identity, status } of containers) {
    if (status.exit !== null) continue;
    const exit = parseExitFile(ports.readExit(identity.id), identity.id, status.bootId);
    if (exit) exits.set(identity.id, exit);
  }
  return {
    sandboxes,
    containers,
    monitors: new Map<string, MonitorFinding>(findings),
    facts: told.facts,
    exits,
    snapshots: idsIn(ports.snapshotsDir).filter((id) => !known.has(id)),
    bundles: idsIn(ports.bundlesDir).filter((id) => !known.has(id)),
    orphans: [...new Set(ports.sandboxDirs.flatMap(idsIn))].filter((id) => !mine.has(id)),
    strangers: told.strangers,
  };
}
