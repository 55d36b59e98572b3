import test from 'ava';
import { admitImages } from '../../../src/container/admit-images.ts';
import { Failure } from '../../../src/lib/failure.ts';

const images = {
  sandbox: { identity: { config: { metadata: { namespace: 'team' } } } },
  config: { image: { image: 'app', userSpecifiedImage: 'app:v1' }, mounts: [] },
  image: { id: 'sha256:a' },
  volumes: [],
} as unknown as Parameters<typeof admitImages>[1];

/** A judge that waits until nobody does any more. */
const judging = (_use: unknown, signal: AbortSignal): Promise<void> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });

test('a caller that leaves is not waited for', async (t) => {
  const caller = new AbortController();
  const admitted = admitImages(judging, images, caller.signal);
  caller.abort(new Error('the caller went away'));
  await t.throwsAsync(admitted, { message: 'the caller went away' });
});

test('all of it is bounded', async (t) => {
  const held = setInterval(() => undefined, 1000); // a signal's timer alone keeps no process alive
  t.teardown(() => clearInterval(held));
  const admitted = admitImages(judging, { ...images, withinMs: 20 }, new AbortController().signal);
  const error = await t.throwsAsync(admitted, { instanceOf: Failure });
  t.is((error as Failure).kind, 'deadline-exceeded');
  t.regex(error!.message, /whether image app is allowed was not known within 20 ms/);
});

test('what the judge says is told as it is', async (t) => {
  const said = new Error('no');
  const error = await t.throwsAsync(
    admitImages(() => Promise.reject(said), images, new AbortController().signal),
    { is: said },
  );
  t.is(error, said);
});
