// podwright ps: the containers of this node.
import type { Run } from './session.ts';
import { age, shortId, stateWord, table } from './table.ts';

/** Prints the running containers, or with --all those that are created or have exited too; newest first. */
export const listContainers: Run = async ({ client, print, nowMs }, _args, { all }) => {
  const [{ containers }, { items }] = await Promise.all([
    client.call('ListContainers', all === true ? {} : { filter: { state: { state: 'CONTAINER_RUNNING' } } }),
    client.call('ListPodSandbox', {}),
  ]);
  const podNames = new Map(items.map(({ id, metadata }) => [id, metadata?.name ?? '']));
  containers.sort((a, b) => (BigInt(b.created_at) > BigInt(a.created_at) ? 1 : -1));
  print(containers, () =>
    table(
      ['CONTAINER', 'POD', 'NAME', 'ATTEMPT', 'IMAGE', 'STATE', 'AGE'],
      containers.map((container) => [
        shortId(container.id),
        podNames.get(container.pod_sandbox_id) ?? shortId(container.pod_sandbox_id),
        container.metadata?.name ?? '',
        String(container.metadata?.attempt ?? 0),
        container.image?.user_specified_image || container.image?.image || shortId(container.image_ref),
        stateWord(container.state, 'CONTAINER_'),
        age(container.created_at, nowMs()),
      ]),
    ),
  );
};
