// Which pod has which port of the host on our own bridges. Must not make rules.
import { failedPrecondition } from '../lib/failure.ts';
import { parseIp } from './ip.ts';
import type { AttachRequest, PortMapping } from './request.ts';

type Publisher = Pick<AttachRequest, 'sandboxId' | 'podName' | 'podNamespace' | 'portMappings'>;

function clash(a: PortMapping, b: PortMapping): boolean {
  if (a.protocol !== b.protocol || a.hostPort !== b.hostPort || a.hostPort === 0) return false;
  const [one, other] = [parseIp(a.hostIp), parseIp(b.hostIp)];
  if (one === null || other === null) return true; // without an address it is for all of both families
  return one.family === other.family && (one.value === 0n || other.value === 0n || one.value === other.value);
}

/**
 * The published ports of all connected pods. Of two rules for one port the first would win and the second pod would
 * never be reached: whoever comes second is refused. Schedulers see to it that this does not happen, and the kubelet
 * tries again when it does.
 */
export class HostPorts {
  readonly #taken = new Map<string, Publisher>();

  /** Takes a pod's ports, all or none. Throws failed-precondition naming the pod that has one of them. */
  claim(pod: Publisher): void {
    for (const other of this.#taken.values()) {
      if (other.sandboxId === pod.sandboxId) continue;
      const wanted = pod.portMappings.find((mapping) => other.portMappings.some((taken) => clash(mapping, taken)));
      if (wanted) {
        const { podNamespace, podName, sandboxId } = other;
        throw failedPrecondition(
          `host port ${wanted.hostPort}/${wanted.protocol} is taken by pod ${podNamespace}/${podName} (sandbox ${sandboxId})`,
        );
      }
    }
    this.remember(pod);
  }

  /** Takes the ports of a pod that has them already: from before this daemon. */
  remember(pod: Publisher): void {
    if (pod.portMappings.some(({ hostPort }) => hostPort > 0)) this.#taken.set(pod.sandboxId, pod);
  }

  release(sandboxId: string): void {
    this.#taken.delete(sandboxId);
  }
}
