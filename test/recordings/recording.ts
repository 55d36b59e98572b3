// What is recorded of a release's talk between daemon and monitors, as files in a directory named after it:
// `facts.json`, `monitor.json` (its proto/monitor.proto as protobufjs reads it) and `talk.jsonl` (a `Line` each).
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs/light.js';
import type { FrameObject, ReceivedFrame } from '../../src/proto/monitor-codec.ts';

/** One frame, or the end of a connection (`nobody`). */
export interface Line {
  /** Names the connection. */
  readonly connection: string;
  /** Whose monitor is spoken with. */
  readonly sandbox: string;
  readonly from: 'daemon' | 'monitor' | 'nobody';
  /** Without its length, in base64. */
  readonly frame?: string;
  /** Of a CreateContainer: the files that the container is made from, by path. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Where and by what it was recorded. */
export interface RecordedFacts {
  /** Of the release. */
  readonly version: string;
  /** Newest version of the protocol that it speaks. */
  readonly protocol: number;
  /** Name of the architecture, as Node has it. */
  readonly arch: string;
  /** The directory of the daemon: what is below it lies elsewhere when this is played again. */
  readonly dir: string;
  /** Directory of the program in criu's place. */
  readonly criu: string;
}

/** A protobuf schema as JSON: protobufjs's own form. */
export type Schema = Parameters<typeof protobuf.Root.fromJSON>[0];

/** How one release writes and reads frames. */
export interface Codec {
  readonly encode: (frame: FrameObject) => Buffer;
  readonly decode: (bytes: Uint8Array) => ReceivedFrame;
}

/** By a schema, as src/proto/monitor-codec.ts does by today's. */
export function codecOf(schema: Schema): Codec {
  const type = protobuf.Root.fromJSON(schema).lookupType('podwright.monitor.v1.Frame');
  const options = { longs: String, enums: String, defaults: true, oneofs: true } as const;
  return {
    encode: (frame) => Buffer.from(type.encode(type.fromObject(frame)).finish()),
    decode: (bytes) => type.toObject(type.decode(bytes), options) as ReceivedFrame,
  };
}

/** All of one release. */
export interface Recording {
  readonly facts: RecordedFacts;
  readonly schema: Schema;
  readonly codec: Codec;
  readonly lines: readonly Line[];
}

/** Where recordings lie. */
export const recordingsDir = join(import.meta.dirname, 'monitor');

/** The recordings that there are, by release. */
export function recordings(): readonly Recording[] {
  return readdirSync(recordingsDir)
    .toSorted()
    .map((release) => {
      const read = (name: string): string => readFileSync(join(recordingsDir, release, name), 'utf8');
      const schema = JSON.parse(read('monitor.json')) as Schema;
      const lines = read('talk.jsonl').split('\n').slice(0, -1);
      return {
        facts: JSON.parse(read('facts.json')) as RecordedFacts,
        schema,
        codec: codecOf(schema),
        lines: lines.map((line) => JSON.parse(line) as Line),
      };
    });
}
