// PURE
// What a CNI plugin is given: environment and configuration (CNI specification, sections 2 and 3).
import { invalidArgument } from '../../lib/failure.ts';
import type { AttachRequest } from '../request.ts';
import { podInterface } from '../request.ts';
import type { NetworkConfig, PluginConfig } from './conflist.ts';

/** The attachment that a plugin is to work on, in the specification's words. */
export type PodOfPlugin = Pick<
  AttachRequest,
  'sandboxId' | 'podName' | 'podNamespace' | 'podUid' | 'portMappings' | 'dns' | 'annotations' | 'cgroupParent'
>;

/** CNI_ARGS as the kubelet's runtimes give them; plugins that know none of it ignore it. */
const cniArgs = (pod: PodOfPlugin): string =>
  [
    'IgnoreUnknown=1',
    `K8S_POD_NAMESPACE=${pod.podNamespace}`,
    `K8S_POD_NAME=${pod.podName}`,
    `K8S_POD_INFRA_CONTAINER_ID=${pod.sandboxId}`,
    `K8S_POD_UID=${pod.podUid}`,
  ].join(';');

/** The variables of one call; `netns` empty once the namespace is gone. */
export const pluginEnvironment = (
  command: 'ADD' | 'DEL',
  pod: PodOfPlugin,
  where: { readonly netns: string; readonly binDirs: readonly string[] },
): Record<string, string> => ({
  CNI_COMMAND: command,
  CNI_CONTAINERID: pod.sandboxId,
  CNI_NETNS: where.netns,
  CNI_IFNAME: podInterface,
  CNI_ARGS: cniArgs(pod),
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

/** Every capability we can serve, by name; null where there is nothing to say about this pod. */
function capabilityArgs(pod: PodOfPlugin, podCidr: string): Record<string, unknown> {
  const published = pod.portMappings.filter((each) => each.hostPort > 0);
  const { servers, searches, options } = pod.dns;
  const anyDns = servers.length + searches.length + options.length > 0;
  const subnets = podCidr === '' ? [] : podCidr.split(',');
  return {
    portMappings: published.length === 0 ? null : published.map(({ hostIp, ...port }) => ({ ...port, hostIP: hostIp })),
    dns: anyDns ? pod.dns : null,
    bandwidth: bandwidth(pod.annotations),
    ipRanges: subnets.length === 0 ? null : subnets.map((subnet) => [{ subnet }]),
    cgroupPath: pod.cgroupParent === '' ? null : pod.cgroupParent,
    'io.kubernetes.cri.pod-annotations': pod.annotations,
  };
}

/** `runtimeConfig`: of what we can serve, what the plugin declares; null when that is nothing. */
export function runtimeConfig(
  plugin: PluginConfig,
  pod: PodOfPlugin,
  podCidr: string,
): Readonly<Record<string, unknown>> | null {
  const wanted = Object.entries(capabilityArgs(pod, podCidr)).filter(
    ([name, value]) => plugin.capabilities[name] === true && value !== null,
  );
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
