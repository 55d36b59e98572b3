// PURE
// Stop signals: CRI's own numbering and names to Linux names and back.
import { Signal, type Signal__Output } from '../../proto/generated/cri/runtime/v1/Signal.ts';
import { known } from './fields.ts';

/** Linux name of a CRI signal: "SIGTERM", "SIGRTMIN+3"; "" for the runtime's default. */
export function decodeSignal(field: string, signal: Signal__Output): string {
  const name = known(field, Signal, signal);
  if (name === 'SIGNAL_RUNTIME_DEFAULT') return '';
  return name.slice('SIGNAL_'.length).replace('MINPLUS', 'MIN+').replace('MAXMINUS', 'MAX-');
}

/** CRI signal of a Linux name; the runtime's default for a name CRI has no value for. */
export function encodeSignal(name: string): Signal__Output {
  const cri = `SIGNAL_${name.replace('MIN+', 'MINPLUS').replace('MAX-', 'MAXMINUS')}`;
  return Object.hasOwn(Signal, cri) ? Signal[cri as keyof typeof Signal] : 'SIGNAL_RUNTIME_DEFAULT';
}
