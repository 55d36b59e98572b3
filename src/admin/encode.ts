// PURE
// Domain values of the admin service to its messages.
import type { InspectResponse } from '../proto/generated/admin/podwright/v1/InspectResponse.ts';
import type { TracedCall as TracedCallMessage } from '../proto/generated/admin/podwright/v1/TracedCall.ts';
import type { Inspection, TracedCall } from './verbs.ts';

/** podwright.v1.TracedCall. */
export function encodeCall({ rpc, subject, startedAtMs, stages }: TracedCall): TracedCallMessage {
  return {
    rpc,
    sandboxId: subject,
    startedAtMs: Math.round(startedAtMs),
    stages: stages.map(({ name, startMs, durationMs, failed }) => ({
      name,
      startMs,
      durationMs: durationMs ?? 0,
      running: durationMs === null,
      failed: failed && durationMs !== null,
    })),
  };
}

const environmentKeys = new Set(['env', 'envs']);

/** podwright.v1.InspectResponse: bigints as decimal strings, of environments only the names. */
export function encodeInspection({ kind, value }: Inspection): InspectResponse {
  const json = JSON.stringify(value, (key, inner: unknown) => {
    if (typeof inner === 'bigint') return String(inner);
    if (inner instanceof Map) return Object.fromEntries(inner);
    if (environmentKeys.has(key) && Array.isArray(inner)) return inner.map(nameOnly);
    return inner;
  });
  return { kind, json };
}

// "NAME=value" as OCI has it, or {key, value} as CRI has it.
function nameOnly(variable: unknown): unknown {
  if (typeof variable === 'string') return variable.split('=', 1)[0];
  return (variable as { key?: unknown } | null)?.key ?? '';
}
