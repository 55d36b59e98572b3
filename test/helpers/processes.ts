// Processes of this machine by what /proc says of them.
import { readdirSync, readFileSync } from 'node:fs';

/** A file of a process (proc_pid(5)); "" of one that has ended. Throws what is no end. */
export function procFile(pid: number | string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return '';
  }
}

/** Every process that is there. */
const pids = (): string[] => readdirSync('/proc').filter((name) => /^\d+$/.test(name));

/** Command lines that have all the words. */
export const processesWith = (...words: readonly string[]): readonly string[] =>
  pids()
    .map((pid) => procFile(pid, 'cmdline').replaceAll('\0', ' '))
    .filter((line) => line !== '' && words.every((word) => line.includes(word)));

/** A process by its whole command line, words ended by NUL; null when there is none. */
export function processOf(argv: string): number | null {
  const found = pids().find((pid) => procFile(pid, 'cmdline') === argv);
  return found === undefined ? null : Number(found);
}
