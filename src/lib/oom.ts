// PURE
// What an OOM kill is, in the house's words. Must not know who found it.

/** Whose memory limit was reached: the container's, its pod's, one above that; node: none, the machine had no memory left. */
export type OomLimit = 'unknown' | 'own' | 'pod' | 'above' | 'node';

/** OOM kills in a container so far. */
export interface OomKills {
  /** Processes that were killed. */
  readonly kills: number;
  /** Of the last kill. */
  readonly limit: OomLimit;
  /** That limit; 0: not known, or none. */
  readonly limitBytes: number;
}

/** A kill, as it is told to whoever listens. */
export interface OomKill extends OomKills {
  readonly sandboxId: string;
  readonly containerId: string;
  /** Processes killed since the last that was told. */
  readonly newKills: number;
  /** The container's main process is among them, or ends because of it; otherwise the container goes on. */
  readonly main: boolean;
  /** Unix nanoseconds. */
  readonly at: bigint;
}

const limits: readonly OomLimit[] = ['unknown', 'own', 'pod', 'above', 'node'];

/** From the names of proto OomFact.Limit; one that is not known yet is unknown. */
export const oomLimitOf = (name: string): OomLimit => limits.find((limit) => limit === name.toLowerCase()) ?? 'unknown';

/** For people: "its own limit of 1048576 bytes"; "" when nothing is known. */
export function oomCause({ limit, limitBytes }: Pick<OomKills, 'limit' | 'limitBytes'>): string {
  const of = limitBytes > 0 ? ` of ${limitBytes} bytes` : '';
  if (limit === 'own') return `its own limit${of}`;
  if (limit === 'pod') return `the limit of its pod${of}`;
  if (limit === 'above') return `a limit above its pod${of}`;
  return limit === 'node' ? 'the node had no memory left' : '';
}
