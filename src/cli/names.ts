// What users call pods and containers. Names are no ids: a name that one of them has is that one, all else is taken as an id.
import { invalidArgument } from '../lib/failure.ts';
import type { Client } from './client.ts';

/** The id of a pod, given by id, beginning of an id, or name. */
export async function sandboxOf(client: Client, pod: string): Promise<string> {
  const { items } = await client.call('ListPodSandbox', {});
  const named = items.filter(({ metadata }) => metadata?.name === pod);
  if (named.length > 1) throw invalidArgument(`${named.length} pods are named ${pod}: give an id`);
  return named[0]?.id ?? pod;
}

/** The id of a running container, given by id, beginning of an id, or name. */
export async function containerOf(client: Client, container: string): Promise<string> {
  const { containers } = await client.call('ListContainers', { filter: { state: { state: 'CONTAINER_RUNNING' } } });
  const named = containers.filter(({ metadata }) => metadata?.name === container);
  if (named.length > 1) throw invalidArgument(`${named.length} running containers are named ${container}: give an id`);
  return named[0]?.id ?? container;
}
