// PURE
// Reading JSON strictly: what is not understood is refused.

export type Table = Readonly<Record<string, unknown>>;
/** Throws, saying why. */
export type Refuse = (why: string) => never;

export const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Refuses keys that are not known. */
export function onlyKeys(table: Table, known: readonly string[], refuse: Refuse): void {
  const strange = Object.keys(table).find((key) => !known.includes(key));
  if (strange !== undefined) refuse(`unknown key ${quoted(strange)}`);
}

/** A value for a message. */
export const quoted = (value: unknown): string => printable(JSON.stringify(value) ?? 'nothing', 100);

/** A text that is not empty. */
export const textOf = (value: unknown, what: string, refuse: Refuse): string =>
  typeof value === 'string' && value !== '' ? value : refuse(`${what} is not a text`);

/** Text from outside for a message: short, printable ASCII. */
export const printable = (text: string, longest = 200): string =>
  text
    .slice(0, longest)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim();
