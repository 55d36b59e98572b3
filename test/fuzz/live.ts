// What is alive while random requests run: ids to ask about, and what must go when there is too much of it.

/** A value that is known only when its request is sent. */
export class Later {
  readonly kind: 'sandbox' | 'container';
  readonly nth: number;
  /** How much of the id is given: prefixes are ids too. */
  readonly digits: number;

  constructor(kind: 'sandbox' | 'container', nth: number, digits: number) {
    this.kind = kind;
    this.nth = nth;
    this.digits = digits;
  }
}

const nobody = 'f'.repeat(64);

/** Ids in the order in which they came. */
export class Live {
  readonly sandboxes: string[] = [];
  readonly containers: string[] = [];

  /** The id that stands for a later value now. */
  id({ kind, nth, digits }: Later): string {
    const ids = kind === 'sandbox' ? this.sandboxes : this.containers;
    return (ids[nth % Math.max(1, ids.length)] ?? nobody).slice(0, digits);
  }

  forget(id: string): void {
    for (const ids of [this.sandboxes, this.containers]) {
      const at = ids.indexOf(id);
      if (at >= 0) ids.splice(at, 1);
    }
  }
}

/** A request with its later values filled in. */
export function resolve(value: unknown, live: Live): unknown {
  if (value instanceof Later) return live.id(value);
  if (Array.isArray(value)) return value.map((each) => resolve(each, live));
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, resolve(each, live)]));
}
