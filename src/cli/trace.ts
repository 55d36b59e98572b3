// podwright trace: where the time of a pod's start went.
import { notFound } from '../lib/failure.ts';
import type { TracedCall__Output } from '../proto/generated/admin/podwright/v1/TracedCall.ts';
import { sandboxOf } from './names.ts';
import type { Run } from './session.ts';
import { shortId, table } from './table.ts';

/** Prints the stages of the calls that built a pod, given by id, beginning of an id, or name. */
export const showTrace: Run = async ({ client, print }, [pod = '']) => {
  const sandboxId = pod === '' ? '' : await sandboxOf(client, pod);
  const { calls } = await client.call('Trace', { sandboxId });
  if (calls.length === 0) {
    throw notFound(
      pod === '' ? 'no pod was started since the daemon began' : `no calls of pod ${pod} are in the trace`,
    );
  }
  print(calls, () => calls.map(showCall).join('\n'));
};

/** Columns of the bars. */
const width = 40;

function showCall({ rpc, sandboxId, startedAtMs, stages }: TracedCall__Output): string {
  const total = Math.max(0.001, ...stages.map(({ startMs, durationMs }) => startMs + durationMs));
  const time = new Date(Number(startedAtMs)).toISOString().slice(11, 23);
  const rows = stages.map(({ name, startMs, durationMs, running, failed }) => [
    `  ${name}`,
    startMs.toFixed(1),
    running ? 'running' : durationMs.toFixed(1),
    `${bar(startMs / total, durationMs / total)}${failed ? ' failed' : ''}`,
  ]);
  return `${rpc}  pod ${shortId(sandboxId)}  ${time}  ${total.toFixed(1)} ms\n${table(['  STAGE', 'AT MS', 'TOOK MS', ''], rows)}`;
}

/** Where in the call a stage was, as a line of blocks: both from 0 to 1. */
function bar(start: number, share: number): string {
  const from = Math.min(width - 1, Math.floor(start * width));
  const length = Math.max(1, Math.min(width - from, Math.round(share * width)));
  return `${' '.repeat(from)}${'█'.repeat(length)}`;
}
