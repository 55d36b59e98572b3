/** Rooms by floor, from the ground up. */
export const floors: readonly (readonly string[])[];
/** Checks files given as path below src/ → source; answers one sentence for each broken rule. */
export function checkRooms(files: ReadonlyMap<string, string>): string[];
/** What a file imports: specifier, line, and whether only types are. */
export function importsOf(source: string): [specifier: string, line: number, typesOnly: boolean][];
