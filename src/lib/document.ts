// PURE
// Values of a document that somebody else wrote, checked: whatever is wrong is refused by its place ("devices[0].name").

/** Why a document is not what it should be. */
export class DocumentError extends Error {}

/** Fails naming the place. */
export function wrong(at: string, why: string): never {
  throw new DocumentError(`${at === '' ? 'it' : at} ${why}`);
}

type Json = Readonly<Record<string, unknown>>;

/** Reads one member's value at its place. */
export type Read<T> = (value: unknown, at: string) => T;

/** A text. */
export const text: Read<string> = (value, at) => (typeof value === 'string' ? value : wrong(at, 'is not a string'));

/** A text that is not empty. */
export const name: Read<string> = (value, at) => text(value, at) || wrong(at, 'is empty');

/** An absolute path. */
export const path: Read<string> = (value, at) =>
  name(value, at).startsWith('/') && !name(value, at).includes('\0')
    ? name(value, at)
    : wrong(at, `${JSON.stringify(value)} is not an absolute path`);

/** A whole number from 0 to 2^32 - 1. */
export const uint32: Read<number> = (value, at) =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff
    ? value
    : wrong(at, 'is not a number from 0 to 4294967295');

/** true or false. */
export const yesNo: Read<boolean> = (value, at) =>
  typeof value === 'boolean' ? value : wrong(at, 'is neither true nor false');

/** An object of any names; an absent one is empty. */
export const map =
  <T>(item: Read<T>): Read<Readonly<Record<string, T>>> =>
  (value, at) => {
    if (value === undefined || value === null) return {};
    if (typeof value !== 'object' || Array.isArray(value)) return wrong(at, 'is not an object');
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [key, item(one, `${at}[${JSON.stringify(key)}]`)]),
    );
  };

/** A list; an absent one is empty. */
export const list =
  <T>(item: Read<T>): Read<readonly T[]> =>
  (value, at) => {
    if (value === undefined || value === null) return [];
    return Array.isArray(value) ? value.map((one, i) => item(one, `${at}[${i}]`)) : wrong(at, 'is not a list');
  };

/** A member that may be absent: null then. */
export const maybe =
  <T>(read: Read<T>): Read<T | null> =>
  (value, at) =>
    value === undefined || value === null ? null : read(value, at);

/** Any value, to be looked at when somebody wants it carried out. */
export const anything: Read<unknown> = (value) => value ?? null;

/** An object with these members and no other: one that is not known would change a container in a way we do not see. */
export const object =
  <M extends Readonly<Record<string, Read<unknown>>>>(
    members: M,
  ): Read<{ readonly [K in keyof M]: ReturnType<M[K]> }> =>
  (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return wrong(at, 'is not an object');
    const from = value as Json;
    const where = (key: string): string => (at === '' ? key : `${at}.${key}`);
    const strange = Object.keys(from).find((key) => !Object.hasOwn(members, key));
    if (strange !== undefined) wrong(where(strange), 'is not known');
    return Object.fromEntries(
      Object.entries(members).map(([key, read]) => [key, read(from[key], where(key))]),
    ) as ReturnType<Read<{ readonly [K in keyof M]: ReturnType<M[K]> }>>;
  };
