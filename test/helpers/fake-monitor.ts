// A monitor in this process: it speaks frames on a socket and answers as a test tells it to.
import { createServer, type Server, type Socket } from 'node:net';
import { FrameReader, frameBytes } from '../../src/monitor/frames.ts';
import { decodeFrame, encodeFrame, type FrameObject, type ReceivedFrame } from '../../src/proto/monitor-codec.ts';

type Request = NonNullable<ReceivedFrame['request']>;
type State = NonNullable<NonNullable<NonNullable<FrameObject['response']>['hello']>['state']>;
type Result = Omit<NonNullable<FrameObject['response']>, 'id' | 'result'>;

export interface FakeMonitor {
  /** The calls it got, by name. */
  readonly calls: string[];
  /** Connections that are open now. */
  readonly sockets: Set<Socket>;
  /** What it answers; null is silence. */
  answer: (request: Request) => Result | null;
  /** What its greeting tells of containers. */
  containers: NonNullable<State['containers']>;
  push(event: NonNullable<FrameObject['event']>): void;
  /** Cuts every connection; goes on listening. */
  cut(): void;
  /** Listens no more, and cuts every connection. */
  end(): Promise<void>;
}

/** Starts one on `path`; its greeting says that it is process `pid`, started at tick `startTime`. */
export async function fakeMonitor(
  path: string,
  { pid, startTime }: { pid: number; startTime: number },
): Promise<FakeMonitor> {
  const sockets = new Set<Socket>();
  const monitor: FakeMonitor = {
    calls: [],
    sockets,
    containers: [],
    answer: ({ call }) =>
      call === 'hello'
        ? { hello: { version: 1, monitorVersion: '0', pid, startTime, state: { containers: monitor.containers } } }
        : { empty: {} },
    push(event) {
      for (const socket of sockets) socket.write(frameBytes(encodeFrame({ event })));
    },
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async end() {
      const closed = new Promise((resolve) => server.close(resolve));
      monitor.cut();
      await closed;
    },
  };
  const server: Server = createServer((socket) => {
    const reader = new FrameReader();
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      for (const { request } of [...reader.push(chunk)].map(decodeFrame)) {
        if (!request) continue;
        monitor.calls.push(String(request.call));
        const result = monitor.answer(request);
        if (result) socket.write(frameBytes(encodeFrame({ response: { ...result, id: request.id } })));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return monitor;
}
