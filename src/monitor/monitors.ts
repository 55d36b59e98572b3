// All monitors of this daemon by sandbox id: start, calls, reconnection, news of exits and deaths.
// Must not decide what an exit means.
import { deadlineExceeded, Failure, internal, unavailable } from '../lib/failure.ts';
import { whenSilentFor } from '../lib/waiting.ts';
import type { Carrier } from './carrier.ts';
import { type MonitorCall, MonitorConnection, type MonitorEvent, type MonitorReply } from './client.ts';
import type { StreamPlace } from './streams.ts';
import { monitorsAt } from './find.ts';
import { inPlace, launchMonitor, type LaunchNative, type MonitorPlace, monitorArgv } from './launch.ts';

/** Newest protocol version that this daemon speaks (proto/monitor.proto Hello). */
export const protocolVersion = 1;

/** Which process a monitor is. */
export interface MonitorProcess {
  readonly pid: number;
  readonly startTime: number;
  readonly version: string;
}

export type MonitorHello = NonNullable<MonitorReply['hello']>;

export interface MonitorsOptions {
  readonly native: LaunchNative & {
    readonly processStartTime: (pid: number) => number | null;
    /** Kills the process with this pid and start time and waits for its end; false when it was gone. */
    readonly processEnd: (process: {
      readonly pid: number;
      readonly startTime: number;
      readonly waitMs: number;
    }) => Promise<boolean>;
  };
  readonly socketOf: (sandboxId: string) => string;
  readonly place: () => Promise<MonitorPlace>;
  /** Told of each monitor that is where `place` said. */
  readonly placed: (pid: number) => Promise<void>;
  readonly daemonVersion: string;
  /** What carries input of streaming clients past the event loop. */
  readonly carrier: Carrier;
  readonly onEvent: (sandboxId: string, event: MonitorEvent) => void;
  /** State told by a monitor after a reconnection: exits may have happened meanwhile. */
  readonly onState: (sandboxId: string, hello: MonitorHello) => void;
  /** The monitor's process is gone. */
  readonly onGone: (sandboxId: string) => void;
}

interface Opened {
  readonly connection: MonitorConnection;
  readonly hello: MonitorHello;
}

interface Link {
  /** Null until a silent monitor has answered for the first time. */
  connection: MonitorConnection | null;
  readonly process: MonitorProcess;
  reconnecting: Promise<void> | null;
  /** It was told to end: its death is no news. */
  ending: boolean;
}

const connectTimeoutMs = 2000;
/** How long one that was just started may take to greet, in milliseconds: nobody can go on without it. */
const launchTimeoutMs = 20_000;
/** How long a killed monitor may take to end, in milliseconds. */
const endTimeoutMs = 10_000;
const reconnectDelaysMs = [10, 100, 500, 2000] as const;

/** The monitors that this daemon knows. */
export class Monitors {
  readonly #options: MonitorsOptions;
  readonly #links = new Map<string, Link>();

  constructor(options: MonitorsOptions) {
    this.#options = options;
  }

  /** Starts a monitor for a sandbox and shakes hands. */
  async launch(sandboxId: string): Promise<MonitorProcess> {
    const { native, socketOf, place } = this.#options;
    await inPlace(place, (at) => launchMonitor(native, monitorArgv(sandboxId, socketOf(sandboxId), at)));
    const hello = await this.adopt(sandboxId, launchTimeoutMs);
    await this.#options.placed(hello.pid);
    return { pid: hello.pid, startTime: Number(hello.startTime), version: hello.monitorVersion };
  }

  /** Connects to a monitor that runs already; its answer holds everything it knows. */
  async adopt(sandboxId: string, timeoutMs = connectTimeoutMs): Promise<MonitorHello> {
    const { connection, hello } = await this.#open(sandboxId, timeoutMs);
    const process = { pid: hello.pid, startTime: Number(hello.startTime), version: hello.monitorVersion };
    this.forget(sandboxId);
    this.#links.set(sandboxId, { connection, process, reconnecting: null, ending: false });
    return hello;
  }

  /** Takes a monitor that lives and is silent for what it is: alive, and tried until it answers or is dead (ruling 12). */
  watch(sandboxId: string, process: MonitorProcess): void {
    this.forget(sandboxId);
    const link: Link = { connection: null, process, reconnecting: null, ending: false };
    this.#links.set(sandboxId, link);
    this.#seek(sandboxId, link);
  }

  /** Calls a sandbox's monitor; `unavailable` when it does not answer. */
  async call(sandboxId: string, call: MonitorCall, signal: AbortSignal): Promise<MonitorReply> {
    const link = this.#links.get(sandboxId);
    if (!link) throw unavailable(`sandbox ${sandboxId} has no monitor`);
    if (link.reconnecting) await Promise.race([link.reconnecting, elapsed(connectTimeoutMs)]);
    if (!link.connection || link.connection.closed)
      throw unavailable(`the monitor of sandbox ${sandboxId} does not answer`);
    const { connection } = link;
    try {
      return await connection.call(call, signal);
    } catch (error) {
      // whether it is dead is known when it was looked at: callers may ask isAlive then
      if (connection.closed && link.reconnecting) await Promise.race([link.reconnecting, elapsed(connectTimeoutMs)]);
      throw error;
    }
  }

  /**
   * Ends a monitor and everything in its sandbox; no monitor is success. One whose launch failed half-way
   * is found by its socket. One that does not end stays known.
   */
  async shutdown(sandboxId: string, signal: AbortSignal): Promise<void> {
    const link = this.#links.get(sandboxId);
    if (!link) return this.#shutdownUnknown(sandboxId, signal);
    link.ending = true;
    try {
      await this.call(sandboxId, { shutdown: {} }, signal);
    } catch (error) {
      link.ending = false;
      if (this.#sameProcess(link.process)) throw error;
    }
    this.forget(sandboxId);
  }

  async #shutdownUnknown(sandboxId: string, signal: AbortSignal): Promise<void> {
    let connection: MonitorConnection;
    try {
      ({ connection } = await this.#open(sandboxId));
    } catch (error) {
      if (nobodyListens(error)) return;
      throw error;
    }
    try {
      await connection.call({ shutdown: {} }, signal);
    } finally {
      connection.close();
    }
  }

  /**
   * Ends a monitor that lives and has no socket any more (its directory was wiped): nobody can ever reach it again.
   * One that listens and is silent is waited for (ruling 12). Whoever calls this ends its containers.
   */
  async endWithoutSocket(sandboxId: string): Promise<void> {
    const link = this.#links.get(sandboxId);
    if (!link || link.connection?.closed === false) return;
    const { socketOf, native } = this.#options;
    const handlers = { onEvent: () => undefined, onClose: () => undefined };
    try {
      const connection = await MonitorConnection.open(socketOf(sandboxId), connectTimeoutMs, handlers);
      return connection.close();
    } catch (error) {
      if (!nobodyListens(error)) return;
    }
    const { pid, startTime } = link.process;
    link.ending = true;
    try {
      await native.processEnd({ pid, startTime, waitMs: endTimeoutMs });
    } catch (error) {
      link.ending = false;
      throw internal(`end monitor ${pid} of sandbox ${sandboxId}, which has no socket any more`, error);
    }
    this.forget(sandboxId);
  }

  /**
   * Ends a monitor that nobody has a record of and that does not answer; whether there was one. What runs in its sandbox
   * lives on: whoever calls this ends it.
   */
  async endUnknown(sandboxId: string): Promise<boolean> {
    const { socketOf, native } = this.#options;
    const found = monitorsAt(socketOf(sandboxId), native.processStartTime);
    for (const { pid, startTime } of found) await native.processEnd({ pid, startTime, waitMs: endTimeoutMs });
    return found.length > 0;
  }

  /** Where streams of a sandbox's processes and ports are opened; `unavailable` when it has no monitor. */
  streamPlace(sandboxId: string): StreamPlace {
    if (!this.#links.has(sandboxId)) throw unavailable(`sandbox ${sandboxId} has no monitor`);
    const { socketOf, daemonVersion, carrier } = this.#options;
    return { socket: socketOf(sandboxId), greeting: { version: protocolVersion, daemonVersion }, carrier };
  }

  /** Drops the connection without ending the monitor. */
  forget(sandboxId: string): void {
    const link = this.#links.get(sandboxId);
    this.#links.delete(sandboxId);
    link?.connection?.close();
  }

  /** Whether the monitor's process is alive: its death closes the connection, and then it is looked at. */
  isAlive(sandboxId: string): boolean {
    return this.#links.has(sandboxId);
  }

  /** Whether the monitor answers, as far as known. */
  isReachable(sandboxId: string): boolean {
    const link = this.#links.get(sandboxId);
    return link?.connection?.closed === false;
  }

  /** Closes every connection; the monitors run on. */
  close(): void {
    for (const id of this.#links.keys()) this.forget(id);
  }

  /** What cannot be told counts as alive: pods must not be given up for a failed read. */
  #sameProcess(process: MonitorProcess): boolean {
    try {
      return this.#options.native.processStartTime(process.pid) === process.startTime;
    } catch {
      return true;
    }
  }

  async #open(sandboxId: string, timeoutMs = connectTimeoutMs): Promise<Opened> {
    const { socketOf, onEvent, daemonVersion } = this.#options;
    const connection = await MonitorConnection.open(socketOf(sandboxId), timeoutMs, {
      onEvent: (event) => onEvent(sandboxId, event),
      onClose: () => this.#lost(sandboxId, connection),
    });
    const late = new AbortController();
    const heard = whenSilentFor(timeoutMs, () => late.abort(deadlineExceeded('greet the monitor')));
    try {
      const reply = await connection.call({ hello: { version: protocolVersion, daemonVersion } }, late.signal);
      if (!reply.hello) throw unavailable(`the monitor of sandbox ${sandboxId} did not greet`);
      return { connection, hello: reply.hello };
    } catch (error) {
      connection.close();
      throw error;
    } finally {
      heard();
    }
  }

  #lost(sandboxId: string, connection: MonitorConnection): void {
    const link = this.#links.get(sandboxId);
    if (link && link.connection === connection && !link.reconnecting) this.#seek(sandboxId, link);
  }

  #seek(sandboxId: string, link: Link): void {
    link.reconnecting = this.#reconnect(sandboxId, link).finally(() => {
      link.reconnecting = null;
    });
  }

  async #reconnect(sandboxId: string, link: Link): Promise<void> {
    for (let attempt = 0; this.#links.get(sandboxId) === link; attempt += 1) {
      if (!this.#sameProcess(link.process)) {
        this.#links.delete(sandboxId);
        if (!link.ending) this.#options.onGone(sandboxId);
        return;
      }
      if (await this.#reopened(sandboxId, link)) return;
      // alive but silent: stays READY and is tried again (ruling 12)
      const delay = reconnectDelaysMs[Math.min(attempt, reconnectDelaysMs.length - 1)] as number;
      await elapsed(delay);
    }
  }

  /** Whether the link has a connection again, or nobody wants one any more. */
  async #reopened(sandboxId: string, link: Link): Promise<boolean> {
    let opened: Opened | null = null;
    try {
      opened = await this.#open(sandboxId);
      if (this.#links.get(sandboxId) === link) {
        this.#options.onState(sandboxId, opened.hello);
        link.connection = opened.connection;
      } else opened.connection.close();
      return true;
    } catch {
      opened?.connection.close();
      return false;
    }
  }
}

/** Whether a connection failed because no process has the socket open. */
function nobodyListens(error: unknown): boolean {
  const code =
    error instanceof Failure && error.cause instanceof Error ? (error.cause as NodeJS.ErrnoException).code : undefined;
  return code === 'ENOENT' || code === 'ECONNREFUSED';
}

const elapsed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());
