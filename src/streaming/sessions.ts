// Sessions under way: each is counted, logged at its end, and ended when the daemon stops.
// Must not know protocols.
import { resourceExhausted } from '../lib/failure.ts';
import { forwardPort, type ForwardClient } from './forward.ts';
import type { Ticket } from './requests.ts';
import { type CommandClient, runCommand, type SessionEnd } from './session.ts';
import type { AttachedProcess, RemotePort, RemoteProcess, TerminalSize } from './streams.ts';

/** What a client's connection leads to. */
export interface StreamTargets {
  readonly exec: (
    ticket: Extract<Ticket, { kind: 'exec' }>,
    size: TerminalSize | null,
    signal: AbortSignal,
  ) => Promise<RemoteProcess>;
  readonly attach: (ticket: Extract<Ticket, { kind: 'attach' }>, signal: AbortSignal) => Promise<AttachedProcess>;
  readonly dial: (sandboxId: string, port: number, signal: AbortSignal) => Promise<RemotePort>;
}

/** What sessions tell the house. */
export interface SessionObserver {
  /** A session began. */
  readonly began: (kind: Ticket['kind']) => void;
  readonly ended: (kind: Ticket['kind'], end: SessionEnd & { readonly seconds: number }) => void;
  readonly log: {
    debug(fields: object, message: string): void;
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  /** Monotonic milliseconds. */
  readonly elapsedMs: () => number;
}

/** A client's end of a port-forward connection. */
export interface ForwardConnection {
  /** Ends it; clients are told that it is over. */
  end(): void;
}

/** Connections to ports at the same time, of all clients together, at most: each costs a descriptor. */
export const mostDialed = 4000;

/** How long a client's first terminal size is waited for, in milliseconds: clients send it at once, if they do. */
const sentAtOnceMs = 250;

/** All sessions of a server. */
export class Sessions {
  readonly #targets: StreamTargets;
  readonly #observer: SessionObserver;
  readonly #firstSizeMs: number;
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #dialed = 0;

  constructor(targets: StreamTargets, observer: SessionObserver, firstSizeMs = sentAtOnceMs) {
    this.#targets = targets;
    this.#observer = observer;
    this.#firstSizeMs = firstSizeMs;
  }

  /** Ends every session, each with a word to its client, and waits for them. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running);
  }

  /** Runs exec or attach for a client. */
  command(client: CommandClient, ticket: Extract<Ticket, { kind: 'exec' | 'attach' }>, protocol: string): void {
    const { exec, attach } = this.#targets;
    const ports = {
      open: (size: TerminalSize | null, signal: AbortSignal) =>
        ticket.kind === 'exec' ? exec(ticket, size, signal) : attach(ticket, signal),
      stopping: this.#stopping.signal,
      firstSizeMs: this.#firstSizeMs,
    };
    const subject = { containerId: ticket.containerId, tty: ticket.tty };
    this.#follow(ticket.kind, { ...subject, protocol }, () => runCommand(client, ticket, ports));
  }

  /** Forwards ports until `lost` is called; `serve` takes each forwarded connection. */
  forward(ticket: Extract<Ticket, { kind: 'portforward' }>, protocol: string): ForwardSession {
    const over = new AbortController();
    const { promise, resolve } = Promise.withResolvers<SessionEnd>();
    const bytes = { in: 0, out: 0 };
    const { sandboxId } = ticket;
    const ports = {
      sandboxId,
      dial: (port: number, signal: AbortSignal) => this.#dial({ sandboxId, port }, signal),
      over: over.signal,
      countIn: (count: number) => void (bytes.in += count),
      countOut: (count: number) => void (bytes.out += count),
      onFailure: (port: number, error: string) =>
        this.#observer.log.debug({ sandboxId, port, error }, 'a port could not be forwarded'),
    };
    let end = (): void => undefined;
    const finish = (detail: string): void => {
      this.#stopping.signal.removeEventListener('abort', stop);
      over.abort();
      resolve({ result: 'done', detail, bytesIn: bytes.in, bytesOut: bytes.out });
    };
    const stop = (): void => {
      finish('the daemon stopped');
      end();
    };
    this.#stopping.signal.addEventListener('abort', stop);
    this.#follow('portforward', { sandboxId, protocol }, () => promise);
    return {
      serve: (client) => forwardPort(client, ports),
      lost: finish,
      attach: (connection) => {
        end = () => connection.end();
        if (this.#stopping.signal.aborted) stop();
      },
    };
  }

  async #dial(to: { readonly sandboxId: string; readonly port: number }, signal: AbortSignal): Promise<RemotePort> {
    if (this.#dialed >= mostDialed) throw resourceExhausted(`there are ${mostDialed} connections to ports already`);
    this.#dialed += 1;
    try {
      const remote = await this.#targets.dial(to.sandboxId, to.port, signal);
      remote.onClose(() => void (this.#dialed -= 1));
      return remote;
    } catch (error) {
      this.#dialed -= 1;
      throw error;
    }
  }

  #follow(kind: Ticket['kind'], subject: object, run: () => Promise<SessionEnd>): void {
    const { began, ended, log, elapsedMs } = this.#observer;
    const from = elapsedMs();
    began(kind);
    const running = run()
      .then((end) => {
        const seconds = (elapsedMs() - from) / 1000;
        ended(kind, { ...end, seconds });
        const { result, detail, bytesIn, bytesOut } = end;
        const fields = { ...subject, kind, result, detail, bytesIn, bytesOut, ms: Math.round(seconds * 1000) };
        if (result === 'failed') log.warn(fields, 'streaming session failed');
        else log.info(fields, 'streaming session ended');
      })
      .finally(() => void this.#running.delete(running));
    this.#running.add(running);
  }
}

/** A port-forward session as its connection drives it. */
export interface ForwardSession {
  /** Forwards one connection. */
  readonly serve: (client: ForwardClient) => Promise<void>;
  /** The client is gone. */
  readonly lost: (why: string) => void;
  /** Names the connection that is to be ended when the daemon stops. */
  readonly attach: (connection: ForwardConnection) => void;
}
