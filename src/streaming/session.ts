// One exec or attach: joins the client's channels with the process, and tells the client how it ended.
// Must not know how either side speaks.
import { failureChain } from '../lib/failure.ts';
import { exited, failed, type Outcome, success } from './status.ts';
import {
  type AttachedProcess,
  type Inlet,
  neverCarries,
  type Outlet,
  pumpIn,
  pumpOut,
  type RemoteProcess,
  type TerminalSize,
} from './streams.ts';

/** The client's side; a channel that was not asked for is null. */
export interface CommandClient {
  readonly stdin: Inlet | null;
  readonly stdout: Outlet | null;
  readonly stderr: Outlet | null;
  /** Called with each size of the client's terminal, from the beginning. */
  onResize(then: (size: TerminalSize) => void): void;
  /** Called once when the client is gone. */
  onLost(then: (why: string) => void): void;
  /** Tells the outcome, ends all channels and the connection. */
  finish(outcome: Outcome): void;
}

/** What a session is about. */
export interface CommandRequest {
  readonly kind: 'exec' | 'attach';
  readonly tty: boolean;
}

/** How a session went, for log and metrics. */
export interface SessionEnd {
  readonly result: 'done' | 'failed' | 'lost';
  readonly detail: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** What a session needs. */
export interface CommandPorts {
  /** Starts the command, or attaches. `size`: the terminal's before the command begins; null for none told. */
  readonly open: (size: TerminalSize | null, signal: AbortSignal) => Promise<RemoteProcess | AttachedProcess>;
  /** Fires when the daemon stops. */
  readonly stopping: AbortSignal;
  /** How long a client's first terminal size is waited for, in milliseconds. */
  readonly firstSizeMs: number;
}

/** Runs a session to its end. Never rejects. */
export async function runCommand(
  client: CommandClient,
  request: CommandRequest,
  ports: CommandPorts,
): Promise<SessionEnd> {
  return new CommandSession(client, request, ports).run();
}

/** How long after all output has ended the exit of the container may be told, in milliseconds. */
const exitAfterOutputMs = 2000;

const detaches = (process: RemoteProcess | AttachedProcess): boolean =>
  'inputEndDetaches' in process && process.inputEndDetaches;

/** What has ended of the client's side. */
interface Ends {
  /** All output was handed over. */
  readonly flowed: Promise<void>;
  /** The client's input has ended. */
  readonly inputEnded: Promise<void>;
}

/**
 * The end of an attachment: the container's exit. One whose output ends before goes on for its input, since programs
 * close their output; without any it is over too: its reader was too slow, or the output was closed.
 */
async function attachmentEnd(process: RemoteProcess | AttachedProcess, { flowed, inputEnded }: Ends): Promise<void> {
  const { ended, stdin, stdout, stderr } = process;
  const exited = ended.then(() => undefined);
  if (!stdout && !stderr) return exited;
  const { promise: late, reject } = Promise.withResolvers<never>();
  const tooLate = (): void => reject(new Error('its output ended, or was not taken in time; the container runs on'));
  let timer: NodeJS.Timeout | null = null;
  let over = false;
  const wait = (): void => {
    if (!over) timer = setTimeout(tooLate, exitAfterOutputMs).unref();
  };
  const input = stdin && 'inputGone' in process ? process.inputGone : Promise.resolve();
  const written = stdin ? inputEnded : Promise.race<void>([]);
  void flowed.then(() => input.then(wait));
  try {
    return await Promise.race([exited, late, flowed.then(() => written)]);
  } finally {
    over = true;
    if (timer) clearTimeout(timer);
  }
}

class CommandSession {
  readonly #client: CommandClient;
  readonly #request: CommandRequest;
  readonly #ports: CommandPorts;
  readonly #over = new AbortController();
  #size: TerminalSize | null = null;
  #process: RemoteProcess | null = null;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(client: CommandClient, request: CommandRequest, ports: CommandPorts) {
    this.#client = client;
    this.#request = request;
    this.#ports = ports;
  }

  async run(): Promise<SessionEnd> {
    const { promise: interrupted, resolve: interrupt } = Promise.withResolvers<SessionEnd>();
    const stop = (): void => {
      this.#client.finish(failed('podwrightd is stopping'));
      interrupt(this.#end('failed', 'the daemon stopped'));
    };
    this.#client.onLost((why) => interrupt(this.#end('lost', why)));
    this.#ports.stopping.addEventListener('abort', stop);
    if (this.#ports.stopping.aborted) stop();
    try {
      return await Promise.race([interrupted, this.#converse()]);
    } finally {
      this.#ports.stopping.removeEventListener('abort', stop);
      this.#over.abort();
      this.#process?.release();
    }
  }

  /** Start, streams, exit. */
  async #converse(): Promise<SessionEnd> {
    try {
      await this.#watchSize();
      const process = await this.#ports.open(this.#size, this.#over.signal);
      if (this.#over.signal.aborted) {
        process.release(); // the client went while it started
        return this.#end('lost', '');
      }
      this.#process = process;
      if (this.#size) process.resize(this.#size);
      const inputEnded = Promise.withResolvers<void>();
      const flowed = this.#join(process, () => inputEnded.resolve());
      if (this.#request.kind === 'attach') {
        const over = attachmentEnd(process, { flowed, inputEnded: inputEnded.promise }).then(() => flowed);
        await (detaches(process) ? Promise.race([over, inputEnded.promise]) : over);
        this.#client.finish(success);
        return this.#end('done', '');
      }
      const code = await process.ended;
      await flowed;
      this.#client.finish(exited(code));
      return this.#end('done', `exit code ${code}`);
    } catch (error) {
      const doing = this.#request.kind === 'exec' ? 'executing command in container' : 'attaching to container';
      const detail = failureChain(error);
      this.#client.finish(failed(`error ${doing}: ${detail}`));
      return this.#end('failed', detail);
    }
  }

  /** With a terminal, waits a moment for its size, so that the command never sees another one. */
  async #watchSize(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#client.onResize((size) => {
      this.#size = size;
      this.#process?.resize(size);
      resolve();
    });
    if (!this.#request.tty || this.#size) return;
    const timer = setTimeout(resolve, this.#ports.firstSizeMs);
    await promise;
    clearTimeout(timer);
  }

  /** Resolves when all output was handed over; `inputEnded` is called when all input was. */
  async #join({ stdin, stdout, stderr }: RemoteProcess, inputEnded: () => void): Promise<void> {
    const client = this.#client;
    const count = (bytes: number): void => void (this.#bytesIn += bytes);
    if (stdin && client.stdin) pumpIn(client.stdin, stdin, { count, end: inputEnded });
    else client.stdin?.open({ data: () => true, end: () => undefined, carry: neverCarries }); // the container was made without stdin
    const outputs = [
      { source: stdout, outlet: client.stdout },
      { source: stderr, outlet: client.stderr },
    ].map(({ source, outlet }) => {
      if (!source || !outlet) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      pumpOut(source, outlet, { count: (bytes) => void (this.#bytesOut += bytes), end: resolve });
      return promise;
    });
    await Promise.all(outputs);
  }

  #end(result: SessionEnd['result'], detail: string): SessionEnd {
    return { result, detail, bytesIn: this.#bytesIn, bytesOut: this.#bytesOut };
  }
}
