// Sends random requests to a daemon from several callers at once and judges every answer.
import { Client, credentials } from '@grpc/grpc-js';
import * as fc from 'fast-check';
import { criMessage } from '../../src/proto/cri-codec.ts';
import { requestType } from '../../src/cri/reflection.ts';
import { call, encode, type Outcome } from './call.ts';
import { Live, resolve } from './live.ts';
import { type Ground, harm } from './place.ts';
import { type Draft, drafts } from './requests.ts';

/** How a run is made. */
export interface RunOptions {
  readonly socket: string;
  readonly ground: Ground;
  readonly count: number;
  readonly seed: number;
  readonly callers: number;
  /** Milliseconds after which no further request is sent. */
  readonly limitMs: number;
  /** Pods and containers that may live at once; one that is too many goes. */
  readonly mostPods: number;
  readonly mostContainers: number;
}

/** An answer that must not be. */
export interface Violation {
  readonly nth: number;
  readonly method: string;
  readonly code: string;
  readonly details: string;
  readonly request: string;
}

/** What came of a run. */
export interface RunResult {
  readonly sent: number;
  /** Requests that the guard held back. */
  readonly held: number;
  /** Answers by RPC and code; CANCELLED: the caller gave up. */
  readonly counts: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly violations: readonly Violation[];
  readonly slowest: { readonly method: string; readonly ms: number };
}

/** No call may take longer: what is asked for takes 5 s at most, and this machine may be busy. */
const deadlineMs = 60_000;

/** Prefixes of messages that the kubelet knows by text; their code is UNKNOWN as Go runtimes have it. */
const known = /^(RegistryUnavailable|SignatureValidationFailed|ImageVolumeMountFailed|RROUnsupported): /;

/** Why an outcome must not be; null when it may. */
export function judge({ code, details, gaveUp }: Outcome): string | null {
  if (gaveUp) return null;
  if (code === 'INTERNAL' || code === 'DATA_LOSS' || code === 'ABORTED' || code === 'OUT_OF_RANGE')
    return 'a code that is not the caller’s to get';
  if (code === 'UNKNOWN' && !known.test(details)) return 'UNKNOWN without a known prefix';
  // commands and checkpoints have times of their own
  const itsOwn = /did not end within|the checkpoint was given up/;
  if (code === 'DEADLINE_EXCEEDED' && !itsOwn.test(details)) return 'no answer in time';
  if (code === 'UNAVAILABLE' && !/monitor|sandbox/.test(details)) return 'the daemon was not there';
  return null;
}

const chunk = 250;

/** The drafts of a run, in order; the same seed gives the same ones. */
function* draftsOf({ ground, count, seed }: RunOptions): Generator<Draft> {
  const arbitrary = drafts(ground);
  for (let from = 0; from < count; from += chunk) {
    yield* fc.sample(arbitrary, { numRuns: Math.min(chunk, count - from), seed: seed + from });
  }
}

class Run {
  readonly live = new Live();
  readonly counts = new Map<string, Map<string, number>>();
  readonly violations: Violation[] = [];
  sent = 0;
  held = 0;
  slowest = { method: '', ms: 0 };
  readonly #options: RunOptions;
  readonly #drafts: Generator<Draft>;
  readonly #until: number;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#drafts = draftsOf(options);
    this.#until = Date.now() + options.limitMs;
  }

  /** One caller: sends what comes next until nothing does. */
  async caller(): Promise<void> {
    const client = new Client(`unix:${this.#options.socket}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    try {
      for (;;) {
        const next = Date.now() < this.#until ? this.#drafts.next() : { done: true as const, value: undefined };
        if (next.done) return;
        await this.#send(client, next.value);
        await this.#makeRoom(client);
      }
    } finally {
      client.close();
    }
  }

  async #send(client: Client, { service, method, request, cancelAfterMs }: Draft): Promise<void> {
    const filled = resolve(request, this.live) as object;
    const why = harm(filled, this.#options.ground);
    if (why !== null) {
      this.held += 1;
      return;
    }
    this.sent += 1;
    const nth = this.sent;
    const bytes = encode({ service, method }, filled);
    const start = performance.now();
    // a stream that waits for what happens ends only with its caller
    const patience = method === 'GetContainerEvents' ? 100 : cancelAfterMs;
    const outcome = await call(client, { service, method, deadlineMs, cancelAfterMs: patience }, bytes);
    const ms = Math.round(performance.now() - start);
    if (ms > this.slowest.ms) this.slowest = { method, ms };
    this.#count(method, outcome);
    const made = this.#learn(method, filled, outcome);
    // what runs can be asked more than what was only made
    if (made !== null && nth % 3 > 0) await this.#follow(client, made);
    if (judge(outcome) !== null) {
      const read = criMessage(requestType(service, method)).deserialize(bytes);
      this.violations.push({
        nth,
        method,
        code: outcome.code,
        details: outcome.details,
        request: JSON.stringify(read).slice(0, 2000),
      });
    }
  }

  #count(method: string, { code, gaveUp }: Outcome): void {
    const codes = this.counts.get(method) ?? new Map<string, number>();
    this.counts.set(method, codes);
    const key = gaveUp ? 'CANCELLED' : code;
    codes.set(key, (codes.get(key) ?? 0) + 1);
  }

  async #follow(client: Client, containerId: string): Promise<void> {
    const rpc = { service: 'RuntimeService', method: 'StartContainer' } as const;
    const request = { container_id: containerId };
    const outcome = await call(client, { ...rpc, deadlineMs, cancelAfterMs: null }, encode(rpc, request));
    this.#count(rpc.method, outcome);
    if (judge(outcome) !== null) this.#blame(rpc.method, outcome, request);
  }

  #blame(method: string, { code, details }: Outcome, request: object): void {
    this.violations.push({ nth: this.sent, method, code, details, request: JSON.stringify(request) });
  }

  /** Keeps ids; answers that of a container that was made. */
  #learn(method: string, request: object, { code, answer }: Outcome): string | null {
    if (code !== 'OK') return null;
    const { pod_sandbox_id, container_id } = (answer ?? {}) as { pod_sandbox_id?: string; container_id?: string };
    if (method === 'RunPodSandbox' && pod_sandbox_id) this.live.sandboxes.push(pod_sandbox_id);
    if (method === 'CreateContainer' && container_id) this.live.containers.push(container_id);
    const gone = request as { pod_sandbox_id?: string; container_id?: string };
    if (method === 'RemovePodSandbox') this.live.forget(gone.pod_sandbox_id ?? '');
    if (method === 'RemoveContainer') this.live.forget(gone.container_id ?? '');
    return method === 'CreateContainer' ? (container_id ?? null) : null;
  }

  /** Ends the oldest where there are too many, and has the image that containers are made of. */
  async #makeRoom(client: Client): Promise<void> {
    const { mostPods, mostContainers, ground } = this.#options;
    const { sandboxes, containers } = this.live;
    const patience = { deadlineMs, cancelAfterMs: null };
    const ask = async (service: 'RuntimeService' | 'ImageService', method: string, request: object): Promise<void> => {
      const outcome = await call(client, { service, method, ...patience }, encode({ service, method }, request));
      if (outcome.code !== 'OK') this.#blame(method, outcome, request);
    };
    if (containers.length > mostContainers)
      await ask('RuntimeService', 'RemoveContainer', { container_id: containers.shift() ?? '' });
    if (sandboxes.length > mostPods)
      await ask('RuntimeService', 'RemovePodSandbox', { pod_sandbox_id: sandboxes.shift() ?? '' });
    if (this.sent % 50 === 0) await ask('ImageService', 'PullImage', { image: { image: ground.image } });
  }
}

/** Runs it to its end. */
export async function runFuzz(options: RunOptions): Promise<RunResult> {
  const run = new Run(options);
  await Promise.all(Array.from({ length: options.callers }, () => run.caller()));
  const { sent, held, counts, violations, slowest } = run;
  return { sent, held, counts, violations, slowest };
}
