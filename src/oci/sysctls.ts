// PURE
// Kernel parameters: which namespace has them, and which of the node owner's are for a pod.

/** Whose a pod's namespaces are: `pod` for its own, anything else is the node's. */
export interface PodNamespaces {
  readonly network: string;
  readonly ipc: string;
  /** Whether it has a user namespace. */
  readonly userns: boolean;
}

const ipcSysctl = /^(kernel\.(shm\w*|msg\w*|sem)|fs\.mqueue\..+)$/;
const netSysctl = /^net\..+$/;

/** The one spelling of a name: slashes separate as dots do (sysctl(8)). */
export const dottedName = (name: string): string => name.replaceAll('/', '.');

/** Whether it can be the name of a parameter: parts of letters, digits, "_" and "-". */
export const isSysctlName = (name: string): boolean => /^[\w-]+(\.[\w-]+)*$/.test(dottedName(name));

/** The kind of namespace that has a parameter of its own; null for one of the whole node. */
export function namespaceOf(name: string): 'network' | 'ipc' | null {
  const dotted = dottedName(name);
  if (netSysctl.test(dotted)) return 'network';
  return ipcSysctl.test(dotted) ? 'ipc' : null;
}

/**
 * Whether what the node's owner wants of a parameter, without knowing the pod, is for a pod with these namespaces. Groups
 * that may ping must be a user namespace's own, and which those are its setting does not know.
 */
export function isForPod(name: string, pod: PodNamespaces): boolean {
  const kind = namespaceOf(name);
  return kind !== null && pod[kind] === 'pod' && !(pod.userns && dottedName(name) === 'net.ipv4.ping_group_range');
}

/** Of the node owner's parameters those for a pod, without the ones that it asks for itself. */
export function sysctlsForPod(
  ofOwner: Readonly<Record<string, string>>,
  { asked, ...pod }: PodNamespaces & { readonly asked: Readonly<Record<string, string>> },
): Readonly<Record<string, string>> {
  const own = new Set(Object.keys(asked).map(dottedName));
  return Object.fromEntries(
    Object.entries(ofOwner).filter(([name]) => isForPod(name, pod) && !own.has(dottedName(name))),
  );
}
