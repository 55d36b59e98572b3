// Stops and removes every pod of a runtime through its CRI, each container with the grace that its pod asked for.
// Must not know which runtime it is.
import type { Client } from '../cli/client.ts';
import { failedPrecondition, failureChain } from '../lib/failure.ts';
import { orAborted, pause } from '../lib/waiting.ts';

/** The kubelet's annotation of a container, in seconds. */
const graceAnnotation = 'io.kubernetes.pod.terminationGracePeriod';
const defaultGraceSeconds = 30;
/** How long the runtime itself may take for one call, beyond the grace, in milliseconds. */
const callMs = 60_000;
/** How often what is left is tried again, and the pause between. */
const rounds = 4;
const pauseMs = 1000;

export interface Removal {
  readonly client: Pick<Client, 'call'>;
  /** Longest grace, in milliseconds. */
  readonly graceMs: number;
  readonly signal: AbortSignal;
}

interface Pod {
  readonly id: string;
  readonly name: string;
  readonly onHost: boolean;
  readonly running: readonly { readonly id: string; readonly graceSeconds: number }[];
}

/**
 * Removes all pods, all at once, and those on the host's network behind all others: agents that take the others off
 * their network may be among them. What is left after some rounds is a failed-precondition Failure that names it.
 */
export async function removeAllPods(removal: Removal): Promise<void> {
  let failures: readonly string[] = [];
  for (let round = 1; ; round += 1) {
    const pods = await orAborted(podsOf(removal), removal.signal);
    if (pods.length === 0) return;
    if (round > rounds) throw failedPrecondition(`remove pods: ${leftOver(pods, failures)}`);
    const others = pods.filter(({ onHost }) => !onHost);
    failures = await removeEach(removal, others);
    if (failures.length === 0 || round === rounds)
      failures = [
        ...failures,
        ...(await removeEach(
          removal,
          pods.filter(({ onHost }) => onHost),
        )),
      ];
    if (failures.length > 0) await pause(pauseMs, removal.signal);
  }
}

/** Removes pods at once; answers why some could not be. */
async function removeEach(removal: Removal, pods: readonly Pod[]): Promise<readonly string[]> {
  const results = await orAborted(Promise.all(pods.map((pod) => removePod(removal, pod))), removal.signal);
  return results.filter((result) => result !== null);
}

/** Whether a pod is on the host's network; of one that tells nothing, no. */
async function isOnHost(client: Removal['client'], id: string): Promise<boolean> {
  try {
    const { status } = await client.call('PodSandboxStatus', { pod_sandbox_id: id }, callMs);
    return status?.linux?.namespaces?.options?.network === 'NODE';
  } catch {
    return false; // gone meanwhile, or broken: its removal will tell
  }
}

const leftOver = (pods: readonly Pod[], failures: readonly string[]): string =>
  failures.length > 0 ? failures.slice(0, 5).join('; ') : `${pods.map(({ name }) => name).join(', ')} came back`;

/** All pods with their running containers. */
async function podsOf({ client, graceMs }: Removal): Promise<readonly Pod[]> {
  const [{ items }, { containers }] = await Promise.all([
    client.call('ListPodSandbox', {}),
    client.call('ListContainers', { filter: { state: { state: 'CONTAINER_RUNNING' } } }),
  ]);
  const onHost = new Set<string>();
  await Promise.all(items.map(async ({ id }) => (await isOnHost(client, id)) && onHost.add(id)));
  return items.map(({ id, metadata }) => ({
    id,
    onHost: onHost.has(id),
    name: `${metadata?.namespace}/${metadata?.name}`,
    running: containers
      .filter((one) => one.pod_sandbox_id === id)
      .map((one) => ({ id: one.id, graceSeconds: graceOf(one.annotations, graceMs) })),
  }));
}

function graceOf(annotations: Readonly<Record<string, string>>, graceMs: number): number {
  const wanted = Number(annotations[graceAnnotation] ?? defaultGraceSeconds);
  return Math.min(Number.isFinite(wanted) && wanted >= 0 ? wanted : defaultGraceSeconds, Math.floor(graceMs / 1000));
}

/** Removes one pod; answers why it could not be. */
async function removePod({ client, signal }: Removal, { id, name, running }: Pod): Promise<string | null> {
  try {
    await Promise.all(
      running.map((one) =>
        client.call(
          'StopContainer',
          { container_id: one.id, timeout: one.graceSeconds },
          callMs + 1000 * one.graceSeconds,
        ),
      ),
    );
    signal.throwIfAborted();
    await client.call('StopPodSandbox', { pod_sandbox_id: id }, callMs);
    await client.call('RemovePodSandbox', { pod_sandbox_id: id }, callMs);
    return null;
  } catch (error) {
    return `${name}: ${failureChain(error)}`;
  }
}
