// PURE
// Pod sandboxes: requests to domain values, domain values to answers.
import {
  type DnsConfig,
  type PortMapping,
  type Sandbox,
  type SandboxConfig,
  type SandboxMetadata,
  type SandboxState,
  type SandboxView,
} from '../../sandbox/sandbox.ts';
import type { DNSConfig__Output } from '../../proto/generated/cri/runtime/v1/DNSConfig.ts';
import type { PodSandbox } from '../../proto/generated/cri/runtime/v1/PodSandbox.ts';
import type { PodSandboxConfig__Output } from '../../proto/generated/cri/runtime/v1/PodSandboxConfig.ts';
import type {
  PodSandboxMetadata,
  PodSandboxMetadata__Output,
} from '../../proto/generated/cri/runtime/v1/PodSandboxMetadata.ts';
import type { PodSandboxNetworkStatus } from '../../proto/generated/cri/runtime/v1/PodSandboxNetworkStatus.ts';
import type { PodSandboxStatus } from '../../proto/generated/cri/runtime/v1/PodSandboxStatus.ts';
import type { PodSandboxStatusResponse } from '../../proto/generated/cri/runtime/v1/PodSandboxStatusResponse.ts';
import type { PortMapping__Output } from '../../proto/generated/cri/runtime/v1/PortMapping.ts';
import type { SandboxStatusAnswer } from '../verbs.ts';
import { encodeContainerStatus } from './container.ts';
import { parseIp } from '../../network/ip.ts';
import { integerIn, items, known, name, oneLine, path, refuse, required, straightPath, textMap } from './fields.ts';
import { decodeResources } from './resources.ts';
import { decodeSandboxSecurity, encodeNamespaces } from './security.ts';

/** PodSandboxConfig of RunPodSandbox. Throws invalid-argument naming the field that is wrong. */
export function decodeSandboxConfig(message: PodSandboxConfig__Output | null): SandboxConfig {
  const from = required('config', message);
  if (from.linux === null && from.windows !== null) refuse('config.windows', 'is set without config.linux');
  return {
    metadata: decodeMetadata('config.metadata', from.metadata),
    hostname: decodeHostname('config.hostname', from.hostname),
    logDirectory: from.log_directory === '' ? '' : straightPath('config.log_directory', from.log_directory),
    dns: decodeDns(from.dns_config),
    portMappings: decodePorts('config.port_mappings', from.port_mappings),
    labels: textMap('config.labels', from.labels),
    annotations: textMap('config.annotations', from.annotations),
    cgroupParent: path('config.linux.cgroup_parent', from.linux?.cgroup_parent ?? ''),
    sysctls: decodeSysctls('config.linux.sysctls', from.linux?.sysctls ?? {}),
    overhead: decodeResources('config.linux.overhead', from.linux?.overhead ?? null),
    resources: decodeResources('config.linux.resources', from.linux?.resources ?? null),
    security: decodeSandboxSecurity('config.linux.security_context', from.linux?.security_context ?? null),
  };
}

function decodeMetadata(field: string, message: PodSandboxMetadata__Output | null): SandboxMetadata {
  const from = required(field, message);
  return {
    name: name(`${field}.name`, from.name),
    namespace: name(`${field}.namespace`, from.namespace),
    uid: name(`${field}.uid`, from.uid),
    attempt: from.attempt,
  };
}

/** sethostname(2) takes up to 64 bytes. It becomes a word of a line of /etc/hosts. */
function decodeHostname(field: string, hostname: string): string {
  if (Buffer.byteLength(hostname) > 64) refuse(field, 'is longer than 64 bytes');
  return word(field, oneLine(field, hostname));
}

const word = (field: string, value: string): string => (/\s/.test(value) ? refuse(field, 'contains a space') : value);

/** Values are written to files of /proc/sys, whose longest line is a page. Which names may be set is the plan's to say. */
function decodeSysctls(field: string, sysctls: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [key, value] of Object.entries(textMap(field, sysctls))) {
    const at = `${field}[${JSON.stringify(key)}]`;
    if (oneLine(at, value) === '') refuse(at, 'is empty');
  }
  return sysctls;
}

/** An empty DNSConfig is as none: the host's resolv.conf is copied. */
function decodeDns(from: DNSConfig__Output | null): DnsConfig | null {
  if (from === null || from.servers.length + from.searches.length + from.options.length === 0) return null;
  const words = (member: 'servers' | 'searches' | 'options'): readonly string[] =>
    items(`config.dns_config.${member}`, from[member], (field, value) => word(field, name(field, value)));
  words('servers').forEach((server, i) => {
    // resolv.conf(5) takes an address, an IPv6 one with its zone
    if (parseIp(server.split('%', 1)[0] ?? '') === null)
      refuse(`config.dns_config.servers[${i}]`, `${JSON.stringify(server)} is not an address`);
  });
  return { servers: from.servers, searches: words('searches'), options: words('options') };
}

const protocols = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const;

function decodePorts(field: string, from: readonly PortMapping__Output[]): PortMapping[] {
  const published = new Map<string, string>();
  return items(field, from, (at, each) => {
    const port = decodePort(at, each);
    if (port.hostPort === 0) return port;
    const key = `${port.protocol} ${port.hostIp} ${port.hostPort}`;
    const earlier = published.get(key);
    if (earlier !== undefined) refuse(`${at}.host_port`, `${port.hostPort} is that of ${earlier} too`);
    published.set(key, at);
    return port;
  });
}

function decodePort(field: string, from: PortMapping__Output): PortMapping {
  if (from.host_ip !== '' && parseIp(oneLine(`${field}.host_ip`, from.host_ip)) === null)
    refuse(`${field}.host_ip`, `${JSON.stringify(from.host_ip)} is not an address`);
  return {
    protocol: known(`${field}.protocol`, protocols, from.protocol),
    containerPort: integerIn(`${field}.container_port`, from.container_port, [from.host_port === 0 ? 0 : 1, 65535]),
    hostPort: integerIn(`${field}.host_port`, from.host_port, [0, 65535]),
    hostIp: from.host_ip,
  };
}

const stateNames = { ready: 'SANDBOX_READY', 'not-ready': 'SANDBOX_NOTREADY' } as const satisfies Record<
  SandboxState,
  string
>;

/** PodSandboxMetadata of an answer. */
export const encodeMetadata = ({ name, namespace, uid, attempt }: SandboxMetadata): PodSandboxMetadata => ({
  name,
  namespace,
  uid,
  attempt,
});

/** PodSandbox of ListPodSandbox. */
export function encodeSandbox({ sandbox, state }: SandboxView): PodSandbox {
  const { identity } = sandbox;
  return {
    id: identity.id,
    metadata: encodeMetadata(identity.config.metadata),
    state: stateNames[state],
    created_at: String(identity.createdAt),
    labels: identity.config.labels,
    annotations: identity.config.annotations,
    runtime_handler: identity.runtimeHandler,
  };
}

/** PodSandboxStatus. */
export function encodeSandboxState({ sandbox, state }: SandboxView): PodSandboxStatus {
  const { config } = sandbox.identity;
  return {
    ...encodeSandbox({ sandbox, state }),
    network: encodeNetwork(sandbox),
    // the kubelet compares the network mode with the pod's spec and recreates the pod on a difference
    linux: { namespaces: { options: encodeNamespaces(config.security.namespaces) } },
  };
}

/** Absent with the host's network: the kubelet then uses the node's addresses. */
function encodeNetwork({ identity, status }: Sandbox): PodSandboxNetworkStatus | null {
  if (identity.config.security.namespaces.network === 'node') return null;
  const [ip = '', ...others] = status.ips;
  return { ip, additional_ips: others.map((other) => ({ ip: other })) };
}

/** PodSandboxStatusResponse. */
export function encodeSandboxStatus(answer: SandboxStatusAnswer, verbose: boolean): PodSandboxStatusResponse {
  return {
    status: encodeSandboxState(answer.view),
    info: verbose ? answer.info : {},
    containers_statuses: answer.containers.map(encodeContainerStatus),
    timestamp: String(answer.timestamp),
  };
}
