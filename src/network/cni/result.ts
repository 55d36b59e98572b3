// PURE
// What a CNI plugin prints: results (0.3.0 to 1.1.0) and error objects.
import type { Attachment } from '../request.ts';
import { parseCidr, formatIp } from '../ip.ts';
import { isPlain } from './conflist.ts';

/** An error object of a plugin: well-known codes are below 100. */
export interface PluginError {
  readonly code: number;
  readonly msg: string;
  readonly details: string;
}

/** The code with which a plugin asks to be tried again later. */
export const tryAgainLater = 11;

/** The error object in a plugin's output; null when there is none. */
export function parsePluginError(stdout: string): PluginError | null {
  const parsed = parseJson(stdout);
  if (!isPlain(parsed)) return null;
  const { code, msg, details } = parsed;
  if (typeof code !== 'number' && typeof msg !== 'string') return null;
  return { code: Number(code ?? 0), msg: asText(msg), details: asText(details) };
}

const asText = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The result in a plugin's output: a plugin that prints nothing passes its previous result on. */
export function parseResult(stdout: string, previous: unknown): unknown {
  if (stdout.trim() === '') return previous;
  const parsed = parseJson(stdout);
  if (!isPlain(parsed)) throw new Error(`the result is not a JSON object: ${stdout.slice(0, 200)}`);
  return parsed;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

interface Listed {
  readonly interfaces: readonly unknown[];
  readonly ips: readonly unknown[];
}

function lists(result: unknown): Listed {
  const list = (key: string): unknown[] => {
    const value = isPlain(result) ? result[key] : undefined;
    return Array.isArray(value) ? (value as unknown[]) : [];
  };
  return { interfaces: list('interfaces'), ips: list('ips') };
}

/**
 * The pod's addresses in the plugins' final result, in their order: those of its interface, or those of any of its
 * interfaces where that one has none. Which of the host's interfaces is the other end a result does not say.
 */
export function attachmentOf(result: unknown, name: string): Attachment {
  const { interfaces, ips } = lists(result);
  const linkOf = (index: unknown): unknown => (typeof index === 'number' ? interfaces[index] : undefined);
  const inPod = ips.filter((each) => {
    const link = isPlain(each) ? linkOf(each['interface']) : null;
    return link !== null && (!isPlain(link) || asText(link['sandbox']) !== '');
  });
  const own = inPod.filter((each) => {
    const link = isPlain(each) ? linkOf(each['interface']) : null;
    return !isPlain(link) || link['name'] === name;
  });
  const found = (own.length > 0 ? own : inPod).flatMap((each) => {
    const cidr = isPlain(each) ? parseCidr(asText(each['address'])) : null;
    return cidr ? [formatIp(cidr.ip)] : [];
  });
  return { ips: found, interface: name, hostInterface: null };
}
