// Plays the daemon of an earlier release to monitors of today: its requests as it wrote them, but for where files lie on
// this host; its answers are compared by what that release reads in them.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { FrameReader, frameBytes } from '../../src/monitor/frames.ts';
import type { FrameObject, ReceivedFrame } from '../../src/proto/monitor-codec.ts';
import { until } from '../helpers/until.ts';
import type { Line, Recording } from './recording.ts';

type Request = NonNullable<ReceivedFrame['request']>;
type Response = NonNullable<ReceivedFrame['response']>;
type Event = NonNullable<ReceivedFrame['event']>;

/** Where things are on this host. */
export interface Stage {
  /** In place of the recorded daemon's directory. */
  readonly dir: string;
  /** Directory of the program in criu's place. */
  readonly criu: string;
  /** Layers of the image, topmost first. */
  readonly lower: readonly string[];
  /** The program of monitors. */
  readonly monitor: string;
  /** What the daemon does in a new network namespace. */
  readonly loopbackUp: (netns: string) => Promise<unknown>;
}

/** A recorded answer and what was answered now. */
export interface Compared {
  readonly call: string;
  readonly before: Response;
  readonly now: Response;
}

const limitMs = 60_000;
const unified = existsSync('/sys/fs/cgroup/unified') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup';

/** One connection to a monitor. */
class Played {
  readonly socket: Socket;
  readonly answers = new Map<string, Response>();
  readonly events: Event[] = [];
  readonly calls = new Map<string, string>();
  /** Where the sandbox that it made has its network. */
  netnsPin = '';
  /** Whether what is typed goes this way. */
  types = false;
  #raw = false;

  constructor(path: string, decode: (bytes: Uint8Array) => ReceivedFrame) {
    this.socket = connect({ path, allowHalfOpen: true });
    this.socket.on('error', () => this.socket.destroy());
    const reader = new FrameReader();
    this.socket.on('data', (chunk) => {
      if (this.#raw && this.answers.size > 0) return; // a stream's bytes
      for (const { response, event } of [...reader.push(chunk)].map(decode)) {
        if (response) this.answers.set(response.id, response);
        if (event) this.events.push(event);
      }
    });
  }

  /** From the answer on it carries a stream, which may be somebody's input. */
  streams(input: boolean): void {
    this.#raw = true;
    this.types = input;
  }
}

/** A replay; `play` once, then `end`. */
export class Replay {
  readonly compared: Compared[] = [];
  /** Events that came, by kind and container. */
  readonly events: string[] = [];
  readonly #recording: Recording;
  readonly #stage: Stage;
  readonly #connections = new Map<string, Played>();
  readonly #monitors = new Map<string, ChildProcess>();
  readonly #cgroups: string[] = [];

  constructor(recording: Recording, stage: Stage) {
    this.#recording = recording;
    this.#stage = stage;
  }

  /** Every line of the recording, in its order. */
  async play(): Promise<void> {
    const talks = new Set(
      this.#recording.lines.filter(({ frame }) => frame !== undefined).map((one) => one.connection),
    );
    for (const line of this.#recording.lines) {
      if (!talks.has(line.connection)) continue;
      if (line.from === 'daemon') await this.#say(line);
      else if (line.from === 'monitor') await this.#hear(line);
      else this.#connections.get(line.connection)?.socket.destroy();
    }
  }

  /** Closes what is open, and removes the cgroups. */
  async end(): Promise<void> {
    for (const { socket } of this.#connections.values()) socket.destroy();
    for (const dir of this.#cgroups.toReversed())
      await until(`${dir} is removed`, () => {
        try {
          rmdirSync(dir);
          return true;
        } catch (error) {
          return (error as NodeJS.ErrnoException).code === 'ENOENT';
        }
      });
  }

  async #say({ connection, sandbox, frame = '', files = {} }: Line): Promise<void> {
    const { codec } = this.#recording;
    const { request } = codec.decode(Buffer.from(frame, 'base64'));
    if (!request) throw new Error('a daemon says requests only');
    for (const [path, text] of Object.entries(files)) this.#write(this.#moved(path), this.#moved(text));
    const here = this.#here(this.#moved(request));
    const played = await this.#connected(connection, sandbox);
    played.calls.set(here.id, here.call ?? '');
    played.netnsPin = here.createSandbox?.netnsPin ?? played.netnsPin;
    if (here.openStream) played.streams(here.openStream.process?.name === 'STDIN');
    played.socket.write(frameBytes(codec.encode({ request: here } as FrameObject)));
  }

  async #hear({ connection, frame = '' }: Line): Promise<void> {
    const { response, event } = this.#recording.codec.decode(Buffer.from(frame, 'base64'));
    const played = this.#connections.get(connection);
    if (!played) throw new Error(`${connection} was not opened`);
    if (event?.exit) {
      const { containerId } = event.exit;
      this.#type();
      await until(
        `the exit of ${containerId}`,
        () => played.events.some(({ exit }) => exit?.containerId === containerId),
        limitMs,
      );
      this.events.push(`exit ${containerId}`);
    }
    if (!response) return;
    const call = played.calls.get(response.id) ?? '';
    if (call === 'waitExec') this.#type();
    const now = await until(`the answer to ${call}`, () => played.answers.get(response.id), limitMs);
    this.compared.push({ call, before: this.#moved(response), now });
    if (call === 'createSandbox' && played.netnsPin !== '') await this.#stage.loopbackUp(played.netnsPin);
  }

  /** What was typed is not in the recording: those who wait for a line end with it. */
  #type(): void {
    for (const { types, socket } of this.#connections.values()) if (types && socket.writable) socket.write('\n');
  }

  async #connected(connection: string, sandbox: string): Promise<Played> {
    const there = this.#connections.get(connection);
    if (there) return there;
    const socket = join(this.#stage.dir, 'state/sockets', sandbox);
    if (!this.#monitors.has(sandbox)) await this.#launch(sandbox, socket);
    const played = new Played(socket, this.#recording.codec.decode);
    this.#connections.set(connection, played);
    await once(played.socket, 'connect');
    return played;
  }

  async #launch(sandbox: string, socket: string): Promise<void> {
    mkdirSync(dirname(socket), { recursive: true });
    mkdirSync(join(this.#stage.dir, 'state/netns'), { recursive: true });
    const child = spawn(this.#stage.monitor, ['serve', '--id', sandbox, '--socket', socket], { stdio: 'inherit' });
    this.#monitors.set(sandbox, child);
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`the monitor ended with ${code}`);
  }

  /** The same with this host's places in all texts. */
  #moved<T>(value: T): T {
    const { facts } = this.#recording;
    const move = (of: unknown): unknown => {
      if (typeof of === 'string')
        return of.replaceAll(facts.dir, this.#stage.dir).replaceAll(facts.criu, this.#stage.criu);
      if (typeof of !== 'object' || of === null || Buffer.isBuffer(of)) return of;
      if (Array.isArray(of)) return of.map(move);
      return Object.fromEntries(Object.entries(of).map(([key, each]) => [key, move(each)]));
    };
    return move(value) as T;
  }

  /** What is to be on the disk is, cgroups and layers are those of this host. */
  #here(request: Request): Request {
    const { createSandbox, createContainer, execSync, exec, checkpoint } = request;
    const foreign = this.#recording.facts.arch !== process.arch;
    for (const each of [createContainer, execSync, exec]) if (each && foreign) each.seccompBpf = Buffer.alloc(0);
    if (createSandbox?.pauseCgroup)
      createSandbox.pauseCgroup = { unifiedDir: this.#cgroup(`${createSandbox.sandboxId}-pause`), v1Tasks: [] };
    if (checkpoint) {
      const output = checkpoint.staging === '' ? checkpoint.output : dirname(checkpoint.output);
      mkdirSync(output, { recursive: true });
      if (checkpoint.staging !== '') mkdirSync(dirname(checkpoint.staging), { recursive: true });
    }
    if (!createContainer) return request;
    const { overlay, log, containerId } = createContainer;
    if (overlay) {
      overlay.lower = [...this.#stage.lower];
      for (const dir of [overlay.upper, overlay.work]) mkdirSync(dir, { recursive: true });
    }
    if (log) mkdirSync(dirname(log.path), { recursive: true });
    const dir = this.#cgroup(containerId);
    const kill = join(dir, 'cgroup.kill');
    createContainer.cgroup = {
      place: { unifiedDir: dir, v1Tasks: [] },
      killFile: existsSync(kill) ? kill : '',
      freezerDir: '',
      memoryEvents: '',
      procsDir: dir,
      devicesV1Dir: '',
      devicesV2Dir: '',
    };
    return request;
  }

  #cgroup(name: string): string {
    const dir = join(unified, `podwright-replay-${process.pid}-${name}`);
    mkdirSync(dir);
    this.#cgroups.push(dir);
    return dir;
  }

  #write(path: string, text: string): void {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}
