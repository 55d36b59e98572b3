// PURE
// From a sandbox's config and facts of the host to what will be done. Every refusal of a config is here.
import { invalidArgument } from '../lib/failure.ts';
import { dottedName, isForPod, isSysctlName, namespaceOf } from '../oci/sysctls.ts';
import type { NamespaceMode, SandboxConfig, UserNamespace } from './sandbox.ts';

/** What a sandbox will be. */
export interface SandboxPlan {
  readonly network: 'pod' | 'node';
  readonly ipc: 'pod' | 'node';
  readonly pid: 'pod' | 'container' | 'node';
  /** Null: the host's user namespace. */
  readonly userns: UserNamespace | null;
  /** The host name inside; the host's own when the pod uses the host's network. */
  readonly hostname: string;
  readonly sysctls: readonly { readonly name: string; readonly value: string }[];
}

export interface PlanFacts {
  readonly hostname: string;
  /** The node's own, "name=value", for pods that do not set them; those of a host's namespace are left out. */
  readonly defaultSysctls: readonly string[];
}

const longestHostname = 64; // __NEW_UTS_LEN, sethostname(2)

function mode<M extends NamespaceMode>(field: string, value: NamespaceMode, allowed: readonly M[]): M {
  if ((allowed as readonly NamespaceMode[]).includes(value)) return value as M;
  throw invalidArgument(
    `linux.security_context.namespace_options.${field}: mode ${value} is not possible for a sandbox`,
  );
}

function checkMetadata(config: SandboxConfig): void {
  for (const field of ['name', 'namespace', 'uid'] as const) {
    if (config.metadata[field] === '') throw invalidArgument(`config.metadata.${field} is empty`);
  }
}

/** Only namespaced sysctls, and only in a namespace of the pod's own . */
function checkSysctl(name: string, plan: { network: 'pod' | 'node'; ipc: 'pod' | 'node' }): void {
  if (!isSysctlName(name)) throw invalidArgument(`linux.sysctls: ${name} is no sysctl name`);
  const kind = namespaceOf(name);
  if (kind !== null && plan[kind] === 'pod') return;
  if (kind !== null) throw invalidArgument(`linux.sysctls: ${name} is not possible with the host's ${kind} namespace`);
  throw invalidArgument(`linux.sysctls: ${name} is not namespaced`);
}

/**
 * A user namespace's root can show only pid and ipc namespaces of its own, in /proc and /dev/mqueue. (The API server
 * refuses such pods too.)
 */
function checkUserNamespace(modes: Readonly<Record<'pid' | 'ipc', string>>): void {
  for (const field of ['pid', 'ipc'] as const) {
    if (modes[field] !== 'node') continue;
    const path = `linux.security_context.namespace_options.${field}`;
    throw invalidArgument(`${path}: NODE is not possible for a sandbox with a user namespace`);
  }
}

const dotted = (sysctls: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(sysctls).map(([name, value]) => [dottedName(name), value]));

function defaultSysctls(
  facts: PlanFacts,
  pod: { network: 'pod' | 'node'; ipc: 'pod' | 'node'; userns: boolean },
): Record<string, string> {
  const all = facts.defaultSysctls.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
  return dotted(Object.fromEntries(all.filter(([name = '']) => isForPod(name, pod))) as Record<string, string>);
}

/** Plans a sandbox. Throws invalid-argument naming the field. */
export function planSandbox(config: SandboxConfig, facts: PlanFacts): SandboxPlan {
  checkMetadata(config);
  const { namespaces, runAsUser, runAsGroup } = config.security;
  const network = mode('network', namespaces.network, ['pod', 'node']);
  const ipc = mode('ipc', namespaces.ipc, ['pod', 'node']);
  const pid = mode('pid', namespaces.pid, ['pod', 'container', 'node']);
  const userns = namespaces.userns ?? null;
  if (userns !== null) checkUserNamespace({ pid, ipc });
  if (runAsGroup !== null && runAsUser === null) {
    throw invalidArgument('linux.security_context.run_as_group needs run_as_user');
  }
  if (Buffer.byteLength(config.hostname) > longestHostname) {
    throw invalidArgument(`hostname ${config.hostname} is longer than ${longestHostname} bytes`);
  }
  for (const name of Object.keys(config.sysctls)) checkSysctl(name, { network, ipc });
  const hostname = config.hostname === '' || network === 'node' ? facts.hostname : config.hostname;
  const defaults = defaultSysctls(facts, { network, ipc, userns: userns !== null });
  const sysctls = Object.entries({ ...defaults, ...dotted(config.sysctls) }).map(([name, value]) => ({ name, value }));
  return { network, ipc, pid, userns, hostname, sysctls };
}
