// Commands and attachments whose streams are taken: a connection of their own to the monitor, which they belong to,
// and one raw connection for each stream. Must not know who the client is.
import { unavailable } from '../lib/failure.ts';
import { MonitorConnection, type MonitorCall } from './client.ts';
import type { Carrier } from './carrier.ts';
import { type MonitorEnd, RawStream } from './raw-stream.ts';

/** proto Exec; `execId` names it. */
export type ExecCall = NonNullable<MonitorCall['exec']>;
/** proto Attach; `attachId` names it. */
export type AttachCall = NonNullable<MonitorCall['attach']>;
/** proto TerminalSize. */
export interface TerminalSize {
  readonly width: number;
  readonly height: number;
}

/** A command or a container with the streams that were asked for. */
export interface ProcessStreams {
  readonly stdin: RawStream | null;
  readonly stdout: RawStream | null;
  readonly stderr: RawStream | null;
  resize(size: TerminalSize): void;
  /** Of an attachment: resolves when the monitor takes no more input from it, because it is over there. */
  readonly inputGone: Promise<void>;
  /** Its exit code; rejects when the monitor is gone. */
  readonly ended: Promise<number>;
  /** Closes all connections: see proto Exec and Attach for what becomes of it. */
  release(): void;
}

/** Where a monitor is and how it is greeted. */
export interface StreamPlace {
  readonly socket: string;
  readonly greeting: NonNullable<MonitorCall['hello']>;
  /** What carries input to it past the event loop. */
  readonly carrier: Carrier;
}

const endOf = ({ socket, carrier }: StreamPlace): MonitorEnd => ({ path: socket, carrier });

/** How long output that descendants hold open is waited for after a command's exit, in milliseconds. */
const drainMs = 2000;
const connectTimeoutMs = 2000;
const never = new AbortController().signal;

/** What is behind the streams: its id there, its container, and how its end is learnt. */
interface Subject {
  readonly call: MonitorCall;
  readonly id: string;
  readonly containerId: string;
  readonly wanted: { readonly stdin?: boolean; readonly stdout?: boolean; readonly stderr?: boolean };
  readonly isExec: boolean;
}

/** Starts a command and takes its streams. */
export function openExec(place: StreamPlace, exec: ExecCall, signal: AbortSignal): Promise<ProcessStreams> {
  const { execId = '', containerId = '' } = exec;
  return openProcess(
    place,
    { call: { exec }, id: execId, containerId, wanted: exec as Subject['wanted'], isExec: true },
    signal,
  );
}

/** Attaches to a container and takes its streams; `ended` is the container's exit. */
export function openAttach(place: StreamPlace, attach: AttachCall, signal: AbortSignal): Promise<ProcessStreams> {
  const { attachId = '', containerId = '' } = attach;
  const wanted = attach as Subject['wanted'];
  return openProcess(place, { call: { attach }, id: attachId, containerId, wanted, isExec: false }, signal);
}

/** Connects to a port in the sandbox's network namespace. */
export const openPort = (place: StreamPlace, port: number, signal: AbortSignal): Promise<RawStream> =>
  RawStream.open(endOf(place), { port: { port } }, signal);

async function openProcess(place: StreamPlace, subject: Subject, signal: AbortSignal): Promise<ProcessStreams> {
  const exit = Promise.withResolvers<number>();
  exit.promise.catch(() => undefined); // who wants to know asks later, or never when the start fails
  const connection = await MonitorConnection.open(place.socket, connectTimeoutMs, {
    onEvent: ({ exit: fact }) => {
      if (fact?.containerId === subject.containerId && !subject.isExec) exit.resolve(fact.exitCode);
    },
    onClose: () => exit.reject(unavailable('the monitor closed the connection')),
  });
  const opened: RawStream[] = [];
  try {
    await connection.call({ hello: place.greeting }, signal);
    await connection.call(subject.call, signal);
    const open = async (name: 'STDIN' | 'STDOUT' | 'STDERR', wanted: boolean): Promise<RawStream | null> => {
      if (!wanted) return null;
      const stream = await RawStream.open(endOf(place), { process: { id: subject.id, name } }, signal);
      opened.push(stream);
      return stream;
    };
    const { wanted } = subject;
    const [stdin, stdout, stderr] = await Promise.all([
      open('STDIN', wanted.stdin === true),
      open('STDOUT', wanted.stdout === true),
      open('STDERR', wanted.stderr === true),
    ]);
    if (subject.isExec) waitFor(connection, subject.id, exit);
    const inputGone = Promise.withResolvers<void>();
    // nothing is sent this way but its end
    if (!subject.isExec) stdin?.start({ data: () => true, end: inputGone.resolve });
    return {
      stdin,
      stdout,
      stderr,
      ended: exit.promise,
      inputGone: inputGone.promise,
      resize: resizer(connection, subject),
      release: () => {
        connection.close();
        for (const stream of opened) stream.release();
      },
    };
  } catch (error) {
    connection.close();
    for (const stream of opened) stream.release();
    throw error;
  }
}

/** The exit of a command. It is asked for when its streams were taken, so that none of its output is given up. */
function waitFor(connection: MonitorConnection, execId: string, exit: PromiseWithResolvers<number>): void {
  connection.call({ waitExec: { execId, drainMs } }, never).then(
    ({ waitExec }) => exit.resolve(waitExec?.exitCode ?? 0),
    (error: unknown) => exit.reject(error),
  );
}

/** Sets the size of the terminal; of sizes that come faster than they are set the last one counts. */
function resizer(connection: MonitorConnection, { containerId, id, isExec }: Subject): (size: TerminalSize) => void {
  let next: TerminalSize | null = null;
  let busy = false;
  const set = (size: TerminalSize): void => {
    busy = true;
    const done = (): void => {
      busy = false;
      const waiting = next;
      next = null;
      if (waiting) set(waiting);
    };
    // a process that has ended has no size, and that is no news
    connection.call({ resize: { containerId, execId: isExec ? id : '', size } }, never).then(done, done);
  };
  return (size) => {
    if (busy) next = size;
    else set(size);
  };
}
