// PURE
// A base spec: what the specs of a handler's containers start from, out of a config.json that the node's owner wrote.
// Three things become of a member: it is taken, it is what every request decides by itself, or it is refused.
import {
  anything,
  DocumentError,
  list,
  map,
  maybe,
  name,
  object,
  path,
  type Read,
  text,
  uint32,
  wrong,
} from '../lib/document.ts';
import { isLimitName } from '../lib/limit-names.ts';
import { allCapabilities } from './capabilities.ts';
import { completeHook, hookMembers, variable } from './hook-document.ts';
import { cleanPath, inMountOrder } from './mounts.ts';
import { isSysctlName, namespaceOf } from './sysctls.ts';
import type { OciDevice, OciDeviceRule, OciHook, OciHooks, OciMount, OciRlimit, OciSpec } from './types.ts';

/** What containers take over; what their pod, image, devices or plugins say at the same place counts instead. */
export interface BaseSpec {
  readonly env: readonly string[];
  readonly rlimits: readonly OciRlimit[];
  /** Those of a container that asks for no change; null: those of the configuration. */
  readonly capabilities: readonly string[] | null;
  readonly mounts: readonly OciMount[];
  /** Run before all others of their kind. */
  readonly hooks: OciHooks;
  readonly annotations: Readonly<Record<string, string>>;
  readonly sysctl: Readonly<Record<string, string>>;
  readonly devices: readonly OciDevice[];
  readonly deviceRules: readonly OciDeviceRule[];
}

/** A handler without one. */
export const noBase: BaseSpec = {
  env: [],
  rlimits: [],
  capabilities: null,
  mounts: [],
  hooks: {},
  annotations: {},
  sysctl: {},
  devices: [],
  deviceRules: [],
};

const isNothing = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  value === false ||
  (typeof value === 'object' && Object.keys(value).length === 0);

/** A member that would be lost: only as if it were not there. */
const refused =
  (why: string): Read<null> =>
  (value, at) =>
    isNothing(value) ? null : wrong(at, why);

/** What pods decide, whatever is here. */
const decided = anything;

const notSupported = refused('is not supported in a base spec');
const perPod = refused('is not taken from a base spec: the pod and its image decide it');

const limit: Read<number> = (value, at) => {
  // RLIM_INFINITY is 2^64 - 1, which JSON.parse rounds
  if (typeof value === 'number' && value >= 2 ** 63) return Number.MAX_SAFE_INTEGER;
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : wrong(at, 'is not a limit');
};

const rlimit: Read<OciRlimit> = (value, at) => {
  const one = object({
    type: (type, where) =>
      isLimitName(text(type, where)) ? text(type, where) : wrong(where, 'is not a limit such as "RLIMIT_NOFILE"'),
    soft: limit,
    hard: limit,
  })(value, at);
  return one.soft <= one.hard ? one : wrong(`${at}.soft`, 'is more than hard');
};

const capability: Read<string> = (value, at) =>
  allCapabilities.includes(text(value, at))
    ? text(value, at)
    : wrong(at, `${JSON.stringify(value)} is not a capability`);

/** The sets of a root process, which have one content; and none that a program of the image would keep. */
const capabilities: Read<readonly string[]> = (value, at) => {
  const sets = object({
    bounding: list(capability),
    effective: maybe(list(capability)),
    permitted: maybe(list(capability)),
    inheritable: refused('is not taken from a base spec (CVE-2022-24769)'),
    ambient: notSupported,
  })(value, at);
  for (const key of ['effective', 'permitted'] as const)
    if (sets[key] !== null && sets[key].toSorted().join() !== sets.bounding.toSorted().join())
      wrong(`${at}.${key}`, 'is not what bounding is');
  return sets.bounding;
};

/** Made by the runtime for each container; /run is the image's, as with containerd. */
const ownPlaces = ['/proc', '/dev', '/dev/pts', '/dev/mqueue', '/dev/shm', '/sys', '/sys/fs/cgroup', '/run'];

const mount: Read<OciMount> = (value, at) => {
  const one = object({
    destination: path,
    type: maybe(text),
    source: maybe(text),
    options: list(name),
    uidMappings: notSupported,
    gidMappings: notSupported,
  })(value, at);
  const destination = cleanPath(one.destination);
  if (destination === '/') wrong(`${at}.destination`, 'is the root');
  const bound = one.options.some((option) => option === 'bind' || option === 'rbind');
  const type = one.type || (bound ? 'bind' : '');
  const { options, source } = one;
  if (ownPlaces.includes(destination)) return { destination, type, source: source ?? '', options };
  if (type !== 'bind' && type !== 'tmpfs') wrong(`${at}.type`, `${JSON.stringify(type)} is neither bind nor tmpfs`);
  if (type === 'bind') path(source, `${at}.source`);
  return {
    destination,
    type,
    source: source ?? type,
    options: type === 'bind' && !bound ? ['rbind', ...options] : options,
  };
};

const hook: Read<OciHook> = (value, at) => completeHook(object(hookMembers)(value, at));

const hooks = object({
  prestart: maybe(list(hook)),
  createRuntime: maybe(list(hook)),
  createContainer: maybe(list(hook)),
  startContainer: maybe(list(hook)),
  poststart: maybe(list(hook)),
  poststop: maybe(list(hook)),
});

const device = object({
  path,
  type: (value, at) =>
    /^[bcup]$/.test(text(value, at)) ? (value as OciDevice['type']) : wrong(at, 'is not b, c, u or p'),
  major: maybe(uint32),
  minor: maybe(uint32),
  fileMode: maybe(uint32),
  uid: maybe(uint32),
  gid: maybe(uint32),
});

const rule = object({
  allow: (value, at) => (typeof value === 'boolean' ? value : wrong(at, 'is neither true nor false')),
  type: (value, at) =>
    /^[abc]?$/.test(text(value ?? '', at)) ? ((value ?? '') as '' | 'a' | 'b' | 'c') : wrong(at, 'is not a, b or c'),
  major: maybe(uint32),
  minor: maybe(uint32),
  access: (value, at) =>
    /^[rwm]{0,3}$/.test(text(value ?? '', at)) ? text(value ?? '', at) : wrong(at, 'is not made of r, w and m'),
});

/** Of a kind that its own namespaces have. */
const sysctls: Read<Readonly<Record<string, string>>> = (value, at) => {
  const all = map(text)(value, at);
  const strange = Object.keys(all).find((key) => !isSysctlName(key) || namespaceOf(key) === null);
  return strange === undefined
    ? all
    : wrong(`${at}[${JSON.stringify(strange)}]`, 'is not of the network or ipc namespace');
};

/**
 * The rules that allow: that nothing is allowed is what each list of a container begins with. A later rule that denies
 * would be lost, for what a container is given by others is not this list's to take.
 */
const rules: Read<readonly OciDeviceRule[]> = (value, at) => {
  const all = list(rule)(value, at);
  const given = all.findIndex((one) => !deniesAll(one));
  if (given < 0) return [];
  const denied = all.findIndex(({ allow }, index) => index >= given && !allow);
  if (denied >= 0) wrong(`${at}[${denied}]`, 'denies, which only the first may do, and that everything');
  return all.slice(given).map(deviceRule);
};

const deniesAll = ({ allow, type, major, minor, access }: ReturnType<typeof rule>): boolean =>
  !allow && /^a?$/.test(type) && major === null && minor === null && (access === '' || new Set(access).size === 3);

const resources = object({
  devices: rules,
  ...Object.fromEntries(
    ['cpu', 'memory', 'pids', 'blockIO', 'hugepageLimits', 'network', 'rdma', 'unified'].map((key) => [key, perPod]),
  ),
});

const namespaceKinds = ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup', 'user'];
const namespace = object({
  type: (value, at) =>
    namespaceKinds.includes(text(value, at))
      ? value
      : wrong(at, `${JSON.stringify(value)} is not supported in a base spec`),
  path: perPod,
});

const document = object({
  ociVersion: (value, at) =>
    /^1\.\d+\.\d+/.test(text(value, at)) ? value : wrong(at, `${JSON.stringify(value)} is not 1.x`),
  process: maybe(
    object({
      ...Object.fromEntries(
        ['terminal', 'consoleSize', 'user', 'args', 'commandLine', 'cwd', 'noNewPrivileges'].map((key) => [
          key,
          decided,
        ]),
      ),
      env: list(variable),
      capabilities: maybe(capabilities),
      rlimits: list(rlimit),
      ...Object.fromEntries(['apparmorProfile', 'selinuxLabel', 'oomScoreAdj'].map((key) => [key, perPod])),
      ...Object.fromEntries(['scheduler', 'ioPriority', 'execCPUAffinity'].map((key) => [key, notSupported])),
    }),
  ),
  root: maybe(object({ path: decided, readonly: perPod })),
  hostname: decided,
  domainname: notSupported,
  mounts: list(mount),
  hooks: maybe(hooks),
  annotations: map(text),
  linux: maybe(
    object({
      ...Object.fromEntries(['cgroupsPath', 'maskedPaths', 'readonlyPaths'].map((key) => [key, decided])),
      namespaces: list(namespace),
      devices: list(device),
      resources: maybe(resources),
      sysctl: sysctls,
      ...Object.fromEntries(
        ['seccomp', 'mountLabel', 'rootfsPropagation', 'uidMappings', 'gidMappings'].map((key) => [key, perPod]),
      ),
      ...Object.fromEntries(
        ['intelRdt', 'personality', 'timeOffsets', 'netDevices', 'memoryPolicy'].map((key) => [key, notSupported]),
      ),
    }),
  ),
  ...Object.fromEntries(['solaris', 'windows', 'vm', 'zos', 'freebsd'].map((key) => [key, notSupported])),
});

/** Reads config.json's text; the answer is a text where it is no base spec: why. */
export function parseBaseSpec(content: string): BaseSpec | string {
  try {
    const { process: program, mounts, hooks: lists, annotations, linux } = document(JSON.parse(content), '');
    const given = Object.entries(lists ?? {}).filter(([, list]) => list !== null && list.length > 0);
    return {
      env: program?.env ?? [],
      rlimits: program?.rlimits ?? [],
      capabilities: program?.capabilities ?? null,
      mounts: mounts.filter(({ destination }) => !ownPlaces.includes(destination)),
      hooks: Object.fromEntries(given) as OciHooks,
      annotations,
      sysctl: linux?.sysctl ?? {},
      devices: (linux?.devices ?? []).map((one) => ({
        path: one.path,
        type: one.type,
        major: one.major ?? 0,
        minor: one.minor ?? 0,
        fileMode: (one.fileMode ?? 0o666) & 0o7777,
        uid: one.uid ?? 0,
        gid: one.gid ?? 0,
      })),
      deviceRules: linux?.resources?.devices ?? [],
    };
  } catch (error) {
    if (error instanceof DocumentError) return error.message;
    if (error instanceof SyntaxError) return `it is not JSON: ${error.message}`;
    throw error;
  }
}

const deviceRule = ({ allow, type, major, minor, access }: ReturnType<typeof rule>): OciDeviceRule => ({
  allow,
  ...(type === '' ? {} : { type }),
  ...(major === null ? {} : { major }),
  ...(minor === null ? {} : { minor }),
  access: access === '' ? 'rwm' : access,
});

/** Limits by name in lower case ("nofile"), those of the base spec over others. */
export const baseLimits = (
  { rlimits }: BaseSpec,
  others: Readonly<Record<string, { readonly soft: number; readonly hard: number }>>,
) => ({
  ...others,
  ...Object.fromEntries(
    rlimits.map(({ type, soft, hard }) => [type.replace('RLIMIT_', '').toLowerCase(), { soft, hard }]),
  ),
});

/** The spec with what only the base spec has; its environment, limits and capabilities are in it before. */
export function withBase(spec: OciSpec, base: BaseSpec): OciSpec {
  if (base === noBase) return spec;
  const taken = new Set(spec.mounts.map(({ destination }) => destination));
  const { linux } = spec;
  const sysctl = { ...base.sysctl, ...linux.sysctl };
  return {
    ...spec,
    mounts: inMountOrder([...base.mounts.filter(({ destination }) => !taken.has(destination)), ...spec.mounts]),
    ...(Object.keys(base.hooks).length > 0 ? { hooks: base.hooks } : {}),
    annotations: { ...base.annotations, ...spec.annotations },
    linux: {
      ...linux,
      ...(Object.keys(sysctl).length > 0 ? { sysctl } : {}),
      devices: [...base.devices, ...linux.devices],
      resources: { ...linux.resources, devices: [...linux.resources.devices, ...base.deviceRules] },
    },
  };
}
