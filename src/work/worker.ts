// Heavy work in a process of its own: started when there is some, ended when there has been none for a while.
// Must not know where that process is put: it is told how.
import type { FetchProgress, Outcome } from '../native/boundary.ts';
import { NativeError, unwrap } from '../native/errors.ts';
import type { HeavyCall, WorkReply } from './calls.ts';
import type { WorkEvents, WorkProcess } from './start.ts';

export interface WorkerOptions {
  readonly start: (events: WorkEvents) => WorkProcess;
  /** Puts a process that has begun nothing yet where its limits are. */
  readonly place: (pid: number) => Promise<void>;
  /** Takes that place away: the process is gone. */
  readonly leave: () => Promise<void>;
  /** How long it is kept without work, in milliseconds. */
  readonly idleMs: number;
  /** How long its end is waited for when the daemon ends, in milliseconds. */
  readonly stopMs: number;
  readonly onError: (error: unknown) => void;
}

interface Waiting {
  readonly call: HeavyCall;
  /** Of a fetch. */
  readonly handle: string | null;
  readonly settle: (outcome: Outcome<unknown>) => void;
}

/** A fetch that waits for a process to run in. */
interface Coming {
  readonly handle: string;
  cancelled: boolean;
}

interface Live {
  readonly process: WorkProcess;
  readonly placed: Promise<void>;
  readonly waiting: Map<number, Waiting>;
  progress: readonly FetchProgress[];
}

const failed = (call: string, message: string, syscall = 'worker'): NativeError =>
  new NativeError({ operation: call, syscall, errno: 0, object: '', message: `${call}: ${message}` });

/** What was lacking to start it (EMFILE, EAGAIN), if that is why, as the failure of a call. */
function notStarted(call: string, error: unknown): NativeError {
  const { errno, syscall } = error as NodeJS.ErrnoException;
  const message = `${call}: the process for work cannot be started: ${String(error)}`;
  if (errno === undefined)
    return new NativeError({ operation: call, syscall: 'worker', errno: 0, object: '', message });
  return new NativeError({ operation: call, syscall: syscall ?? 'fork', errno: Math.abs(errno), object: '', message });
}

/** One worker, or none. */
export class Worker {
  readonly #options: WorkerOptions;
  #live: Live | null = null;
  /** The end of the one before: its place is taken away before another is made. */
  #left: Promise<void> = Promise.resolve();
  #starting: Promise<Live> | null = null;
  #idle: NodeJS.Timeout | null = null;
  #nextId = 0;
  #closed = false;
  readonly #coming = new Set<Coming>();

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** The process that works now, if any. */
  get pid(): number | null {
    return this.#live?.process.pid ?? null;
  }

  /** Makes a call there. Throws a NativeError, of the call or that the process has ended under it (`worker`). */
  async call(call: HeavyCall, args: object): Promise<unknown> {
    const handle = 'handle' in args && typeof args.handle === 'string' ? args.handle : null;
    const live = await this.#aliveFor(call, handle);
    const id = (this.#nextId += 1);
    const outcome = await new Promise<Outcome<unknown>>((settle) => {
      live.waiting.set(id, { call, handle, settle });
      live.process.send({ id, call, args });
    });
    return unwrap(outcome);
  }

  /** Stops a fetch soon; false if none of that handle runs there. */
  cancel(handle: string): boolean {
    const coming = [...this.#coming].filter((one) => one.handle === handle);
    for (const one of coming) one.cancelled = true;
    const live = this.#live;
    if (!live || ![...live.waiting.values()].some((one) => one.handle === handle)) return coming.length > 0;
    live.process.send({ cancel: handle });
    return true;
  }

  /** How far its fetches are, a fifth of a second ago at most. */
  progress(): readonly FetchProgress[] {
    return this.#live?.progress ?? [];
  }

  /** Ends it, and with it what it does; what is asked later fails. One that does not end is told of and left. */
  async stop(): Promise<void> {
    this.#closed = true;
    const { stopMs, onError } = this.#options;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      onError(new Error(`the process for work did not end within ${stopMs} ms`));
      late.resolve();
    }, stopMs);
    await Promise.race([this.#end(), late.promise]);
    clearTimeout(timer);
  }

  async #end(): Promise<void> {
    this.#live?.process.kill(); // also one that is being placed
    await this.#starting?.catch(() => undefined);
    this.#live?.process.kill();
    await this.#left;
  }

  /** The process for a call; one that is cancelled meanwhile is not made. */
  async #aliveFor(call: HeavyCall, handle: string | null): Promise<Live> {
    if (handle === null) return this.#alive(call);
    const coming = { handle, cancelled: false };
    this.#coming.add(coming);
    try {
      const live = await this.#alive(call);
      if (!coming.cancelled) return live;
      this.#restLater(live);
    } finally {
      this.#coming.delete(coming);
    }
    throw failed(call, 'cancelled', 'cancel');
  }

  async #alive(call: HeavyCall): Promise<Live> {
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = null;
    for (;;) {
      if (this.#closed) throw failed(call, 'the daemon ends');
      if (this.#live) {
        const live = this.#live;
        await live.placed;
        if (this.#live === live) return live;
      } else {
        this.#starting ??= this.#start(call).finally(() => (this.#starting = null));
        await this.#starting;
      }
    }
  }

  async #start(call: HeavyCall): Promise<Live> {
    await this.#left;
    const ended = Promise.withResolvers<void>();
    const waiting = new Map<number, Waiting>();
    let live: Live | null = null;
    let end: NativeError | null = null;
    let unbegun: Error | null = null;
    let process: WorkProcess;
    try {
      process = this.#options.start({
        onReply: (reply) => live && this.#take(live, reply),
        onEnd: (how, error) => {
          unbegun = error ?? null;
          if (this.#live === live) this.#live = null;
          end = failed(call, `the process for work ended with ${how}`);
          for (const one of waiting.values()) one.settle({ err: end });
          waiting.clear();
          ended.resolve();
        },
      });
    } catch (error) {
      await new Promise((resolve) => setImmediate(resolve)); // by then the reason is told
      throw notStarted(call, unbegun ?? error);
    }
    this.#left = ended.promise.then(() => this.#options.leave()).catch(this.#options.onError);
    const placed = this.#options.place(process.pid);
    live = { process, placed, waiting, progress: [] };
    this.#live = live;
    try {
      await placed;
    } catch (error) {
      const why = end ?? error; // one that had ended cannot be placed
      process.kill();
      await this.#left;
      throw why;
    }
    return live;
  }

  #take(live: Live, reply: WorkReply): void {
    if ('progress' in reply) {
      live.progress = reply.progress;
      return;
    }
    const one = live.waiting.get(reply.id);
    live.waiting.delete(reply.id);
    one?.settle(reply.outcome);
    this.#restLater(live);
  }

  #restLater(live: Live): void {
    if (live.waiting.size > 0) return;
    live.progress = [];
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#rest(live), this.#options.idleMs).unref();
  }

  #rest(live: Live): void {
    this.#idle = null;
    if (live.waiting.size > 0) return;
    if (this.#live === live) this.#live = null; // nothing more is given to it
    live.process.kill();
  }
}
