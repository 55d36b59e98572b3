// Registries that break off, lie, or mean harm while they are pushed to, over the real addon: what can be finished is, no
// secret and no request goes where it must not, nothing is left.
import { readdirSync, readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { PushedImage, PushRequest } from '../../src/image/push.ts';
import { Failure, failureChain } from '../../src/lib/failure.ts';
import { loadNative } from '../../src/native/load.ts';
import { startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage } from '../helpers/image-parts.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../helpers/image-room.ts';
import { type Interrupt, type PushServer, startPushServer } from '../helpers/push-server.ts';
import { addon, cannotRun, unless } from '../helpers/real-addon.ts';
import { until } from '../helpers/until.ts';

const real = unless(cannotRun);

// more than two parts of 4 MiB
const image = makeImage([{ big: randomBytes(9_000_000).toString('base64') }]);
const large = image.layers[0] as (typeof image.layers)[0];
const password = 'hunter2!';

interface Made extends ImageRoom {
  readonly server: PushServer;
  readonly push: (signal?: AbortSignal, onProgress?: PushRequest['onProgress']) => Promise<PushedImage>;
  /** The failure of a push, as text. */
  readonly fails: () => Promise<string>;
}

async function setup(t: ExecutionContext): Promise<Made> {
  const [source, server] = [await startFakeRegistry(), await startPushServer()];
  t.teardown(() => Promise.all([source.close(), server.close()]));
  source.push('team/app', 'v1', image);
  const room = await openImageRoom(t, loadNative(addon), temporaryRoot(t));
  room.settings.keepBlobs = true;
  const reference = `${source.host}/team/app:v1`;
  await room.pull(reference);
  server.wants = `anna:${password}`;
  const dir = join(room.root, 'certs.d', server.host);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'hosts.toml'), `server = "http://${server.host}"\n[header]\nX-Team = "fixed"\n`);
  const auth = { username: 'anna', password, auth: '', serverAddress: '', identityToken: '', registryToken: '' };
  const push: Made['push'] = (signal = new AbortController().signal, onProgress = () => undefined) =>
    room.images.push(
      {
        reference,
        target: `${server.host}/a/b:v2`,
        compression: 'gzip',
        auth,
        authFile: null,
        skipVerify: false,
        onProgress,
      },
      signal,
    );
  const fails = async (): Promise<string> => {
    const error = await t.throwsAsync(push(), { instanceOf: Failure });
    const text = failureChain(error);
    t.false(text.includes(password), text);
    t.false(server.manifests.has('/v2/a/b/manifests/v2'));
    return `${error.kind}: ${text}`;
  };
  return { ...room, server, push, fails };
}

const isLarge = (method: string, request: IncomingMessage): boolean =>
  request.method === method &&
  (request.url ?? '').includes('/uploads/') &&
  Number(request.headers['content-length']) > 1e6;

/** Lets the first requests of a kind end in the middle of their bodies. */
function cutting(method: string, times: number): Interrupt {
  let left = times;
  return (request) => {
    if (!isLarge(method, request) || left === 0) return false;
    left -= 1;
    request.once('data', () => request.socket.destroy());
    return true;
  };
}

/** It is there, whole and by the image's own manifest. */
function isThere(t: ExecutionContext, { server }: Made, pushed: PushedImage): void {
  t.true(pushed.sameManifest);
  t.true(server.blobs.get(large.digest)?.equals(large.bytes));
  t.true(server.manifests.get('/v2/a/b/manifests/v2')?.equals(image.manifest.bytes));
}

const ranges = ({ server }: Made): unknown[] =>
  server.requests.filter(({ method }) => method === 'PATCH').map(({ headers }) => headers['content-range']);

real('a connection that breaks off: what is left goes in parts', async (t) => {
  const made = await setup(t);
  made.server.interrupt = cutting('PUT', 1);
  isThere(t, made, await made.push());
  const mib4 = 4 * 2 ** 20;
  const parts = [`0-${mib4 - 1}`, `${mib4}-${2 * mib4 - 1}`, `${2 * mib4}-${large.bytes.length - 1}`];
  t.deepEqual(ranges(made), parts);
});

real('a part that breaks off is sent again, the others are not', async (t) => {
  const made = await setup(t);
  const [whole, part] = [cutting('PUT', 1), cutting('PATCH', 2)];
  made.server.interrupt = (request, response) => whole(request, response) || part(request, response);
  isThere(t, made, await made.push());
  t.is(ranges(made).length, 5, 'two that broke off, three that arrived');
});

/** Answers with a status as soon as the headers of a request are there. */
function refusing(status: number, when: (request: IncomingMessage) => boolean): Interrupt {
  return (request, response) => {
    if (!when(request)) return false;
    request.resume();
    request.on('end', () => response.writeHead(status).end());
    return true;
  };
}

real('an upload that is empty is no upload with a byte', async (t) => {
  const made = await setup(t);
  let parts = 0;
  const [whole, first] = [
    cutting('PUT', 1),
    refusing(503, (request) => request.method === 'PATCH' && (parts += 1) === 1),
  ];
  made.server.interrupt = (request, response) => whole(request, response) || first(request, response);
  isThere(t, made, await made.push());
  t.is(ranges(made).length, 4, 'one that was refused, three that arrived');
});

real('parts that are lost each time are no progress: the push ends', async (t) => {
  const made = await setup(t);
  for (const [status, message, most] of [
    [404, /^not-found: /, 4],
    [503, /^registry-unavailable: /, 10],
  ] as const) {
    let parts = 0;
    const whole = cutting('PUT', 1);
    // the last word, if the push does not have it
    const lost = refusing(status, ({ method }) => method === 'PATCH' && (parts += 1) % 2 === 0 && parts <= 20);
    const endless = refusing(400, ({ method }) => method === 'PATCH' && parts > 20);
    const gone = refusing(404, ({ method, url }) => method === 'GET' && url?.includes('/uploads/') === true);
    const all = [whole, lost, endless, gone];
    made.server.interrupt = (request, response) => all.some((one) => one(request, response));
    t.regex(await made.fails(), message);
    t.is(parts, most, String(status));
  }
});

real('a server that takes no large bodies, and one that wants large parts', async (t) => {
  const made = await setup(t);
  made.server.interrupt = (request, response) => {
    if (request.method === 'POST' && made.server.wants !== null && request.headers.authorization) {
      response.setHeader('oci-chunk-min-length', String(6 * 2 ** 20));
      return false;
    }
    if (!isLarge('PUT', request)) return false;
    response.writeHead(413, { connection: 'close' }).end();
    return true;
  };
  isThere(t, made, await made.push());
  t.deepEqual(ranges(made), [`0-${6 * 2 ** 20 - 1}`, `${6 * 2 ** 20}-${large.bytes.length - 1}`]);
});

real('an upload at another host: the bytes go there, no credential, no header of ours', async (t) => {
  const made = await setup(t);
  const other = await startPushServer();
  t.teardown(() => other.close());
  made.server.uploadsAt = `http://${other.host}`;
  t.true((await made.push()).sameManifest);
  t.true(other.blobs.get(large.digest)?.equals(large.bytes));
  t.true(other.requests.length > 0);
  for (const { headers } of other.requests)
    t.deepEqual([headers.authorization, headers['x-team']], [undefined, undefined]);
  const asked = made.server.requests.filter(({ headers }) => headers.authorization !== undefined);
  t.true(asked.every(({ headers }) => headers['x-team'] === 'fixed'));
  // one that wants to know who it is hears nothing, and not the one it leads back to either
  other.blobs.clear();
  made.server.blobs.clear();
  made.server.manifests.clear();
  other.requests.length = 0;
  other.wants = `anna:${password}`;
  t.regex(await made.fails(), /^permission-denied: .*not authorized/);
  other.interrupt = (request, response) => {
    request.resume();
    response.writeHead(307, { location: `http://${made.server.host}${request.url}` }).end();
    return true;
  };
  t.regex(await made.fails(), /^permission-denied: .*not authorized/);
  t.true(other.requests.every(({ headers }) => headers.authorization === undefined));
});

real('places that no registry may lead to', async (t) => {
  const made = await setup(t);
  for (const [at, message] of [
    ['http://169.254.169.254', /no server may lead to/],
    ['http://[fe80::1]', /no server may lead to/],
    ['ftp://example.com', /is not a web address/],
    ['http://u:p@example.com', /has credentials in it/],
  ] as const) {
    made.server.uploadsAt = at;
    t.regex(await made.fails(), message, at);
  }
  made.server.uploadsAt = '';
  made.server.interrupt = (request, response) => {
    if (request.method !== 'PUT' || !request.url?.includes('/uploads/')) return false;
    request.resume();
    response.writeHead(307, { location: request.url }).end();
    return true;
  };
  t.regex(await made.fails(), /too many redirects/);
});

real('answers that lie or refuse', async (t) => {
  const made = await setup(t);
  const cut = cutting('PUT', 1);
  made.server.interrupt = (request, response) => {
    if (cut(request, response)) return true;
    if (request.method !== 'PATCH') return false;
    request.resume();
    request.on('end', () => response.writeHead(202, { location: request.url, range: '0-999999999' }).end());
    return true;
  };
  t.regex(await made.fails(), /1000000000 bytes have arrived, it says/);
  made.server.interrupt = (request, response) => {
    if (request.method !== 'PUT' || !request.url?.includes('/uploads/')) return false;
    request.resume();
    request.on('end', () =>
      response.writeHead(400).end(`{"errors":[{"code":"DIGEST_INVALID","message":"${password}"}]}`),
    );
    return true;
  };
  t.regex(await made.fails(), /^failed-precondition: .*DIGEST_INVALID/);
  made.server.interrupt = (request, response) => {
    if (request.method !== 'PUT' || !request.url?.includes('/manifests/')) return false;
    request.resume();
    response.writeHead(201, { 'docker-content-digest': `sha256:${'0'.repeat(64)}` }).end();
    return true;
  };
  t.regex(await made.fails(), /^failed-precondition: .*under another digest/);
});

real('a kept blob that is damaged never becomes a whole blob there', async (t) => {
  const made = await setup(t);
  const file = made.storage.content.path(large.digest as never);
  const bytes = readFileSync(file);
  bytes[5_000_000] = (bytes[5_000_000] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  t.regex(
    await made.fails(),
    /^failed-precondition: kept blob sha256:[0-9a-f]{64} is damaged: run podwright images repair/,
  );
  const failure = await t.throwsAsync(made.push(), { instanceOf: Failure });
  t.is(failure?.details['host'], undefined, 'no registry is to blame, and no other one is asked');
  t.false(made.server.blobs.has(large.digest));
  const sent = made.server.requests.filter(({ method }) => method === 'PUT');
  t.true(sent.every(({ bytes: count }) => count < large.bytes.length));
});

real('a push that is given up while a layer is sent ends at once and leaves nothing', async (t) => {
  const made = await setup(t);
  const held = Promise.withResolvers<void>();
  made.server.interrupt = (request) => {
    if (!isLarge('PUT', request)) return false;
    request.resume();
    held.resolve();
    return true; // and no answer, ever
  };
  const stop = new AbortController();
  const pushing = made.push(stop.signal);
  await Promise.race([held.promise, pushing]);
  await leavesNothing(t, made, { stop, pushing });
});

real('a push that is given up while a layer is made ends at once and leaves nothing', async (t) => {
  const made = await setup(t);
  made.settings.keepBlobs = false;
  await made.storage.content.remove(large.digest as never);
  const making = Promise.withResolvers<void>();
  made.server.interrupt = (request) => isLarge('PUT', request); // it does not end by itself
  const stop = new AbortController();
  const pushing = made.push(stop.signal, (blobs) => {
    if (blobs.some(({ stage }) => stage === 'compressing')) making.resolve();
  });
  await Promise.race([making.promise, pushing]);
  await until('it is being made', () => readdirSync(made.paths.ingestDir).length > 0);
  await leavesNothing(t, made, { stop, pushing });
});

async function leavesNothing(
  t: ExecutionContext,
  made: Made,
  { stop, pushing }: { readonly stop: AbortController; readonly pushing: Promise<PushedImage> },
): Promise<void> {
  stop.abort(new Error('enough'));
  await t.throwsAsync(pushing);
  await until('nothing is left of it', () => readdirSync(made.paths.ingestDir).length === 0);
  // the addon takes its file away before it forgets the work
  await until('nothing is told of it', () => made.storage.progress().length === 0);
}
