// A monitor of an earlier release, as far as its recording goes: it reads what it would have read, and says what it said.
import { createServer, type Socket } from 'node:net';
import type { FrameObject, ReceivedFrame } from '../../src/proto/monitor-codec.ts';
import { FrameReader, frameBytes } from '../../src/monitor/frames.ts';
import type { Recording } from './recording.ts';

type Request = NonNullable<ReceivedFrame['request']>;
type Response = NonNullable<ReceivedFrame['response']>;
type Event = NonNullable<ReceivedFrame['event']>;

/** A recorded call and what came of it. */
export interface Exchange {
  readonly request: Request;
  /** Null when its connection ended before. */
  readonly response: Response | null;
}

/** The calls of a recording with their answers, in order, and the events. */
export function exchanges({ lines, codec }: Recording): { readonly calls: Exchange[]; readonly events: Event[] } {
  const open = new Map<string, { request: Request; response: Response | null }>();
  const calls: Exchange[] = [];
  const events: Event[] = [];
  for (const { connection, frame } of lines) {
    if (frame === undefined) continue;
    const { request, response, event } = codec.decode(Buffer.from(frame, 'base64'));
    if (request) {
      const exchange = { request, response: null };
      open.set(`${connection} ${request.id}`, exchange);
      calls.push(exchange);
    }
    const waiting = response && open.get(`${connection} ${response.id}`);
    if (waiting) waiting.response = response;
    if (event) events.push(event);
  }
  return { calls, events };
}

/** One that listens. */
export interface FrozenMonitor {
  /** What it was asked, as its release reads it; a call that it does not know has none. */
  readonly asked: Request[];
  push(event: Event): void;
  end(): Promise<void>;
}

/** Starts one on a path. A call is answered as one of its kind was, one after the other; one of no kind as UNSUPPORTED. */
export async function frozenMonitor(recording: Recording, path: string): Promise<FrozenMonitor> {
  const { codec } = recording;
  const { calls } = exchanges(recording);
  const next = new Map<string, number>();
  const asked: Request[] = [];
  const sockets = new Set<Socket>();
  const unknown = { failure: { kind: 'UNSUPPORTED', detail: 'this monitor does not know the call' } } as const;
  const answer = (request: Request): FrameObject => {
    const kind = request.call ?? '';
    const said = calls.filter((each) => each.request.call === kind && each.response !== null);
    const at = next.get(kind) ?? 0;
    next.set(kind, at + 1);
    const response = said[at % Math.max(1, said.length)]?.response;
    return { response: { ...(response ?? unknown), id: request.id } as NonNullable<FrameObject['response']> };
  };
  const server = createServer((socket) => {
    const reader = new FrameReader();
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => {
      for (const { request } of [...reader.push(chunk)].map(codec.decode)) {
        if (!request) continue;
        asked.push(request);
        socket.write(frameBytes(codec.encode(answer(request))));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    asked,
    push(event) {
      const bytes = frameBytes(codec.encode({ event } as FrameObject));
      for (const socket of sockets) socket.write(bytes);
    },
    async end() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
