// A monitor in this process whose commands, attachments and ports a test plays: it speaks proto Exec, Attach, OpenStream.
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { FrameReader, frameBytes } from '../../src/monitor/frames.ts';
import { decodeFrame, encodeFrame, type FrameObject, type ReceivedFrame } from '../../src/proto/monitor-codec.ts';
import { until } from './until.ts';

type Request = NonNullable<ReceivedFrame['request']>;
type Result = Omit<NonNullable<FrameObject['response']>, 'id' | 'result'>;

/** A command or an attachment as the test plays it. */
export class PlayedProcess {
  readonly request: Request;
  readonly sizes: { width: number; height: number }[] = [];
  readonly streams = new Map<string, Socket>();
  /** Whether the connection it belongs to has closed. */
  released = false;
  readonly #exit = Promise.withResolvers<number>();

  constructor(request: Request) {
    this.request = request;
  }

  get exitCode(): Promise<number> {
    return this.#exit.promise;
  }

  /** The monitor's end of a stream, once it was taken. */
  async stream(name: 'STDIN' | 'STDOUT' | 'STDERR'): Promise<Socket> {
    return until(`${name} is taken`, () => this.streams.get(name));
  }

  /** Ends its outputs and answers WaitExec. */
  async exit(code: number): Promise<void> {
    for (const name of ['STDOUT', 'STDERR']) this.streams.get(name)?.end();
    this.#exit.resolve(code);
  }
}

/** The monitor of one sandbox. */
export class StreamMonitor {
  readonly path: string;
  readonly processes: PlayedProcess[] = [];
  /** Connections to ports, in order. */
  readonly ports: { readonly port: number; readonly socket: Socket }[] = [];
  /** What a call is answered with instead; null goes on as usual. */
  refuse: (request: Request) => Result | null = () => null;
  readonly #sockets = new Set<Socket>();
  /** Those that said hello. */
  readonly #controls = new Set<Socket>();
  readonly #server: Server;

  private constructor(path: string) {
    this.path = path;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
  }

  static async listen(path: string): Promise<StreamMonitor> {
    const monitor = new StreamMonitor(path);
    monitor.#server.listen(path);
    await once(monitor.#server, 'listening');
    return monitor;
  }

  /** The n-th process, once it was asked for. */
  async process(n = 0): Promise<PlayedProcess> {
    return until(`process ${n} is started`, () => this.processes[n]);
  }

  /** The n-th connection to a port. */
  async port(n = 0): Promise<Socket> {
    return until(`port connection ${n}`, () => this.ports[n]?.socket);
  }

  /** The container's exit, told to everybody. */
  pushExit(containerId: string, exitCode: number): void {
    const bytes = frameBytes(encodeFrame({ event: { exit: { containerId, exitCode } } }));
    for (const socket of this.#controls) socket.write(bytes);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    const reader = new FrameReader();
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#controls.delete(socket);
    });
    const control = (chunk: Buffer): void => {
      for (const { request } of [...reader.push(chunk)].map(decodeFrame)) {
        if (request?.openStream) socket.off('data', control);
        if (request) this.#take(socket, request);
      }
    };
    socket.on('data', control);
  }

  #take(socket: Socket, request: Request): void {
    const answer = (result: Result): void =>
      void socket.write(frameBytes(encodeFrame({ response: { ...result, id: request.id } })));
    const refusal = this.refuse(request);
    if (refusal) return answer(refusal);
    const { exec, attach, waitExec, resize, openStream } = request;
    if (request.hello) {
      this.#controls.add(socket);
      answer({ hello: { version: 1, monitorVersion: '0', state: {} } });
    } else if (exec ?? attach) {
      const process = new PlayedProcess(request);
      this.processes.push(process);
      socket.on('close', () => void (process.released = true));
      socket.on('end', () => socket.end());
      answer(exec ? { exec: { pid: 1 } } : { attach: { terminal: false } });
    } else if (waitExec) {
      const process = this.#named(waitExec.execId);
      void process?.exitCode.then((exitCode) => answer({ waitExec: { exitCode } }));
    } else if (resize) {
      this.#named(resize.execId || resize.containerId)?.sizes.push({ ...resize.size } as never);
      answer({ empty: {} });
    } else if (openStream) this.#open(socket, openStream, answer);
  }

  #open(socket: Socket, { process, port }: NonNullable<Request['openStream']>, answer: (result: Result) => void): void {
    socket.pause();
    if (port) this.ports.push({ port: port.port, socket });
    else if (process) this.#named(process.id)?.streams.set(process.name, socket);
    answer({ empty: {} });
  }

  #named(id: string): PlayedProcess | undefined {
    return this.processes.find(
      ({ request: { exec, attach } }) => exec?.execId === id || attach?.attachId === id || attach?.containerId === id,
    );
  }
}
