// Registries that mean harm with the blobs of layers, over the real addon: bounded, nothing half-made, no secret elsewhere.
import type { ServerResponse } from 'node:http';
import { randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import { Failure, failureChain } from '../../src/lib/failure.ts';
import { loadNative } from '../../src/native/load.ts';
import { type FakeRegistry, refuse, startFakeRegistry } from '../helpers/fake-registry.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../helpers/image-room.ts';
import { makeImage } from '../helpers/image-parts.ts';
import { addon, cannotRun } from '../helpers/real-addon.ts';

const real = cannotRun === null ? test : test.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} (${cannotRun})`);

const image = makeImage([{ one: '1' }, { two: randomBytes(30_000).toString('hex') }]);
const [, layer] = image.layers;
const user = { username: 'anna', password: 'hunter2!' };
const auth = { ...user, auth: '', serverAddress: '', identityToken: '', registryToken: '' };

interface Made extends ImageRoom {
  readonly server: FakeRegistry;
  readonly reference: string;
}

async function setup(t: ExecutionContext): Promise<Made> {
  const server = await startFakeRegistry();
  t.teardown(() => server.close());
  server.push('app', 'v1', image);
  const room = await openImageRoom(t, loadNative(addon), temporaryRoot(t));
  return { ...room, server, reference: `${server.host}/app:v1` };
}

/** The failure of a pull in which the second layer is answered like that; afterwards the same pull succeeds. */
async function refusal(
  t: ExecutionContext,
  made: Made,
  answer: (response: ServerResponse, headers: Readonly<Record<string, unknown>>) => unknown,
): Promise<string> {
  made.server.intercept = ({ method, url, headers }, response) => {
    if (method !== 'GET' || !url.includes(layer?.digest ?? '?')) return false;
    answer(response, headers);
    return true;
  };
  const error = await t.throwsAsync(made.pull(made.reference, { auth }), { instanceOf: Failure });
  t.true(await made.settled(), 'no staging is left');
  t.is(made.images.status(made.reference), null);
  made.server.intercept = () => false;
  t.is(await made.pull(made.reference, { auth }), image.config.digest);
  await made.images.remove(made.reference);
  const text = failureChain(error);
  t.false(text.includes('hunter2!'));
  return `${error.kind}: ${text}`;
}

real(title('redirects to where no registry may lead, and without end'), async (t) => {
  const made = await setup(t);
  const to = (location: string): Promise<string> =>
    refusal(t, made, (response) => response.writeHead(307, { location }).end());
  t.regex(await to('http://169.254.169.254/latest/meta-data/'), /^registry-unavailable: .*no server may lead to/);
  t.regex(await to('http://[fe80::1]/'), /no server may lead to/);
  t.regex(await to(`/v2/app/blobs/${layer?.digest}`), /too many redirects/);
  t.regex(await to('file:///etc/passwd'), /no http url/);
});

real(title('bodies without end, and with a length that lies'), async (t) => {
  const made = await setup(t);
  let sent = 0;
  const endless = await refusal(t, made, (response) => {
    const piece = Buffer.alloc(65_536);
    const more = (): void => {
      while (!response.destroyed && response.write(piece)) sent += piece.length;
    };
    response.on('drain', more);
    more();
  });
  t.regex(endless, /^failed-precondition: .*(size|digest|larger)/);
  t.true(sent < 64 * 2 ** 20, String(sent));
  const lie = await refusal(t, made, (response) => {
    response.writeHead(200, { 'content-length': 10 ** 15 });
    response.write(layer?.bytes);
  });
  t.regex(lie, /^(failed-precondition|registry-unavailable): .*/);
});

real(title('a page instead of a layer'), async (t) => {
  const made = await setup(t);
  const page = await refusal(t, made, (response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<html>log in</html>');
  });
  t.regex(page, /^(failed-precondition|registry-unavailable): /);
});

real(title('a host that a blob was led to asks for credentials in vain'), async (t) => {
  const made = await setup(t);
  const [other, tokens] = [await startFakeRegistry(), await startFakeRegistry()];
  t.teardown(() => Promise.all([other.close(), tokens.close()]));
  for (const guard of [
    { type: 'basic', ...user },
    { type: 'bearer', user, identityToken: null, realm: '' },
  ] as const) {
    made.server.auth = guard;
    made.server.tokens.clear();
    for (const headers of [
      { 'www-authenticate': `Bearer realm="${tokens.url}/token",service="x"` },
      { 'www-authenticate': 'Basic realm="x"' },
    ]) {
      other.intercept = (_, response) => refuse(response, 401, { code: 'UNAUTHORIZED', headers });
      made.server.redirectBlobsTo = other.url;
      const error = await t.throwsAsync(made.pull(made.reference, { auth }), { instanceOf: Failure });
      t.is(error.kind, 'permission-denied', failureChain(error));
    }
    t.true(other.requests.length > 0);
    t.true(other.requests.every(({ headers }) => headers.authorization === undefined));
    t.false(JSON.stringify(other.requests).includes('hunter2!'));
    t.deepEqual(tokens.requests, []);
    made.server.redirectBlobsTo = null;
    t.is(await made.pull(made.reference, { auth }), image.config.digest);
    await made.images.remove(made.reference);
    other.requests.length = 0;
  }
});
