// Equality of plain values: what JSON can hold. Must not know what they mean.

type Plain = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** Whether two plain values are equal. The order of an object's keys does not count: maps come over the wire in any. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (!isObject(a) || !isObject(b)) return a === b;
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((each, at) => sameValue(each, b[at]))
    );
  }
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && sameValue((a as Plain)[key], (b as Plain)[key]));
}

/** The first field of `a` that is not the same in `b`; null when all are. */
export function firstDifference<T extends object>(a: T, b: T): string | null {
  return (Object.keys(a) as (keyof T & string)[]).find((field) => !sameValue(a[field], b[field])) ?? null;
}
