// PURE
// From a spec and what plugins want of it to the spec that is carried out. Nothing here knows plugins or protobuf bytes.
import { invalidArgument } from '../lib/failure.ts';
import { isLimitName } from '../lib/limit-names.ts';
import { devicesAnnotation } from '../oci/devices.ts';
import { applyEdits, noEdits } from '../oci/edits.ts';
import { cleanPath } from '../oci/mounts.ts';
import type { DeviceEdit, HookEdit, OciDeviceRule, OciMount, OciRlimit, OciSpec, SpecEdits } from '../oci/types.ts';
import { hookLists } from './collect.ts';
import { type Adjustment, removed, type WireDevice, type WireHooks, type WireSeccomp } from './wire.ts';

/** A plugin's entries, and the names that are to go. */
function parted<T>(list: readonly T[], nameOf: (one: T) => string): { gone: Set<string>; added: T[] } {
  return {
    gone: new Set(list.flatMap((one) => removed(nameOf(one)) ?? [])),
    added: list.filter((one) => removed(nameOf(one)) === null),
  };
}

function withoutNames(record: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>) {
  const { gone, added } = parted(Object.entries(wanted), ([name]) => name);
  const kept = Object.entries(record).filter(([name]) => !gone.has(name));
  return Object.fromEntries([...kept, ...added]);
}

const nameOf = (entry: string): string => entry.split('=', 1)[0] ?? '';

/** Greatest number that the spec's reader and JSON both hold exactly: what limits beyond it become. */
const greatest = BigInt(Number.MAX_SAFE_INTEGER);
const limitNumber = (text: string): number => Number(BigInt(text) > greatest ? greatest : BigInt(text));

function withRlimits(before: readonly OciRlimit[], wanted: Adjustment['rlimits']): OciRlimit[] {
  const { gone, added } = parted(wanted, (one) => one.type);
  const limits = added.map(({ type, soft, hard }) => ({ type, soft: limitNumber(soft), hard: limitNumber(hard) }));
  for (const { type } of limits)
    if (!isLimitName(type)) throw invalidArgument(`rlimit ${type} of an NRI plugin is no name of a limit`);
  const kept = before.filter(({ type }) => !gone.has(type));
  return [...new Map([...kept, ...limits].map((one) => [one.type, one])).values()];
}

/** What a node may be used for when only its permission bits are told: the reference's rule. */
function accessOf({ fileMode, type }: WireDevice): string {
  const mode = fileMode?.value ?? 0;
  const told = fileMode !== null;
  const access = `${!told || (mode & 0o444) !== 0 ? 'r' : ''}${!told || (mode & 0o222) !== 0 ? 'w' : ''}`;
  return `${access === '' ? 'rw' : access}${type === 'b' ? 'm' : ''}`;
}

function deviceEdit(device: WireDevice): DeviceEdit {
  const { path, type } = device;
  if (!path.startsWith('/')) throw invalidArgument(`device ${path} of an NRI plugin has no absolute path`);
  if (!['c', 'b', 'u', 'p'].includes(type))
    throw invalidArgument(`device ${path} of an NRI plugin has the type ${JSON.stringify(type)}`);
  return {
    containerPath: path,
    hostPath: path,
    permissions: accessOf(device),
    node: { type: type as 'c', major: Number(device.major), minor: Number(device.minor) },
    fileMode: device.fileMode === null ? null : device.fileMode.value & 0o7777,
    uid: device.uid?.value ?? null,
    gid: device.gid?.value ?? null,
  };
}

/** Devices that are to go, both the nodes and those that the monitor looks for. */
function withoutDevices(spec: OciSpec, gone: ReadonlySet<string>): OciSpec {
  if (gone.size === 0) return spec;
  const { linux, annotations } = spec;
  const asked = JSON.parse(annotations[devicesAnnotation] ?? '[]') as { readonly containerPath: string }[];
  const left = asked.filter(({ containerPath }) => !gone.has(containerPath));
  const { [devicesAnnotation]: _, ...others } = annotations;
  return {
    ...spec,
    annotations: left.length > 0 ? { ...others, [devicesAnnotation]: JSON.stringify(left) } : others,
    linux: { ...linux, devices: linux.devices.filter(({ path }) => !gone.has(path)) },
  };
}

/** Seconds that a hook has which says nothing of that: one that hangs must not hold a container for ever. */
const hookTimeout = 60;

const hookEdits = (hooks: WireHooks | null): HookEdit[] =>
  hookLists.flatMap((kind) =>
    (hooks?.[kind] ?? []).map(({ path, args, env, timeout }) => ({
      kind,
      path,
      args: args.length > 0 ? args : [path],
      env,
      timeout: timeout === null ? hookTimeout : Number(timeout.value),
    })),
  );

const mountOf = ({ destination, type, source, options }: Adjustment['mounts'][number]): OciMount => ({
  destination,
  type: type === '' ? 'bind' : type,
  source,
  options,
});

const ruleOf = (
  rule: NonNullable<NonNullable<Adjustment['linux']>['resources']>['devices'][number],
): OciDeviceRule => ({
  allow: rule.allow,
  ...(rule.type === 'c' || rule.type === 'b' ? { type: rule.type } : {}),
  ...(rule.major === null ? {} : { major: Number(rule.major.value) }),
  ...(rule.minor === null ? {} : { minor: Number(rule.minor.value) }),
  access: rule.access === '' ? 'rwm' : rule.access,
});

/**
 * The spec as plugins want it; `cdi` is what the CDI devices among their wishes change. Of things with one name those of
 * the plugins count. Limits other than device rules are not the spec's. Throws invalid-argument for what cannot be.
 */
export function adjustSpec(spec: OciSpec, adjust: Adjustment, cdi: SpecEdits): OciSpec {
  const mounts = parted(adjust.mounts, (m) => m.destination);
  const env = parted(adjust.env, (e) => e.key);
  const devices = parted(adjust.linux?.devices ?? [], (d) => d.path);
  const goneMounts = new Set([...mounts.gone].map((path) => cleanPath(path)));
  const kept = withoutDevices(spec, new Set([...devices.gone, ...devices.added.map(({ path }) => path)]));
  const { process: program } = kept;
  const bare: OciSpec = {
    ...kept,
    process: {
      ...program,
      args: adjust.args.length > 0 ? adjust.args : program.args,
      env: program.env.filter((entry) => !env.gone.has(nameOf(entry))),
      rlimits: withRlimits(program.rlimits, adjust.rlimits),
      ...(adjust.linux?.oomScoreAdj ? { oomScoreAdj: Number(adjust.linux.oomScoreAdj.value) } : {}),
    },
    mounts: kept.mounts.filter(({ destination }) => !goneMounts.has(destination)),
    annotations: withoutNames(kept.annotations, adjust.annotations),
  };
  const edited = applyEdits(applyEdits(bare, cdi), {
    ...noEdits,
    env: env.added.map(({ key, value }) => `${key}=${value}`),
    devices: devices.added.map(deviceEdit),
    mounts: mounts.added.map(mountOf),
    hooks: hookEdits(adjust.hooks),
  });
  return withLinux(edited, adjust.linux);
}

function withLinux(spec: OciSpec, linux: Adjustment['linux']): OciSpec {
  if (linux === null) return spec;
  const sysctl = withoutNames(spec.linux.sysctl ?? {}, linux.sysctl);
  const rules = (linux.resources?.devices ?? []).map(ruleOf);
  return {
    ...spec,
    linux: {
      ...spec.linux,
      ...(Object.keys(sysctl).length > 0 ? { sysctl } : {}),
      resources: { ...spec.linux.resources, devices: [...spec.linux.resources.devices, ...rules] },
    },
  };
}

/** A whole number of up to 64 bits as JSON has it: a Number would round it. */
const exact = (text: string): unknown =>
  Number.isSafeInteger(Number(text))
    ? Number(text)
    : (JSON as unknown as { rawJSON(t: string): unknown }).rawJSON(text);

/** A seccomp policy as JSON of runtime-spec `linux.seccomp`. Throws unimplemented for what no filter of ours does. */
export function seccompPolicy(policy: WireSeccomp): string {
  if (policy.listenerPath !== '')
    throw invalidArgument('seccomp_policy.listener_path of an NRI plugin: there is no notification of system calls');
  return JSON.stringify({
    defaultAction: policy.defaultAction,
    ...(policy.defaultErrno === null ? {} : { defaultErrnoRet: policy.defaultErrno.value }),
    ...(policy.architectures.length > 0 ? { architectures: policy.architectures } : {}),
    ...(policy.flags.length > 0 ? { flags: policy.flags } : {}),
    syscalls: policy.syscalls.map(({ names, action, errnoRet, args }) => ({
      names,
      action,
      ...(errnoRet === null ? {} : { errnoRet: errnoRet.value }),
      ...(args.length > 0
        ? {
            args: args.map(({ index, value, valueTwo, op }) => ({
              index,
              value: exact(value),
              valueTwo: exact(valueTwo),
              op,
            })),
          }
        : {}),
    })),
  });
}
