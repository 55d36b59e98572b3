// podwright pods: the sandboxes of this node.
import { Failure } from '../lib/failure.ts';
import type { Client } from './client.ts';
import type { Run } from './session.ts';
import { age, shortId, stateWord, table } from './table.ts';

/** Prints the pods, newest first, with their addresses. */
export const listPods: Run = async ({ client, print, nowMs }) => {
  const { items } = await client.call('ListPodSandbox', {});
  const pods = await Promise.all(items.map(async (pod) => ({ ...pod, ips: await addresses(client, pod.id) })));
  pods.sort((a, b) => (BigInt(b.created_at) > BigInt(a.created_at) ? 1 : -1));
  print(pods, () =>
    table(
      ['POD', 'NAMESPACE', 'NAME', 'STATE', 'ADDRESS', 'AGE'],
      pods.map(({ id, metadata, state, ips, created_at: created }) => [
        shortId(id),
        metadata?.namespace ?? '',
        metadata?.name ?? '',
        stateWord(state, 'SANDBOX_'),
        ips.join(' '),
        age(created, nowMs()),
      ]),
    ),
  );
};

/** The pod's addresses; none when it went away meanwhile. */
async function addresses(client: Client, id: string): Promise<readonly string[]> {
  try {
    const { status } = await client.call('PodSandboxStatus', { pod_sandbox_id: id });
    const { ip = '', additional_ips: others = [] } = status?.network ?? {};
    return [ip, ...others.map((other) => other.ip)].filter((one) => one !== '');
  } catch (error) {
    if (error instanceof Failure && error.kind === 'not-found') return [];
    throw error;
  }
}
