// PURE
// How large a container's writable layer may become: what the node says, and what the pod's annotations say below that.
import { invalidArgument } from '../lib/failure.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { ContainerConfig } from './container.ts';

/**
 * Annotation of a pod, or of a container, that limits writable layers: a number of bytes, or a quantity such as "2Gi". Of a
 * pod it holds for each of its containers; `<annotation>/<container name>` of a pod for that one alone.
 */
export const diskLimitAnnotation = 'podwright.writable-layer-limit';

const units: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};
/** Less holds no file at all: the layer's own directories take some of it. */
const smallest = 64 * 1024;

/** A quantity in bytes; throws invalid-argument naming the annotation. */
function readQuantity(text: string, where: string): number {
  const [, digits, unit] = /^([0-9]{1,15})([kMGT]|[KMGT]iB?)?$/.exec(text.trim()) ?? [];
  const bytes = Number(digits) * (units[(unit ?? '').replace('iB', 'i')] ?? Number.NaN);
  if (Number.isSafeInteger(bytes) && bytes >= smallest) return bytes;
  throw invalidArgument(
    `annotation ${where} is ${JSON.stringify(text.slice(0, 100))}, not a size of at least ${smallest} bytes such as "512Mi"`,
  );
}

/**
 * The limit of a container in bytes, null for none: the smallest of what the node's configuration says (0: nothing)
 * and of what the annotation nearest to the container says.
 */
export function diskLimit(config: ContainerConfig, sandbox: Sandbox, node: readonly number[]): number | null {
  const pod = sandbox.identity.config.annotations;
  const named = `${diskLimitAnnotation}/${config.metadata.name}`;
  const said = [
    [diskLimitAnnotation, config.annotations[diskLimitAnnotation]],
    [named, pod[named]],
    [diskLimitAnnotation, pod[diskLimitAnnotation]],
  ] as const;
  const nearest = said.find(([, text]) => text !== undefined);
  const asked = nearest?.[1] === undefined ? [] : [readQuantity(nearest[1], nearest[0])];
  const limits = [...node.filter((bytes) => bytes > 0), ...asked];
  return limits.length === 0 ? null : Math.min(...limits);
}
