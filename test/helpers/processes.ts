// Processes of this machine by their command lines.
import { readdirSync, readFileSync } from 'node:fs';

/** Command lines that have all the words. */
export const processesWith = (...words: readonly string[]): readonly string[] =>
  readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')];
      } catch {
        return []; // it ended meanwhile
      }
    })
    .filter((line) => words.every((word) => line.includes(word)));
