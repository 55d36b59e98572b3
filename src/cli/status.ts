// podwright status: whether the node can run pods, and what it runs.
import type { Run } from './session.ts';
import { facts, stateWord } from './table.ts';

/** Prints conditions and counts; the program ends with status 1 when a condition is false. */
export const showStatus: Run = async ({ client, socket, print, failWith }) => {
  const [version, status, pods, containers, images] = await Promise.all([
    client.call('Version', {}),
    client.call('Status', { verbose: true }),
    client.call('ListPodSandbox', {}),
    client.call('ListContainers', {}),
    client.call('ListImages', {}),
  ]);
  const conditions = status.status?.conditions ?? [];
  if (conditions.some((condition) => !condition.status)) failWith(1);
  const podStates = count(pods.items.map(({ state }) => stateWord(state, 'SANDBOX_')));
  const containerStates = count(containers.containers.map(({ state }) => stateWord(state, 'CONTAINER_')));
  const value = { version, conditions, pods: podStates, containers: containerStates, images: images.images.length };
  print({ ...value, info: status.info }, () =>
    facts([
      ['Runtime', `${version.runtime_name} ${version.runtime_version}, CRI ${version.runtime_api_version}`],
      ['Socket', socket],
      ...conditions.map(({ type, status: holds, reason, message }): readonly [string, string] => [
        type,
        holds ? 'yes' : `no: ${reason}${message === '' ? '' : `, ${message}`}`,
      ]),
      ['Pods', sum(podStates)],
      ['Containers', sum(containerStates)],
      ['Images', String(images.images.length)],
      ...limits(status.info['ownProcesses']),
    ]),
  );
};

function count(words: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

function sum(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([word, number]) => `${number} ${word}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}

const words: Readonly<Record<string, string>> = {
  memoryLimitBytes: 'bytes of memory',
  cpuShares: 'CPU shares',
  pidsLimit: 'processes',
};

/** A line for each kind of our own processes that is limited (Status info `ownProcesses`). */
function limits(report: string | undefined): (readonly [string, string])[] {
  const places = JSON.parse(report ?? '{}') as Readonly<Record<string, unknown>>;
  return ['monitors', 'daemon', 'work'].flatMap((name): (readonly [string, string])[] => {
    const place = places[name] as { where: string; limits: Readonly<Record<string, unknown>> | null } | undefined;
    if (!place?.limits) return [];
    const { unified = {}, ...rest } = place.limits;
    const named = Object.entries(words).flatMap(([key, word]) =>
      typeof rest[key] === 'number' ? [`${rest[key]} ${word}`] : [],
    );
    const files = Object.entries(unified as Readonly<Record<string, string>>).map(
      ([file, value]) => `${file} ${value}`,
    );
    if (typeof rest['cpuQuota'] === 'number') named.push(`${rest['cpuQuota'] / 100_000} processors`);
    return [[`Limits of ${name}`, `${[...named, ...files].join(', ')} in ${place.where}`]];
  });
}
