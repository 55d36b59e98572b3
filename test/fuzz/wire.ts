// Bytes that are almost requests: mutated valid ones and pure chance, to each RPC.
import { Client, credentials } from '@grpc/grpc-js';
import * as fc from 'fast-check';
import { requestType } from '../../src/cri/reflection.ts';
import { criMessage, criService } from '../../src/proto/cri-codec.ts';
import { Malformed, strictDecoder } from '../../src/proto/strict-reader.ts';
import { baseOf, type World } from '../bad-input/requests.ts';
import { served } from '../bad-input/walk.ts';
import { call, encode } from './call.ts';
import { mutateBytes } from './mutation.ts';
import { type Ground, harm } from './place.ts';
import { judge, type RunResult, type Violation } from './run.ts';

const raw: fc.Arbitrary<(bytes: Buffer) => Buffer> = fc.oneof(
  { weight: 4, arbitrary: mutateBytes },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => () => Buffer.from(bytes)) },
);

/** Nothing in them reaches the host: no paths, no parent, and ids that nobody has. */
function harmlessBase(method: string, world: World): object {
  const request = structuredClone(baseOf(method, world)) as {
    config?: Record<string, unknown>;
    pod_sandbox_id?: string;
    container_id?: string;
  };
  if (request.config) request.config['log_directory'] = '';
  return request;
}

/** What a wire run is made with. */
export interface WireOptions {
  readonly socket: string;
  readonly ground: Ground;
  readonly count: number;
  readonly seed: number;
  /** Told of each sandbox that came of it all the same. */
  readonly onSandbox: (id: string) => Promise<void>;
}

/** Sends them, one after the other. */
export async function runWireFuzz(options: WireOptions): Promise<RunResult> {
  const { socket, ground, count, seed, onSandbox } = options;
  const client = new Client(`unix:${socket}`, credentials.createInsecure());
  const world: World = { sandboxId: 'a'.repeat(64), running: 'b'.repeat(64), image: ground.image, logs: '' };
  const counts = new Map<string, Map<string, number>>();
  const violations: Violation[] = [];
  let [sent, held] = [0, 0];
  let slowest = { method: '', ms: 0 };
  for (const [nth, change] of fc.sample(raw, { numRuns: count, seed }).entries()) {
    const [service, method] = served[nth % served.length] ?? ['RuntimeService', 'Version'];
    const bytes = change(encode({ service, method }, harmlessBase(method, world)));
    const read = strictDecoder(criMessage(requestType(service, method)).deserialize)(bytes);
    if (!(read instanceof Malformed) && (harm(read, ground) !== null || method === 'RemoveImage')) {
      held += 1;
      continue;
    }
    sent += 1;
    const start = performance.now();
    const patience = criService(service)[method]?.responseStream ? 100 : null;
    const outcome = await call(client, { service, method, deadlineMs: 30_000, cancelAfterMs: patience }, bytes);
    const ms = Math.round(performance.now() - start);
    if (ms > slowest.ms) slowest = { method, ms };
    const codes = counts.get(method) ?? new Map<string, number>();
    counts.set(method, codes.set(outcome.code, (codes.get(outcome.code) ?? 0) + 1));
    if (
      judge(outcome) !== null ||
      (read instanceof Malformed && outcome.code !== 'INVALID_ARGUMENT' && !outcome.gaveUp)
    ) {
      const { code, details } = outcome;
      violations.push({ nth, method, code, details, request: bytes.toString('hex') });
    }
    const made = (outcome.answer ?? {}) as { pod_sandbox_id?: string };
    if (method === 'RunPodSandbox' && made.pod_sandbox_id) await onSandbox(made.pod_sandbox_id);
  }
  client.close();
  return { sent, held, counts, violations, slowest };
}
