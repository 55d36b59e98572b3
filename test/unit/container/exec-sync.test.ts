import test from 'ava';
import type { Container } from '../../../src/container/container.ts';
import { execSync } from '../../../src/container/exec-sync.ts';
import { cancelled, unavailable } from '../../../src/lib/failure.ts';
import { containerConfig } from '../../helpers/builders.ts';

const running = {
  identity: { id: 'c', sandboxId: 's', config: containerConfig() },
  status: { startedAt: 1n, exit: null },
} as unknown as Container;

/** Ports over a monitor whose command never ends by itself. */
function ports(cancel: () => Promise<void>) {
  const calls: string[] = [];
  return {
    calls,
    ports: {
      records: { find: () => running },
      files: { readProcess: () => ({ args: [], env: [], capabilities: { bounding: [] } }) },
      seccompPolicy: () => ({ bpf: Buffer.alloc(0), flags: 0 }),
      seccomp: async () => ({ bpf: Buffer.alloc(0), flags: 0 }),
      newExecId: () => 'e',
      monitors: {
        execSync: (_: string, __: object, signal: AbortSignal) => {
          const { promise, reject } = Promise.withResolvers<never>();
          signal.addEventListener('abort', () => reject(signal.reason));
          if (signal.aborted) reject(signal.reason);
          return promise;
        },
        cancelExec: (sandboxId: string, execId: string) => {
          calls.push(`cancel ${execId} in ${sandboxId}`);
          return cancel();
        },
      },
    },
  };
}

test('a command whose caller has gone is killed, and the caller is told why it went', async (t) => {
  for (const cancel of [async () => undefined, () => Promise.reject(unavailable('no monitor'))]) {
    const host = ports(cancel);
    const gone = new AbortController();
    const call = execSync(host.ports, { id: 'c', command: ['sleep', '9'], timeoutMs: 0 }, gone.signal);
    gone.abort(cancelled('ExecSync was cancelled by its caller'));
    await t.throwsAsync(call, { message: 'ExecSync was cancelled by its caller' });
    t.deepEqual(host.calls, ['cancel e in s']);
  }
});
