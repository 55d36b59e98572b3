// PURE
// Names of CDI devices: "vendor/class=device" (Container Device Interface, SPEC.md "Naming").
// This room reads CDI specs and says what they change in a container. Must not read files, and must not know the CRI.
import { invalidArgument } from '../lib/failure.ts';

/** A device's whole name, taken apart. */
export interface DeviceName {
  /** As it was given. */
  readonly text: string;
  /** "vendor/class", as in a spec. */
  readonly kind: string;
  readonly device: string;
}

const vendor = /^[A-Za-z](?:[\w.-]*[A-Za-z0-9])?$/;
const deviceClass = /^[A-Za-z](?:[\w-]*[A-Za-z0-9])?$/;
const device = /^[A-Za-z0-9](?:[\w.:-]*[A-Za-z0-9])?$/;

/** Whether a text is a spec's kind. */
export function isKind(text: string): boolean {
  const [first = '', second = '', ...more] = text.split('/');
  return more.length === 0 && vendor.test(first) && deviceClass.test(second);
}

/** Whether a text is a device's name within its kind. */
export const isDevice = (text: string): boolean => device.test(text);

/** Takes a whole name apart; `field` names it in a failure (invalid-argument). */
export function parseDeviceName(field: string, text: string): DeviceName {
  const at = text.indexOf('=');
  const [kind, name] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1)];
  if (at < 0 || !isKind(kind) || !isDevice(name))
    throw invalidArgument(`${field} ${JSON.stringify(text)} is not a CDI device: "vendor/class=device"`);
  return { text, kind, device: name };
}

const annotationPrefix = 'cdi.k8s.io/';

/**
 * The devices that a container asks for, each once: those of its own field, then those of annotations
 * `cdi.k8s.io/*` (names with commas between them), which was the way before there was a field.
 */
export function requestedDevices(
  field: readonly string[],
  annotations: Readonly<Record<string, string>>,
): DeviceName[] {
  const names = new Map<string, DeviceName>();
  const add = (where: string, text: string): void => {
    if (!names.has(text)) names.set(text, parseDeviceName(where, text));
  };
  for (const [at, text] of field.entries()) add(`config.CDI_devices[${at}].name`, text);
  for (const [key, value] of Object.entries(annotations)) {
    if (!key.startsWith(annotationPrefix)) continue;
    for (const text of value.split(',')) add(`config.annotations[${JSON.stringify(key)}]`, text.trim());
  }
  return [...names.values()];
}
