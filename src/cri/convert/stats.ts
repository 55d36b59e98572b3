// PURE
// Usage of containers and pods to answers, as protobuf bytes: they are asked for every few seconds and never the same,
// and the codec takes 0.1 ms for each. What comes from a cgroup is encoded where it is read.
// Field numbers are those of runtime/v1/api.proto.
import type { FilesystemUsage as FilesystemMessage } from '../../proto/generated/cri/runtime/v1/FilesystemUsage.ts';
import type { ContainerUsage, FilesystemUsage, InterfaceUsage, NetworkUsage, SandboxUsage } from '../usage.ts';
import { Writer } from './wire.ts';

/** Enough for a container with some labels; more is made when needed. */
const room = 4096;

/** UInt64Value; nothing for null. */
function wrapped(to: Writer, number: number, value: bigint | null): void {
  if (value !== null) to.message(number, () => to.count(1, value));
}

type Write<T> = (to: Writer, from: T) => void;

/** A field that is a message written by `write`; nothing for null. */
const part =
  <T>(write: Write<T>) =>
  (to: Writer, number: number, from: T | null): void => {
    if (from !== null) to.message(number, () => write(to, from));
  };

function filesystem(to: Writer, from: FilesystemUsage): void {
  to.count(1, from.timestamp);
  to.message(2, () => to.text(1, from.mountpoint));
  wrapped(to, 3, from.usedBytes);
  wrapped(to, 4, from.inodesUsed);
}
const filesystemPart = part(filesystem);

function oneInterface(to: Writer, from: InterfaceUsage): void {
  to.text(1, from.name);
  wrapped(to, 2, from.rxBytes);
  wrapped(to, 3, from.rxErrors);
  wrapped(to, 4, from.txBytes);
  wrapped(to, 5, from.txErrors);
}
const oneInterfacePart = part(oneInterface);

function network(to: Writer, from: NetworkUsage): void {
  to.count(1, from.timestamp);
  oneInterfacePart(to, 2, from.defaultInterface);
  for (const other of from.others) oneInterfacePart(to, 3, other);
}
const networkPart = part(network);

/** map<string, string>. */
function map(to: Writer, number: number, from: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(from)) {
    to.message(number, () => {
      to.text(1, key);
      to.text(2, value);
    });
  }
}

/** ContainerAttributes by the identity they show, which never changes. */
const containerAttributes = new WeakMap<object, Buffer>();
/** PodSandboxAttributes likewise. */
const sandboxAttributes = new WeakMap<object, Buffer>();

/** ContainerAttributes and PodSandboxAttributes differ in their metadata alone. */
interface Attributed {
  readonly id: string;
  readonly config: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
}

function attributesOf(kept: WeakMap<object, Buffer>, identity: Attributed, metadata: (to: Writer) => void): Buffer {
  let found = kept.get(identity);
  if (found === undefined) {
    const to = new Writer(room);
    to.text(1, identity.id);
    to.message(2, () => metadata(to));
    map(to, 3, identity.config.labels);
    map(to, 4, identity.config.annotations);
    found = to.take();
    kept.set(identity, found);
  }
  return found;
}

const ofContainer = ({ container: { identity } }: ContainerUsage): Buffer =>
  attributesOf(containerAttributes, identity, (to) => {
    const { name, attempt } = identity.config.metadata;
    to.text(1, name);
    to.count(2, BigInt(attempt));
  });

const ofSandbox = ({ sandbox: { identity } }: SandboxUsage): Buffer =>
  attributesOf(sandboxAttributes, identity, (to) => {
    const { name, uid, namespace, attempt } = identity.config.metadata;
    to.text(1, name);
    to.text(2, uid);
    to.text(3, namespace);
    to.count(4, BigInt(attempt));
  });

function container(to: Writer, from: ContainerUsage): void {
  to.field(1, ofContainer(from));
  to.bytes(from.measured);
  filesystemPart(to, 4, from.writableLayer);
}
const containerPart = part(container);

function sandbox(to: Writer, from: SandboxUsage): void {
  to.field(1, ofSandbox(from));
  to.message(2, () => {
    to.bytes(from.measured);
    networkPart(to, 3, from.network);
    for (const one of from.containers) containerPart(to, 5, one);
  });
}

/** `repeated ContainerStats stats = 1`, one entry for each, made when it is asked for: ListContainerStats is all of them. */
export const encodeContainerUsages = (from: Iterable<ContainerUsage>): Generator<Buffer> => entries(from, container);
/** `repeated PodSandboxStats stats = 1` likewise. */
export const encodeSandboxUsages = (from: Iterable<SandboxUsage>): Generator<Buffer> => entries(from, sandbox);

function* entries<T>(from: Iterable<T>, write: Write<T>): Generator<Buffer> {
  const to = new Writer(room);
  for (const item of from) {
    to.message(1, () => write(to, item));
    yield to.take();
  }
}

/** FilesystemUsage for the codec: ImageFsInfo has few. */
export const encodeFilesystem = (from: FilesystemUsage): FilesystemMessage => ({
  timestamp: String(from.timestamp),
  fs_id: { mountpoint: from.mountpoint },
  used_bytes: { value: String(from.usedBytes) },
  inodes_used: { value: String(from.inodesUsed) },
});
