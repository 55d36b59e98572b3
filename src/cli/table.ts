// PURE
// Values as text: columns, sizes, ages, short ids.

/** Rows under headings, columns wide enough for their longest cell; no trailing blanks. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd((widths[column] ?? 0) + 2))
        .join('')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** Facts one below the other: "name   value". */
export function facts(pairs: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length)) + 2;
  return pairs.map(([name, value]) => `${name.padEnd(width)}${value}\n`).join('');
}

/** 13 digits of an id, without its algorithm. */
export const shortId = (id: string): string => id.replace(/^sha256:/, '').slice(0, 13);

/** Bytes in binary units: "512 B", "1.5 MiB". */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${units[power]}`;
}

/** How long ago a time of unix nanoseconds was: "12s", "5m", "3h", "2d". */
export function age(createdNanos: string, nowMs: number): string {
  const seconds = Math.max(0, Math.floor(nowMs / 1000 - Number(BigInt(createdNanos) / 1_000_000_000n)));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** The word of an enum of the CRI: "SANDBOX_READY" with the prefix "SANDBOX_" is "ready". */
export const stateWord = (state: string, prefix: string): string => state.replace(prefix, '').toLowerCase();
