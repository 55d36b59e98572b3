// The daemon's calls to a sandbox's monitor, typed: proto/monitor.proto in the house's units.
// Times are unix nanoseconds as bigint. Must not decide anything.
import { oomLimitOf, type OomKill, type OomKills } from '../lib/oom.ts';
import { checkpointRequests } from './checkpoint-requests.ts';
import type { MonitorCall, MonitorEvent } from './client.ts';
import type { MonitorHello, Monitors, MonitorProcess } from './monitors.ts';
import { expect, type Loose } from './replies.ts';
import type { RawStream } from './raw-stream.ts';
import { type AttachCall, type ExecCall, openAttach, openExec, openPort, type ProcessStreams } from './streams.ts';

/** proto ExitFact. */
export interface ExitFact {
  readonly containerId: string;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Of any of its processes; absent: none, or a monitor of an older release. */
  readonly oom?: OomKills;
  readonly finishedAt: bigint;
  readonly started: boolean;
  /** Unix nanoseconds; 0n: never started, or a monitor of an older release. */
  readonly startedAt: bigint;
  readonly logDroppedBytes: number;
}

/** What a monitor says of one container. */
export interface ContainerFact {
  readonly containerId: string;
  readonly pid: number;
  readonly startTime: number;
  readonly startedAt: bigint;
  readonly exit: ExitFact | null;
}

type ReceivedExit = NonNullable<MonitorEvent['exit']>;

const oomOf = (told: { kills: string; limit: string; limitBytes: string }): { readonly oom?: OomKills } => {
  const kills = Number(told.kills);
  if (kills === 0) return {};
  return { oom: { kills, limit: oomLimitOf(told.limit), limitBytes: Number(told.limitBytes) } };
};

/** A kill as received, in the house's types. */
export const oomKill = (sandboxId: string, oom: NonNullable<MonitorEvent['oom']>): OomKill => ({
  sandboxId,
  containerId: oom.containerId,
  kills: Number(oom.oomKills),
  newKills: Number(oom.newKills),
  main: oom.main,
  limit: oomLimitOf(oom.limit),
  limitBytes: Number(oom.limitBytes),
  at: BigInt(oom.at),
});

/** An exit fact as received, in the house's types. */
export const exitFact = (exit: ReceivedExit): ExitFact => ({
  containerId: exit.containerId,
  exitCode: exit.exitCode,
  oomKilled: exit.oomKilled,
  ...oomOf({ kills: exit.oomKills, limit: exit.oomLimit, limitBytes: exit.oomLimitBytes }),
  finishedAt: BigInt(exit.finishedAt),
  started: exit.started,
  startedAt: BigInt(exit.startedAt),
  logDroppedBytes: Number(exit.logDroppedBytes),
});

/** The containers that a greeting tells of. */
export const containerFacts = (hello: MonitorHello): ContainerFact[] =>
  (hello.state?.containers ?? []).map((c) => ({
    containerId: c.containerId,
    pid: c.pid,
    startTime: Number(c.startTime),
    startedAt: BigInt(c.startedAt),
    exit: c.exit ? exitFact(c.exit) : null,
  }));

type CreateContainer = NonNullable<MonitorCall['createContainer']>;
type CreateSandbox = NonNullable<MonitorCall['createSandbox']>;
type ExecSync = NonNullable<MonitorCall['execSync']>;

/** All calls, over the monitors of this daemon. */
export function monitorRequests(monitors: Monitors) {
  return {
    ...checkpointRequests(monitors),
    launch: (id: string): Promise<MonitorProcess> => monitors.launch(id),
    isAlive: (id: string): boolean => monitors.isAlive(id),
    shutdown: (id: string, signal: AbortSignal): Promise<void> => monitors.shutdown(id, signal),
    endWithoutSocket: (id: string): Promise<void> => monitors.endWithoutSocket(id),
    endUnknown: (id: string): Promise<boolean> => monitors.endUnknown(id),

    async createSandbox(id: string, request: Loose<CreateSandbox>, signal: AbortSignal) {
      const reply = await monitors.call(id, { createSandbox: request as CreateSandbox }, signal);
      const { pausePid, notes } = expect(reply, 'createSandbox');
      return { pausePid, notes };
    },
    async createContainer(id: string, request: Loose<CreateContainer>, signal: AbortSignal) {
      const reply = await monitors.call(id, { createContainer: request as CreateContainer }, signal);
      const { pid, startTime, notes } = expect(reply, 'createContainer');
      return { pid, startTime: Number(startTime), notes };
    },
    async startContainer(id: string, containerId: string, signal: AbortSignal) {
      const reply = await monitors.call(id, { startContainer: { containerId } }, signal);
      const { pid, startedAt } = expect(reply, 'startContainer');
      return { pid, startedAt: BigInt(startedAt) };
    },
    async stopContainer(
      id: string,
      stopContainer: { containerId: string; signal: number; timeoutMs: number },
      signal: AbortSignal,
    ) {
      const reply = await monitors.call(id, { stopContainer }, signal);
      const { exit, stuck } = expect(reply, 'stopContainer');
      return { exit: exit ? exitFact(exit) : null, stuck };
    },
    async removeContainer(id: string, containerId: string, signal: AbortSignal): Promise<void> {
      await monitors.call(id, { removeContainer: { containerId } }, signal);
    },
    async reopenLog(id: string, containerId: string, signal: AbortSignal): Promise<void> {
      await monitors.call(id, { reopenLog: { containerId } }, signal);
    },
    async execSync(id: string, request: Loose<ExecSync>, signal: AbortSignal) {
      const reply = await monitors.call(id, { execSync: request as ExecSync }, signal);
      const { exitCode, stdout, stderr, timedOut } = expect(reply, 'execSync');
      return { exitCode, stdout: Buffer.from(stdout), stderr: Buffer.from(stderr), timedOut };
    },
    /** Kills what an exec has started; one that is not known is success. */
    async cancelExec(id: string, execId: string, signal: AbortSignal): Promise<void> {
      await monitors.call(id, { cancelExec: { execId } }, signal);
    },
    openExec: async (id: string, request: Loose<ExecCall>, signal: AbortSignal): Promise<ProcessStreams> =>
      openExec(monitors.streamPlace(id), request as ExecCall, signal),
    openAttach: async (id: string, request: Loose<AttachCall>, signal: AbortSignal): Promise<ProcessStreams> =>
      openAttach(monitors.streamPlace(id), request as AttachCall, signal),
    openPort: async (id: string, port: number, signal: AbortSignal): Promise<RawStream> =>
      openPort(monitors.streamPlace(id), port, signal),
  };
}

export type MonitorRequests = ReturnType<typeof monitorRequests>;
