// The worker's side: makes the calls it is told to make and answers what they came to. Must not choose them.
import { type FetchProgress, type Outcome, type RawAddon } from '../native/boundary.ts';
import { heavyCalls, type WorkReply, type WorkRequest } from './calls.ts';

/** How often it tells how far its calls are, in milliseconds. */
const tellMs = 200;

type Call = (args: unknown) => Promise<Outcome<unknown>>;

const failed = (call: string, error: unknown): Outcome<never> => ({
  err: { operation: call, syscall: 'worker', errno: 0, object: '', message: `${call}: ${String(error)}` },
});

/** Answers the function that takes each request. */
export function serveWork(addon: RawAddon, send: (reply: WorkReply) => void): (request: WorkRequest) => void {
  const calls = new Map<string, Call>(heavyCalls.map((name) => [name, addon[name] as Call]));
  let running = 0;
  let ticker: NodeJS.Timeout | null = null;
  const tell = (): void => {
    const progress: Outcome<readonly FetchProgress[]> = addon.fetchProgress();
    if ('ok' in progress) send({ progress: progress.ok });
  };
  const begin = (): void => {
    running += 1;
    ticker ??= setInterval(tell, tellMs);
  };
  const end = (): void => {
    running -= 1;
    if (running > 0 || ticker === null) return;
    clearInterval(ticker);
    ticker = null;
  };
  // at once: a cancel that was read with it must find it running
  const make = (call: string, args: unknown): Promise<Outcome<unknown>> => {
    const known = calls.get(call);
    if (known === undefined) return Promise.reject(new Error('no such call'));
    try {
      return known(args);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  };
  return (request) => {
    if ('cancel' in request) return void addon.fetchCancel({ handle: request.cancel });
    const { id, call, args } = request;
    begin();
    void make(call, args)
      .catch((error: unknown) => failed(call, error))
      .then((outcome) => {
        end();
        send({ id, outcome });
      });
  };
}
