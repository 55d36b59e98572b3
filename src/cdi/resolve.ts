// PURE
// From names of devices and the files of the spec directories to what is to be done to a container.
import { failedPrecondition, unimplemented } from '../lib/failure.ts';
import { completeHook } from '../oci/hook-document.ts';
import type { DeviceEdit, HookEdit, OciMount, SpecEdits } from '../oci/types.ts';
import type { DeviceName } from './names.ts';
import { type CdiFile, type CdiSpec, type ContainerEdits, parseSpec } from './spec.ts';

interface Ranked {
  readonly spec: CdiSpec;
  readonly priority: number;
}

/**
 * The edits for devices: of each spec that has one of them first its own, then the device's, in the order asked for.
 * A device of a directory with a higher priority hides its namesakes; two of one directory hide each other.
 * Throws failed-precondition for a device that cannot be told, unimplemented for an edit that is not carried out.
 */
export function resolveDevices(names: readonly DeviceName[], files: readonly CdiFile[]): SpecEdits {
  const specs: Ranked[] = [];
  const broken: string[] = [];
  for (const file of files) {
    const spec = parseSpec(file);
    if (typeof spec === 'string') broken.push(`${file.path}: ${spec}`);
    else specs.push({ spec, priority: file.priority });
  }
  const used = new Set<CdiSpec>();
  const edits: SpecEdits[] = [];
  for (const name of names) {
    const spec = specOf(name, specs, broken);
    const of = (which: ContainerEdits): SpecEdits => specEdits(which, `CDI device ${name.text} (${spec.path})`);
    if (!used.has(spec)) edits.push(of(spec.edits));
    used.add(spec);
    edits.push(of(spec.devices.get(name.device) as ContainerEdits));
  }
  return {
    env: edits.flatMap((one) => one.env),
    devices: edits.flatMap((one) => one.devices),
    mounts: edits.flatMap((one) => one.mounts),
    additionalGids: edits.flatMap((one) => one.additionalGids),
    hooks: edits.flatMap((one) => one.hooks),
  };
}

function specOf({ text, kind, device }: DeviceName, specs: readonly Ranked[], broken: readonly string[]): CdiSpec {
  const found = specs.filter(({ spec }) => spec.kind === kind && spec.devices.has(device));
  const highest = Math.max(...found.map(({ priority }) => priority));
  const [one, other] = found.filter(({ priority }) => priority === highest);
  if (other)
    throw failedPrecondition(`CDI device ${text} is in ${one?.spec.path} and in ${other.spec.path}: which is not told`);
  if (one) return one.spec;
  const unread = broken.length === 0 ? '' : `; not read: ${broken.slice(0, 5).join('; ')}`;
  throw failedPrecondition(`CDI device ${text} is in none of the spec directories${unread}`);
}

function specEdits(from: ContainerEdits, whose: string): SpecEdits {
  if (from.intelRdt !== null) throw unimplemented(`${whose} needs intelRdt, which is not supported`);
  if (from.netDevices.length > 0) throw unimplemented(`${whose} needs netDevices, which are not supported`);
  return {
    env: from.env,
    devices: from.deviceNodes.map(deviceEdit),
    mounts: from.mounts.map(mountEdit),
    additionalGids: from.additionalGids,
    hooks: from.hooks.map(hookEdit),
  };
}

/** A node that says all of itself is made as it says; of another one the host's node is looked at. */
function deviceEdit(node: ContainerEdits['deviceNodes'][number]): DeviceEdit {
  const { path, hostPath, type, major, minor, fileMode, permissions, uid, gid } = node;
  const complete = type === 'p' || (type !== '' && major !== null && major !== 0);
  return {
    containerPath: path,
    hostPath: hostPath ?? path,
    permissions: permissions === '' ? 'rwm' : permissions,
    node: complete ? { type: type as 'b', major: major ?? 0, minor: minor ?? 0 } : null,
    fileMode: fileMode === null ? null : fileMode & 0o7777,
    uid,
    gid,
  };
}

const hookEdit = ({ hookName, ...hook }: ContainerEdits['hooks'][number]): HookEdit => ({
  kind: hookName,
  ...completeHook(hook),
});

const mountEdit = ({ hostPath, containerPath, type, options }: ContainerEdits['mounts'][number]): OciMount => ({
  destination: containerPath,
  type: type === null || type === '' ? 'bind' : type,
  source: hostPath,
  options,
});
