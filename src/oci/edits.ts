// PURE
// Changes to a finished spec that somebody else describes (CDI): environment, devices, mounts, groups, hooks.
import { invalidArgument } from '../lib/failure.ts';
import { devicesAnnotation } from './devices.ts';
import { cleanPath, inMountOrder } from './mounts.ts';
import {
  type DeviceEdit,
  type HookEdit,
  hookKinds,
  type OciDevice,
  type OciDeviceRule,
  type OciHooks,
  type OciMount,
  type OciSpec,
  type SpecEdits,
} from './types.ts';

/** No changes. */
export const noEdits: SpecEdits = { env: [], devices: [], mounts: [], additionalGids: [], hooks: [] };

/** The spec with the changes; what is at the same name or path is replaced. */
export function applyEdits(spec: OciSpec, edits: SpecEdits): OciSpec {
  const { process: program, linux } = spec;
  const { user } = program;
  const devices = edits.devices.map(ownedBy(user));
  return {
    ...spec,
    process: {
      ...program,
      env: withEnv(program.env, edits.env),
      user: { ...user, additionalGids: [...new Set([...user.additionalGids, ...edits.additionalGids])] },
    },
    mounts: withMounts(spec.mounts, edits.mounts),
    ...withHooks(spec.hooks ?? {}, edits.hooks),
    annotations: withDevices(spec.annotations, devices),
    linux: { ...linux, ...withNodes(linux, devices) },
  };
}

/** A spec without hooks says nothing of them: nobody looks for any then. */
function withHooks(hooks: OciHooks, added: readonly HookEdit[]): { readonly hooks?: OciHooks } {
  const all = hookKinds.flatMap((kind) => {
    const list = added.filter((one) => one.kind === kind);
    const merged = [
      ...(hooks[kind] ?? []),
      ...list.map(({ path, args, env, timeout }) => ({ path, args, env, timeout })),
    ];
    return merged.length > 0 ? [[kind, merged] as const] : [];
  });
  return all.length > 0 ? { hooks: Object.fromEntries(all) as OciHooks } : {};
}

function withEnv(env: readonly string[], added: readonly string[]): string[] {
  const nameOf = (entry: string): string => entry.slice(0, entry.indexOf('='));
  const all = new Map([...env, ...added].map((entry) => [nameOf(entry), entry]));
  return [...all.values()];
}

function withMounts(mounts: readonly OciMount[], added: readonly OciMount[]): OciMount[] {
  const cleaned = added.map((mount) => ({ ...mount, destination: cleanPath(mount.destination) }));
  const root = cleaned.find(({ destination }) => destination === '/');
  if (root) throw invalidArgument(`a CDI device or an NRI plugin mounts ${root.source} over the root`);
  const all = new Map([...mounts, ...cleaned].map((mount) => [mount.destination, mount]));
  return inMountOrder([...all.values()]);
}

type User = OciSpec['process']['user'];

/** A node without an owner belongs to the container's user, unless that is root. */
const ownedBy =
  ({ uid, gid }: Pick<User, 'uid' | 'gid'>) =>
  (device: DeviceEdit): DeviceEdit => ({
    ...device,
    uid: device.uid ?? (uid > 0 ? uid : null),
    gid: device.gid ?? (gid > 0 ? gid : null),
  });

/** Nodes that are known: made as they are told, and allowed. */
function withNodes(
  linux: OciSpec['linux'],
  devices: readonly DeviceEdit[],
): Pick<OciSpec['linux'], 'devices' | 'resources'> {
  const nodes: OciDevice[] = [];
  const rules: OciDeviceRule[] = [];
  for (const { node, containerPath, permissions, fileMode, uid, gid } of devices) {
    if (node === null) continue;
    const { type, major, minor } = node;
    nodes.push({ path: containerPath, type, major, minor, fileMode: fileMode ?? 0o666, uid: uid ?? 0, gid: gid ?? 0 });
    if (type !== 'p') rules.push({ allow: true, type: type === 'b' ? 'b' : 'c', major, minor, access: permissions });
  }
  const all = new Map([...linux.devices, ...nodes].map((device) => [device.path, device]));
  return {
    devices: [...all.values()],
    resources: { ...linux.resources, devices: [...linux.resources.devices, ...rules] },
  };
}

/** Nodes of which only the host's path is known: the monitor finds them. */
function withDevices(annotations: OciSpec['annotations'], devices: readonly DeviceEdit[]): OciSpec['annotations'] {
  const unknown = devices.filter(({ node }) => node === null);
  if (unknown.length === 0) return annotations;
  const found = unknown.map(({ hostPath, containerPath, permissions, fileMode, uid, gid }) => ({
    hostPath,
    containerPath,
    permissions,
    ...(fileMode === null ? {} : { fileMode }),
    ...(uid === null ? {} : { uid }),
    ...(gid === null ? {} : { gid }),
  }));
  const asked = JSON.parse(annotations[devicesAnnotation] ?? '[]') as { readonly containerPath: string }[];
  const all = new Map([...asked, ...found].map((device) => [device.containerPath, device]));
  return { ...annotations, [devicesAnnotation]: JSON.stringify([...all.values()]) };
}
