// Taking a blob over from another repository, where the registry would rather have it sent.
import test, { type ExecutionContext } from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import type { Digest } from '../../../src/lib/id.ts';
import type { AuthSession } from '../../../src/registry/auth.ts';
import type { HttpResponse } from '../../../src/registry/client.ts';
import { type Endpoint, systemTls } from '../../../src/registry/endpoint.ts';
import type { Ask } from '../../../src/registry/exchange.ts';
import { EndpointList } from '../../../src/registry/mirrors.ts';
import { openPushRepository, type PushRepository } from '../../../src/registry/push-repository.ts';
import { defaultRetry } from '../../../src/registry/registry.ts';
import { TransportError } from '../../../src/registry/transport-error.ts';
import type { Upload, UploadTarget } from '../../../src/registry/uploads.ts';

const digest = `sha256:${'a'.repeat(64)}` as string as Digest;
const other = `sha256:${'b'.repeat(64)}` as string as Digest;
const { signal } = new AbortController();

interface Made {
  readonly repository: PushRepository;
  /** POSTs, without the host. */
  readonly asked: string[];
  /** Where bytes went. */
  readonly sentTo: string[];
  readonly blob: (digest: Digest) => Upload;
}

/** A registry that answers a POST with the next of these Locations, or fails with the next error. */
function setup(answers: (string | undefined | Error)[]): Made {
  const endpoint: Endpoint = {
    base: 'https://r.io/v2',
    host: 'r.io',
    repository: 'a/b',
    isOrigin: true,
    canResolve: true,
    canPull: true,
    canPush: true,
    ...systemTls,
    headers: [],
    sharesCredentials: false,
    namespace: null,
    proxy: null,
    connectMs: 1000,
    insteadOf: null,
  };
  const [asked, sentTo]: [string[], string[]] = [[], []];
  const exchange = async (_: Endpoint, ask: Ask): Promise<HttpResponse> => {
    asked.push(ask.url.slice(endpoint.base.length));
    const location = answers.shift();
    if (location instanceof Error) throw location;
    const headers = location === undefined ? {} : { location };
    return { status: 202, headers, body: Buffer.alloc(0), strayed: false, peer: '192.0.2.1' };
  };
  const send = async ({ url }: UploadTarget) => {
    sentTo.push(url);
    const none = { location: null, range: null, retryAfter: null, body: Buffer.alloc(0) };
    return { status: 201, leads: 'network' as const, ...none };
  };
  const repository = openPushRepository({
    session: { header: () => null } as unknown as AuthSession,
    exchange,
    retry: defaultRetry,
    proxyFor: () => null,
    label: 'r.io/a/b:v1',
    endpoints: new EndpointList([endpoint]),
  });
  return { repository, asked, sentTo, blob: (of) => ({ digest: of, size: 5, send }) };
}

async function mounted(t: ExecutionContext, { repository }: Made, from: string): Promise<void> {
  t.false(await repository.mount(digest, from, signal));
}

test('an upload that begins in place of a mount is the one that the blob goes to', async (t) => {
  const made = setup(['/place/1', '/place/2', '/place/3', '/place/4']);
  await mounted(t, made, 'x');
  await mounted(t, made, 'y');
  await made.repository.upload(made.blob(digest), signal);
  t.is(made.asked.length, 2, 'no upload is begun for it');
  await made.repository.upload(made.blob(other), signal);
  await made.repository.upload(made.blob(digest), signal);
  t.deepEqual(
    made.sentTo,
    [`/place/2?digest=${digest}`, `/place/3?digest=${other}`, `/place/4?digest=${digest}`].map(
      (path) => `https://r.io${path.replace('sha256:', 'sha256%3A')}`,
    ),
    'each place is for one upload, of one blob',
  );
});

test('a mount that is answered with nonsense is none', async (t) => {
  const made = setup([undefined, 'ftp://r.io/x', '/place/3']);
  await mounted(t, made, 'x');
  await mounted(t, made, 'y');
  await made.repository.upload(made.blob(digest), signal);
  t.is(made.sentTo.length, 1);
});

test('a mount for which no connection is had ends the push', async (t) => {
  const made = setup([new TransportError({ stage: 'dns', host: 'r.io' }, 'not found')]);
  await t.throwsAsync(made.repository.mount(digest, 'x', signal), {
    instanceOf: Failure,
    message: /cannot be resolved/,
  });
});
