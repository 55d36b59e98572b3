// PURE
// Signal names and numbers of Linux (signal(7)), x86 and arm.
import { invalidArgument } from '../lib/failure.ts';

const names = [
  'HUP', 'INT', 'QUIT', 'ILL', 'TRAP', 'ABRT', 'BUS', 'FPE', 'KILL', 'USR1', 'SEGV', 'USR2', 'PIPE', 'ALRM',
  'TERM', 'STKFLT', 'CHLD', 'CONT', 'STOP', 'TSTP', 'TTIN', 'TTOU', 'URG', 'XCPU', 'XFSZ', 'VTALRM', 'PROF',
  'WINCH', 'IO', 'PWR', 'SYS',
]; // prettier-ignore

const numbers = new Map<string, number>(names.map((name, i) => [name, i + 1]));
numbers.set('IOT', 6).set('POLL', 29).set('CLD', 17);
const rtMin = 34;
const rtMax = 64;

/** The number of "SIGTERM", "TERM", "15", "SIGRTMIN+3" or "RTMAX-2". Throws invalid-argument. */
export function signalNumber(text: string): number {
  const upper = text.trim().toUpperCase();
  if (/^\d+$/.test(upper)) {
    const value = Number(upper);
    if (value >= 1 && value <= rtMax) return value;
  }
  const name = upper.startsWith('SIG') ? upper.slice(3) : upper;
  const known = numbers.get(name);
  if (known !== undefined) return known;
  const real = /^RT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name);
  if (real) {
    const base = real[1] === 'MIN' ? rtMin : rtMax;
    const value = base + (real[2] === '-' ? -1 : 1) * Number(real[3] ?? '0');
    if (value >= rtMin && value <= rtMax) return value;
  }
  throw invalidArgument(`unknown signal ${text}`);
}

/** The name of a signal number: "SIGTERM", "SIGRTMIN+3"; the number itself for the two that glibc keeps to itself. */
export function signalName(number: number): string {
  const name = names[number - 1];
  if (name !== undefined) return `SIG${name}`;
  if (number === rtMin) return 'SIGRTMIN';
  if (number === rtMax) return 'SIGRTMAX';
  return number > rtMin && number < rtMax ? `SIGRTMIN+${number - rtMin}` : String(number);
}

/** Stop signal by precedence: the container's, the image's, SIGTERM . */
export function effectiveStopSignal(container: string, image: string): string {
  if (container !== '') return signalName(signalNumber(container));
  if (image === '') return 'SIGTERM';
  return signalName(signalNumber(image));
}
