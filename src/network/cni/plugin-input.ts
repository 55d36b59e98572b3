// PURE
// What a CNI plugin is given: environment and configuration (CNI specification, sections 2 and 3).
import { invalidArgument } from '../../lib/failure.ts';
import { parseCidr, parseIp } from '../ip.ts';
import type { AttachRequest } from '../request.ts';
import { podInterface } from '../request.ts';
import type { NetworkConfig, PluginConfig } from './conflist.ts';

/** The pod that plugins are to connect. */
export type PodOfPlugin = Pick<
  AttachRequest,
  'sandboxId' | 'podName' | 'podNamespace' | 'podUid' | 'portMappings' | 'dns' | 'annotations' | 'cgroupParent'
>;

/** An attachment in the specification's words: what every call for it is told, from ADD to DEL. */
export interface PluginRuntime {
  readonly containerId: string;
  readonly interface: string;
  /** CNI_ARGS. */
  readonly args: readonly (readonly [string, string])[];
  /** Every capability argument there is, by name; a plugin gets those that it declares. */
  readonly capabilityArgs: Readonly<Record<string, unknown>>;
}

/** What plugins are told about a pod; `podCidr` as the kubelet gave it, empty for none. Throws invalid-argument. */
export const runtimeOf = (pod: PodOfPlugin, podCidr: string): PluginRuntime => ({
  containerId: pod.sandboxId,
  interface: podInterface,
  // as the kubelet's runtimes give them; plugins that know none of it ignore it
  args: [
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAMESPACE', pod.podNamespace],
    ['K8S_POD_NAME', pod.podName],
    ['K8S_POD_INFRA_CONTAINER_ID', pod.sandboxId],
    ['K8S_POD_UID', pod.podUid],
  ],
  capabilityArgs: capabilityArgs(pod, podCidr),
});

/** Calls for one attachment. */
export type AttachmentCommand = 'ADD' | 'DEL' | 'CHECK';

/** The variables of one call; `netns` empty once the namespace is gone. */
export const pluginEnvironment = (
  command: AttachmentCommand,
  runtime: PluginRuntime,
  where: { readonly netns: string; readonly binDirs: readonly string[] },
): Record<string, string> => ({
  CNI_COMMAND: command,
  CNI_CONTAINERID: runtime.containerId,
  CNI_NETNS: where.netns,
  CNI_IFNAME: runtime.interface,
  CNI_ARGS: runtime.args.map(([key, value]) => `${key}=${value}`).join(';'),
  CNI_PATH: where.binDirs.join(':'),
});

// burst without a bound, as containerd and CRI-O have it
const unlimitedBurst = 2 ** 32 - 1;

const suffixes: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** Bits per second in a bandwidth annotation: a Kubernetes quantity between 1k and 1P. */
function rate(annotation: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:([eE][+-]?\d+)|(m|[kMGTP]|[KMGTP]i)?)$/.exec(text.trim());
  const [, number = '', exponent = '', suffix = ''] = match ?? [];
  const value = Math.ceil(Number(`${number}${exponent}`) * (suffixes[suffix] ?? Number.NaN));
  if (match === null || !(value >= 1e3 && value <= 1e15)) {
    throw invalidArgument(`annotation ${annotation}: ${JSON.stringify(text)} is not a rate between 1k and 1P`);
  }
  return value;
}

function bandwidth(annotations: Readonly<Record<string, string>>): Record<string, number> | null {
  const limits: Record<string, number> = {};
  for (const way of ['ingress', 'egress'] as const) {
    const key = `kubernetes.io/${way}-bandwidth`;
    const text = annotations[key];
    if (text === undefined) continue;
    limits[`${way}Rate`] = rate(key, text);
    limits[`${way}Burst`] = unlimitedBurst;
  }
  return Object.keys(limits).length === 0 ? null : limits;
}

/** Hardware address that a pod asks for. */
const macAnnotation = 'podwright.io/mac-address';
/** Addresses that a pod asks for, with or without the length of their prefix, joined by commas. */
const ipsAnnotation = 'podwright.io/ip-addresses';

function macOf(annotations: Readonly<Record<string, string>>): string | null {
  const text = annotations[macAnnotation];
  if (text === undefined) return null;
  const mac = text.trim().toLowerCase();
  // an odd first octet is a group, not an interface
  if (!/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/.test(mac))
    throw invalidArgument(
      `annotation ${macAnnotation}: ${JSON.stringify(text)} is no hardware address of an interface`,
    );
  return mac;
}

function ipsOf(annotations: Readonly<Record<string, string>>): readonly string[] | null {
  const text = annotations[ipsAnnotation];
  if (text === undefined) return null;
  return text.split(',').map((each) => {
    const address = each.trim();
    if (parseIp(address) === null && parseCidr(address) === null)
      throw invalidArgument(`annotation ${ipsAnnotation}: ${JSON.stringify(each)} is no address`);
    return address;
  });
}

/** Every capability we can serve, by name, without those that there is nothing to say of for this pod. */
function capabilityArgs(pod: PodOfPlugin, podCidr: string): Record<string, unknown> {
  const published = pod.portMappings.filter((each) => each.hostPort > 0);
  const { servers, searches, options } = pod.dns;
  const anyDns = servers.length + searches.length + options.length > 0;
  const subnets = podCidr === '' ? [] : podCidr.split(',');
  const args = {
    portMappings: published.length === 0 ? null : published.map(({ hostIp, ...port }) => ({ ...port, hostIP: hostIp })),
    dns: anyDns ? pod.dns : null,
    bandwidth: bandwidth(pod.annotations),
    ipRanges: subnets.length === 0 ? null : subnets.map((subnet) => [{ subnet }]),
    ips: ipsOf(pod.annotations),
    mac: macOf(pod.annotations),
    aliases: pod.podName === '' ? null : [pod.podName],
    cgroupPath: pod.cgroupParent === '' ? null : pod.cgroupParent,
    'io.kubernetes.cri.pod-annotations': pod.annotations,
  };
  return Object.fromEntries(Object.entries(args).filter(([, value]) => value !== null));
}

/** `runtimeConfig`: of all there is, what the plugin declares; null when that is nothing. */
export function runtimeConfig(plugin: PluginConfig, runtime: PluginRuntime): Readonly<Record<string, unknown>> | null {
  const wanted = Object.entries(runtime.capabilityArgs).filter(([name]) => plugin.capabilities[name] === true);
  return wanted.length === 0 ? null : Object.fromEntries(wanted);
}

/** The configuration that a plugin reads from its standard input. */
export function pluginInput(
  config: NetworkConfig,
  plugin: PluginConfig,
  add: { readonly runtimeConfig: Readonly<Record<string, unknown>> | null; readonly previous: unknown },
): string {
  return JSON.stringify({
    ...plugin.raw,
    name: config.name,
    cniVersion: config.cniVersion,
    ...(add.runtimeConfig === null ? {} : { runtimeConfig: add.runtimeConfig }),
    ...(add.previous === null || add.previous === undefined ? {} : { prevResult: add.previous }),
  });
}
