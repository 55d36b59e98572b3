// PURE. Cgroups that are told by their last name alone, whatever parent a kubelet gave them: those of pods and containers
// whose records are lost.
import { scopeName } from './path.ts';

/** The cgroup of that id which a process is in or below, by its cgroup table (cgroups(7)); null for none. */
export function cgroupNamed(table: string, id: string): string | null {
  for (const line of table.split('\n')) {
    const [, , ...path] = line.split(':');
    const names = path.join(':').split('/');
    const at = names.findIndex((name) => name === id || name === scopeName(id));
    if (at > 0) return names.slice(0, at + 1).join('/');
  }
  return null;
}

/** So long a look at all processes holds, in milliseconds: a start with many leftovers asks for one after another. */
const heldMs = 1000;

/** What a look at processes takes. */
export interface Looking {
  /** The cgroup tables of all processes. */
  readonly tables: () => readonly string[];
  /** Milliseconds of a steady counter. */
  readonly elapsedMs: () => number;
}

/** Answers which cgroups of an id have processes, of any parent. */
export function namedCgroups({ tables, elapsedMs }: Looking): (id: string) => readonly string[] {
  let seen: { readonly untilMs: number; readonly tables: readonly string[] } | null = null;
  return (id) => {
    const nowMs = elapsedMs();
    if (seen === null || nowMs >= seen.untilMs) seen = { untilMs: nowMs + heldMs, tables: tables() };
    return [...new Set(seen.tables.flatMap((table) => cgroupNamed(table, id) ?? []))];
  };
}
