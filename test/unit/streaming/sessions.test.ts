// What all sessions of a server may take together.
import test from 'ava';
import type { ForwardClient } from '../../../src/streaming/forward.ts';
import { mostDialed, Sessions } from '../../../src/streaming/sessions.ts';

function setup() {
  const closers: (() => void)[] = [];
  const nothing = (): void => undefined;
  const sessions = new Sessions(
    {
      exec: () => Promise.reject(new Error('not here')),
      attach: () => Promise.reject(new Error('not here')),
      dial: async (_, port) => {
        if (port === 81) throw new Error('nobody listens');
        return {
          sink: { write: () => true, onDrain: nothing, end: nothing, carry: () => null },
          source: { start: nothing, resume: nothing },
          onClose: (then) => void closers.push(then),
          release: nothing,
        };
      },
    },
    { began: nothing, ended: nothing, log: { debug: nothing, info: nothing, warn: nothing }, elapsedMs: () => 0 },
  );
  const failures: string[] = [];
  const client = (port = 80): ForwardClient => ({
    port,
    halfCloses: true,
    inlet: { open: nothing, resume: nothing },
    outlet: { write: () => true, end: nothing },
    onCut: nothing,
    fail: (message) => void failures.push(message),
    close: nothing,
  });
  const session = () => sessions.forward({ kind: 'portforward', sandboxId: 'p', ports: [] }, 'test');
  return { session, client, closers, failures };
}

/** Everything that waits for a turn has had one. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('connections to ports are bounded over all clients; those that fail or end make room', async (t) => {
  const { session, client, closers, failures } = setup();
  const [one, other] = [session(), session()];
  await one.serve(client(81));
  t.regex(failures.pop() ?? '', /nobody listens/);
  for (let n = 0; n < mostDialed; n += 1) void (n % 2 === 0 ? one : other).serve(client());
  await settled();
  t.is(closers.length, 2 * mostDialed, 'each is watched by its session and by the count');
  await other.serve(client());
  t.regex(failures.pop() ?? '', /connections to ports already/);
  for (const close of closers.splice(0, 2)) close();
  void other.serve(client());
  await settled();
  t.deepEqual(failures, []);
});
