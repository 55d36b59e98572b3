// Registries that mean harm, at the level of HTTP and of documents: each fails with its reason, in bounded time
// and memory. Credentials: registry-secrets.test.ts. Blobs of layers: test/faults/registry.test.ts and the fetch crate.
import type net from 'node:net';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { failureChain } from '../../src/lib/failure.ts';
import { defaultRetry } from '../../src/registry/registry.ts';
import { makeIndex, ociManifest, type TestBlob } from '../helpers/image-parts.ts';
import { type RawServer, sendForever, startRawServer, trickle } from '../helpers/raw-server.ts';
import { amd64, answered, type Expected, fails, image, setup, signal } from './registry/client.ts';

const patient = { connectMs: 20_000, idleMs: 20_000, totalMs: 60_000, helperMs: 20_000 };
const once = { ...defaultRetry, attempts: 1 };
const mebibyte = 2 ** 20;

/** Resolves `team/app:v1` at a raw server, once. */
async function atRaw(
  t: ExecutionContext,
  answer: (socket: net.Socket, head: string) => void,
  totalMs = patient.totalMs,
): Promise<{ server: RawServer; resolved: Promise<unknown> }> {
  const server = await startRawServer(answer);
  t.teardown(() => server.close());
  const { open } = await setup(t, { retry: once, timeouts: { ...patient, totalMs } });
  const repository = await open({ host: server.host });
  return { server, resolved: repository.resolve(amd64, signal) };
}

const head = (...lines: string[]): string => ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n');
const typed = `Content-Type: ${ociManifest}`;
const manifest = image.manifest.bytes.toString();

const cases: readonly (readonly [string, (socket: net.Socket) => void, Expected])[] = [
  [
    'a length longer than the body',
    (s) => s.end(`${head(typed, `Content-Length: ${manifest.length + 10}`)}${manifest}`),
    ['registry-unavailable', /connection ended before the answer did/],
  ],
  [
    'a length shorter than the body',
    (s) => s.end(`${head(typed, 'Content-Length: 20')}${manifest}`),
    ['failed-precondition', /is not JSON/],
  ],
  [
    'two lengths',
    (s) => s.end(`${head(typed, 'Content-Length: 20', 'Content-Length: 30')}${manifest}`),
    ['registry-unavailable', /does not speak HTTP/],
  ],
  [
    'a length and chunks',
    (s) => s.end(`${head(typed, 'Content-Length: 20', 'Transfer-Encoding: chunked')}5\r\nhello\r\n0\r\n\r\n`),
    ['registry-unavailable', /does not speak HTTP/],
  ],
  [
    'a negative length',
    (s) => s.end(`${head(typed, 'Content-Length: -1')}${manifest}`),
    ['registry-unavailable', /does not speak HTTP/],
  ],
  [
    'chunks that are garbage',
    (s) => s.end(`${head(typed, 'Transfer-Encoding: chunked')}zz\r\n${manifest}\r\n`),
    ['registry-unavailable', /does not speak HTTP|connection ended before/],
  ],
  [
    'a chunk that is never whole',
    (s) => s.end(`${head(typed, 'Transfer-Encoding: chunked')}ffff\r\n${manifest}`),
    ['registry-unavailable', /connection ended before the answer did/],
  ],
  [
    'a page of HTML',
    (s) => s.end(`${head('Content-Type: text/html', 'Connection: close')}<html><body>log in</body></html>`),
    ['failed-precondition', /is not JSON/],
  ],
  [
    'a digest that is not the body’s',
    (s) => s.end(`${head(typed, `Docker-Content-Digest: sha256:${'0'.repeat(64)}`, 'Connection: close')}${manifest}`),
    ['failed-precondition', /has digest sha256:.* not sha256:0000/],
  ],
  [
    'a compressed manifest that was not asked for',
    (s) => {
      const bomb = gzipSync(Buffer.alloc(64 * mebibyte));
      s.write(head(typed, 'Content-Encoding: gzip', `Content-Length: ${bomb.length}`));
      s.end(bomb);
    },
    ['registry-unavailable', /compressed, which was not asked for/],
  ],
  [
    'another type than the document’s own',
    (s) => s.end(`${head('Content-Type: application/vnd.oci.image.index.v1+json', 'Connection: close')}${manifest}`),
    ['failed-precondition', /it says .*manifest.*, the registry .*index/],
  ],
  [
    'a type that is no image’s',
    (s) => s.end(`${head('Content-Type: text/plain', 'Connection: close')}{"schemaVersion":2}`),
    ['unimplemented', /media type text\/plain/],
  ],
  ['the end of the connection', (s) => s.destroy(), ['registry-unavailable', /no connection/]],
];

for (const [name, answer, expected] of cases) {
  test(`answers with ${name}`, async (t) => {
    const { resolved } = await atRaw(t, answer);
    const failure = await fails(t, resolved, expected);
    t.regex(failureChain(failure), /get manifest of 127\.0\.0\.1:\d+\/team\/app:v1 from|from 127\.0\.0\.1/);
  });
}

test('a body without end is read as far as a manifest may go', async (t) => {
  for (const lines of [[typed], [typed, 'Transfer-Encoding: chunked']]) {
    const piece = lines.length === 1 ? ' '.repeat(65_536) : `10000\r\n${' '.repeat(65_536)}\r\n`;
    const { server, resolved } = await atRaw(t, (socket) => {
      socket.write(head(...lines));
      sendForever(socket, piece);
    });
    await fails(t, resolved, ['failed-precondition', /answer is too large.*longer than 4194304 bytes/]);
    t.true(server.sent() < 40 * mebibyte, String(server.sent()));
  }
});

test('of a refusal without end only the beginning is read', async (t) => {
  const { server, resolved } = await atRaw(t, (socket) => {
    socket.write('HTTP/1.1 404 Not Found\r\n\r\n');
    sendForever(socket, 'x'.repeat(65_536));
  });
  await fails(t, resolved, ['not-found', /status 404/]);
  t.true(server.sent() < 40 * mebibyte, String(server.sent()));
});

test('headers without end, or too many of them', async (t) => {
  for (const piece of [`X: ${'y'.repeat(1000)}\r\n`, 'y'.repeat(1000), 'X: y\r\n']) {
    const { server, resolved } = await atRaw(t, (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      sendForever(socket, piece);
    });
    await fails(t, resolved, ['registry-unavailable', /does not speak HTTP/]);
    t.true(server.sent() < 40 * mebibyte, String(server.sent()));
  }
});

test('a trickle of headers, of body, of informational answers: the whole has a deadline', async (t) => {
  for (const [start, piece] of [
    ['HTTP/1.1 200 OK\r\n', 'X: y\r\n'],
    [head(typed, 'Content-Length: 100000'), ' '],
    ['', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
  ] as const) {
    const slow = (socket: net.Socket): void => {
      socket.write(start);
      trickle(socket, piece);
    };
    const { resolved } = await atRaw(t, slow, 1500);
    await fails(t, resolved, ['registry-unavailable', /no answer in time: no answer within 1500 ms/]);
  }
});

test('redirects without end are followed a few times', async (t) => {
  let asked = 0;
  const { resolved } = await atRaw(t, (socket, request) => {
    asked += 1;
    socket.end(
      `HTTP/1.1 307 Go On\r\nContent-Length: 0\r\nConnection: close\r\nLocation: ${request.split(' ')[1]}x\r\n\r\n`,
    );
  });
  await fails(t, resolved, ['registry-unavailable', /too many redirects/]);
  t.is(asked, 6);
});

test('redirects to where no registry may lead', async (t) => {
  for (const [location, expected] of [
    ['http://169.254.169.254/latest/meta-data/', ['failed-precondition', /169\.254\.169\.254.*no server may lead to/]],
    ['http://[::ffff:169.254.169.254]/', ['failed-precondition', /no server may lead to/]],
    ['http://[fe80::1]/', ['failed-precondition', /no server may lead to/]],
    ['http://user:pw@127.0.0.1:1/', ['registry-unavailable', /redirect with credentials in it/]],
    ['file:///etc/passwd', ['registry-unavailable', /not a web address/]],
    ['http://', ['registry-unavailable', /not a web address/]],
  ] as const) {
    const { resolved } = await atRaw(t, (socket) => {
      socket.end(`HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ${location}\r\n\r\n`);
    });
    await fails(t, resolved, expected);
  }
});

test('a registry elsewhere may not lead to this machine', async (t) => {
  const inside = await setup(t);
  // its answers come through a proxy, so it is not of this machine
  const proxy = await startRawServer((socket) => {
    socket.end(`HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ${inside.server.url}/v2/\r\n\r\n`);
  });
  t.teardown(() => proxy.close());
  const { open } = await setup(t, {
    retry: once,
    hostsDir: '/hosts',
    readText: async (path) => (path === '/hosts/far.invalid/hosts.toml' ? 'server = "http://far.invalid"' : null),
    proxies: { http: `http://${proxy.host}`, https: '', none: '' },
  });
  await fails(t, (await open({ host: 'far.invalid' })).resolve(amd64, signal), [
    'failed-precondition',
    /127\.0\.0\.1 is an address that no server may lead to/,
  ]);
  t.deepEqual(inside.server.requests, []);
});

test('a manifest of too many layers, and one that is too deep', async (t) => {
  const { open, server } = await setup(t);
  const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: `sha256:${'a'.repeat(64)}`, size: 1 };
  const own = JSON.parse(manifest) as object;
  const put = (text: string): void => {
    server.intercept = (_, response) => {
      response.writeHead(200, { 'content-type': ociManifest });
      return answered(response.end(text));
    };
  };
  put(JSON.stringify({ ...own, layers: Array.from({ length: 20_000 }, () => layer) }));
  await fails(t, (await open()).resolve(amd64, signal), ['failed-precondition', /more than 500 layers/]);
  put(JSON.stringify({ ...own, layers: Array.from({ length: 100_000 }, () => layer) }));
  await fails(t, (await open()).resolve(amd64, signal), ['failed-precondition', /too large/]);
  for (const text of [
    '['.repeat(4 * mebibyte),
    `{"a":${'['.repeat(mebibyte)}${']'.repeat(mebibyte)}}`,
    '"'.repeat(99),
  ]) {
    put(text);
    const error = await t.throwsAsync((await open()).resolve(amd64, signal));
    t.regex(failureChain(error), /is not usable/);
  }
});

test('indexes in indexes: too deep, too many', async (t) => {
  const { open, server } = await setup(t);
  const put = (of: (TestBlob & { mediaType: string })[]) => {
    const index = makeIndex(of.map((one) => ({ of: one, platform: null })));
    server.putManifest('team/app', null, index);
    return index;
  };
  let deep = put([]);
  for (let depth = 0; depth < 6; depth += 1) deep = put([deep]);
  server.putManifest('team/app', 'deep', deep);
  await fails(t, (await open({ tag: 'deep' })).resolve(amd64, signal), [
    'failed-precondition',
    /nested more than 4 deep/,
  ]);
  // 30 indexes of 30 indexes each, none of which has an image
  const leaves = Array.from({ length: 30 }, (_, n) => put(Array.from({ length: n % 2 }, () => put([]))));
  const wide = put([put(leaves), put([...leaves].reverse()), put(leaves.slice(1))]);
  server.putManifest('team/app', 'wide', wide);
  const before = server.requests.length;
  await fails(t, (await open({ tag: 'wide' })).resolve(amd64, signal), [
    'failed-precondition',
    /lead to more than 64 manifests/,
  ]);
  t.true(server.requests.length - before <= 66);
});

test('a config that is not what it should be, longer than it should be, without end', async (t) => {
  const { open, server } = await setup(t, { retry: once });
  const repository = await open();
  const { manifest: resolved } = await repository.resolve(amd64, signal);
  server.intercept = (_, response) => {
    response.writeHead(200);
    const more = (): void => {
      while (!response.destroyed && response.write(' '.repeat(65_536)));
    };
    response.on('drain', more);
    more();
    return true;
  };
  await fails(t, repository.config(resolved.config, signal), ['failed-precondition', /too large/]);
  const huge = { ...resolved.config, size: 10 ** 12 };
  await fails(t, repository.config(huge, signal), ['failed-precondition', /larger than/]);
});
