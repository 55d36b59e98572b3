import test from 'ava';
import { StatusError } from '../../../src/registry/failures.ts';
import { retryAfterMs, retrying, type RetryPolicy } from '../../../src/registry/retry.ts';
import { TransportError } from '../../../src/registry/transport-error.ts';

const signal = new AbortController().signal;
const status = (code: number, retryAfter = ''): StatusError =>
  new StatusError({ status: code, host: 'h', detail: '', retryAfter });

async function attempts(thrown: Error, patch: Partial<RetryPolicy> = {}): Promise<{ tries: number; pauses: number[] }> {
  const pauses: number[] = [];
  const sleep = async (ms: number): Promise<void> => void pauses.push(ms);
  const policy = { attempts: 3, baseMs: 100, longestMs: 5000, random: () => 0, sleep, nowMs: () => 0, ...patch };
  let tries = 0;
  const failing = async (): Promise<never> => {
    tries += 1;
    throw thrown;
  };
  await retrying(policy, signal, failing).catch(() => undefined);
  return { tries, pauses };
}

test('what passes is tried again, with growing pauses', async (t) => {
  t.deepEqual(await attempts(status(503)), { tries: 3, pauses: [100, 200] });
  t.deepEqual(await attempts(new TransportError({ stage: 'connect', host: 'h', code: 'ECONNRESET' }, 'x')), {
    tries: 3,
    pauses: [100, 200],
  });
  t.is((await attempts(new TransportError({ stage: 'timeout', host: 'h' }, 'x'))).tries, 3);
  t.is((await attempts(new TransportError({ stage: 'dns', host: 'h', code: 'EAI_AGAIN' }, 'x'))).tries, 3);
});

test('what will not pass is not', async (t) => {
  for (const code of [400, 401, 403, 404, 405]) t.is((await attempts(status(code))).tries, 1, String(code));
  for (const code of ['ECONNREFUSED', 'EHOSTUNREACH']) {
    t.is((await attempts(new TransportError({ stage: 'connect', host: 'h', code }, 'x'))).tries, 1);
  }
  t.is((await attempts(new TransportError({ stage: 'tls', host: 'h' }, 'x'))).tries, 1);
  t.is((await attempts(new Error('x'))).tries, 1);
});

test('a pause that is asked for is kept if it is short', async (t) => {
  t.deepEqual(await attempts(status(429, '2')), { tries: 3, pauses: [2000, 2000] });
  t.deepEqual(await attempts(status(429, '60')), { tries: 1, pauses: [] });
  t.is(retryAfterMs('Thu, 01 Jan 1970 00:00:05 GMT', 2000), 3000);
  t.is(retryAfterMs('soon', 0), null);
});

test('a signal ends it', async (t) => {
  const stop = new AbortController();
  const policy = {
    attempts: 9,
    baseMs: 1,
    longestMs: 1,
    random: () => 0,
    nowMs: () => 0,
    sleep: async () => stop.abort(new Error('gone')),
  };
  let tries = 0;
  const work = retrying(policy, stop.signal, async () => {
    tries += 1;
    throw status(500);
  });
  await t.throwsAsync(work, { message: 'gone' });
  t.is(tries, 2);
});
