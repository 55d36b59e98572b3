// What the node's own object says of podwright: labels to choose nodes by, an annotation for people.
// Must not know why.
import type { ApiServer } from '../apiserver/apiserver.ts';
import { notFound } from '../lib/failure.ts';
import { merge, read } from './objects.ts';

/** The release that is on the node's disk: there as long as anything of podwright is. */
export const releaseLabel = 'podwright.io/release';
/** "podwright" where the kubelet uses it: what RuntimeClasses choose nodes by. */
export const runtimeLabel = 'podwright.io/runtime';
/** What goes on, or went wrong. */
export const statusAnnotation = 'podwright.io/status';
/** The attempt that was begun last: one that failed is not made again until the wish is another one, or this is removed. */
export const attemptAnnotation = 'podwright.io/attempt';

/** All of that; null: not there. */
export interface Said {
  readonly release: string | null;
  readonly runtime: string | null;
  readonly status: string | null;
  readonly attempt: string | null;
}

interface Node {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** A version as the value of a label. */
export const labelValue = (version: string): string => version.replace(/[^A-Za-z0-9._-]/g, '_').slice(0, 63);

const pathOf = (node: string): string => `/api/v1/nodes/${encodeURIComponent(node)}`;

/** Reads what a node's object says; without such a node a not-found Failure. */
export async function said(api: ApiServer, node: string, signal: AbortSignal): Promise<Said> {
  const found = await read<Node>(api, pathOf(node), signal);
  if (found === null) throw notFound(`the API server has no node ${node}`);
  const { labels = {}, annotations = {} } = found.metadata ?? {};
  return {
    release: labels[releaseLabel] ?? null,
    runtime: labels[runtimeLabel] ?? null,
    status: annotations[statusAnnotation] ?? null,
    attempt: annotations[attemptAnnotation] ?? null,
  };
}

/** Whether a node is Ready, and the status that it says; null when there is no such node. */
export async function standing(
  api: ApiServer,
  node: string,
  signal: AbortSignal,
): Promise<{ readonly ready: boolean; readonly status: string | null } | null> {
  const found = await read<Node>(api, pathOf(node), signal);
  if (found === null) return null;
  const ready = found.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
  return { ready, status: found.metadata?.annotations?.[statusAnnotation] ?? null };
}

/** Changes what differs; answers whether anything did. */
export async function say(
  api: ApiServer,
  { node, before, now }: { readonly node: string; readonly before: Said; readonly now: Said },
  signal: AbortSignal,
): Promise<boolean> {
  const pick = (keys: Readonly<Record<string, keyof Said>>): Readonly<Record<string, string | null>> =>
    Object.fromEntries(
      Object.entries(keys).flatMap(([name, key]) => (before[key] === now[key] ? [] : [[name, now[key]]])),
    );
  const labels = pick({ [releaseLabel]: 'release', [runtimeLabel]: 'runtime' });
  const annotations = pick({ [statusAnnotation]: 'status', [attemptAnnotation]: 'attempt' });
  if (Object.keys({ ...labels, ...annotations }).length === 0) return false;
  await merge(api, { path: pathOf(node), body: { metadata: { labels, annotations } } }, signal);
  return true;
}
