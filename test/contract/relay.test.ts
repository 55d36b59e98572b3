import test from 'ava';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';
import type { Verdict } from '../../src/relay/gatekeeper.ts';
import { type Relay, type RelaySettings, startRelay } from '../../src/relay/relay.ts';
import { RelayServer, scrapeBounds } from '../../src/relay/server.ts';
import { type Asked, FakeApi, type Handler, loopbackPair, refusal } from '../helpers/fake-api.ts';
import { until } from '../helpers/until.ts';

interface Got {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

const portOf = (address: string): number => Number(address.split(':').at(-1));

/** One request on a connection of its own, whatever the certificate. */
function get(address: string, path: string, options: RequestOptions = {}): Promise<Got> {
  const { promise, resolve, reject } = Promise.withResolvers<Got>();
  const at = { host: '127.0.0.1', port: portOf(address), path, agent: false as const, rejectUnauthorized: false };
  const sent = httpsRequest({ ...at, ...options }, (answer) => {
    const parts: Buffer[] = [];
    answer.on('data', (part: Buffer) => parts.push(part));
    answer.on('error', reject);
    answer.on('end', () =>
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(parts).toString() }),
    );
  });
  sent.on('error', reject);
  sent.end();
  return promise;
}

const bearing = (token: string): RequestOptions => ({ headers: { authorization: `Bearer ${token}` } });

/** Metrics as podwrightd serves them, on a unix socket. */
async function serveMetrics(listener: RequestListener): Promise<{ socket: string; end: () => Promise<void> }> {
  const dir = mkdtempSync('/tmp/pwt-relay-');
  const socket = join(dir, 'metrics.sock');
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    socket,
    end: async () => {
      const ended = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

const page: RequestListener = (request, response) => {
  response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8');
  response.end(`of ${request.url}\n`);
};

/** Tokens as the API server knows them: good and poor are somebody's, good's bearer may read /metrics. */
const judge: Handler = ({ path, body }) => {
  const { spec } = body as { spec: { token?: string; user?: string; nonResourceAttributes?: { path: string } } };
  if (path.endsWith('/tokenreviews')) {
    const known = spec.token === 'good' || spec.token === 'poor';
    const user = { username: `system:${spec.token}`, uid: '7', groups: ['scrapers'], extra: { a: ['b'] } };
    return { status: 201, body: { status: known ? { authenticated: true, user } : { authenticated: false } } };
  }
  const allowed = spec.user === 'system:good' && spec.nonResourceAttributes?.path === '/metrics';
  return { status: 201, body: { status: { allowed } } };
};

const specOf = (asked: Asked | undefined): unknown => (asked?.body as { spec?: object } | undefined)?.spec;

interface Stage {
  readonly api: FakeApi;
  readonly relay: Relay;
  readonly lines: string[];
}

/** A relay before a fake API server and a fake podwrightd; all of it is gone when the test is over. */
async function withRelay(wish: Partial<RelaySettings>, act: (stage: Stage) => Promise<void>): Promise<void> {
  const metrics = await serveMetrics(page);
  const api = new FakeApi();
  await api.start();
  api.handler = judge;
  const lines: string[] = [];
  const relay = await startRelay(
    {
      metricsSocket: metrics.socket,
      listen: '127.0.0.1:0',
      certFile: '',
      keyFile: '',
      hosts: ['127.0.0.1'],
      kubeconfig: api.kubeconfig(),
      audiences: [],
      cacheMs: 60_000,
      version: '1',
      ...wish,
    },
    { env: {}, nowMs: Date.now, log: (level, message) => void lines.push(`${level} ${message}`) },
  );
  try {
    await act({ api, relay, lines });
  } finally {
    await relay.stop();
    await api.end();
    await metrics.end();
  }
}

test('whoever may read gets the metrics, and the API server is asked once', (t) =>
  withRelay({}, async ({ api, relay }) => {
    const first = await get(relay.address, '/metrics', bearing('good'));
    t.is(first.status, 200);
    t.is(first.body, 'of /metrics\n');
    t.is(first.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    t.is((await get(relay.address, '/metrics?x=1', bearing('good'))).status, 200);
    t.deepEqual(
      api.asked.map(({ path, token }) => [path, token]),
      [
        ['/apis/authentication.k8s.io/v1/tokenreviews', 'secret'],
        ['/apis/authorization.k8s.io/v1/subjectaccessreviews', 'secret'],
      ],
    );
    t.deepEqual(specOf(api.asked[1]), {
      user: 'system:good',
      uid: '7',
      groups: ['scrapers'],
      extra: { a: ['b'] },
      nonResourceAttributes: { path: '/metrics', verb: 'get' },
    });
  }));

test('everybody else does not', (t) =>
  withRelay({}, async ({ relay, api }) => {
    const status = async (path: string, options: RequestOptions = {}): Promise<number> =>
      (await get(relay.address, path, options)).status;
    const nobody = await get(relay.address, '/metrics');
    t.is(nobody.status, 401);
    t.regex(String(nobody.headers['www-authenticate']), /^Bearer/);
    t.is(await status('/metrics', { headers: { authorization: 'Basic Z29vZDpnb29k' } }), 401);
    t.is(await status('/metrics', { headers: { authorization: 'Bearer' } }), 401);
    t.is(await status('/metrics', { headers: { authorization: 'Bearer good bad' } }), 401);
    t.deepEqual(api.asked, []);
    t.is(await status('/metrics', bearing('bad')), 401);
    t.is(await status('/metrics', bearing('poor')), 403);
    t.is(await status('/metrics/cadvisor', bearing('good')), 403, 'each path by itself');
    t.is(await status('/else', bearing('good')), 404);
    t.is(await status('/metrics', { ...bearing('good'), method: 'POST' }), 405);
    const kept = async (path: string, token: string): Promise<unknown> => {
      const agent = new Agent({ keepAlive: true });
      return (await get(relay.address, path, { ...bearing(token), agent })).headers.connection;
    };
    t.is(await kept('/metrics', 'bad'), 'close');
    t.is(await kept('/healthz', ''), 'close');
    t.is(await kept('/metrics', 'good'), 'keep-alive');
  }));

test('a token is no longer good when the API server says so', (t) =>
  withRelay({ cacheMs: 0 }, async ({ relay, api }) => {
    t.is((await get(relay.address, '/metrics', bearing('good'))).status, 200);
    api.handler = () => ({ status: 201, body: { status: { authenticated: false, error: 'token has expired' } } });
    t.is((await get(relay.address, '/metrics', bearing('good'))).status, 401);
  }));

const helpless: readonly (readonly [title: string, handler: Handler])[] = [
  ['fails', () => refusal(500)],
  ['does not let us ask', () => refusal(403)],
  ['does not know us', () => refusal(401)],
  ['has too much to do', () => ({ ...refusal(429), headers: { 'retry-after': '1' } })],
  ['is a web page', (_, response) => (response.end('<html>'), null)],
  ['says nothing of the matter', () => ({ status: 201, body: {} })],
  ['says yes with the wrong status', () => ({ status: 500, body: { status: { authenticated: true, allowed: true } } })],
  ['says too much', (_, response) => (response.end(JSON.stringify({ status: {}, junk: 'x'.repeat(1e6) })), null)],
  ['hangs up', (_, response) => (response.destroy(), null)],
  ['ends in the middle', (_, response) => (response.write('{"status":'), setImmediate(() => response.destroy()), null)],
];
for (const [title, handler] of helpless) {
  test(`nobody gets anything when the API server ${title}`, (t) =>
    withRelay({}, async ({ relay, api, lines }) => {
      api.handler = handler;
      const { status, headers } = await get(relay.address, '/metrics', bearing('good'));
      t.is(status, 503);
      t.truthy(headers['retry-after']);
      t.true(lines.some((line) => line.startsWith('warn') && !line.includes('secret') && !line.includes('good')));
      api.handler = judge;
      t.is((await get(relay.address, '/metrics', bearing('good'))).status, 200, 'and that is not kept');
    }));
}

test('nobody gets anything while the API server is away or never answers', (t) =>
  withRelay({}, async ({ relay, api }) => {
    api.handler = () => null;
    const silent = get(relay.address, '/metrics', bearing('good'));
    t.is((await get(relay.address, '/healthz')).status, 200, 'others are served meanwhile');
    t.is((await silent).status, 503);
    await api.stop();
    t.is((await get(relay.address, '/metrics', bearing('good'))).status, 503);
    api.handler = judge;
    await api.start();
    t.is((await get(relay.address, '/metrics', bearing('good'))).status, 200);
  }));

test('a client that leaves while the API server thinks leaves nothing behind', (t) =>
  withRelay({}, async ({ relay, api }) => {
    api.handler = () => null;
    const at = { host: '127.0.0.1', port: portOf(relay.address), rejectUnauthorized: false };
    const client = tlsConnect(at, () =>
      client.write('GET /metrics HTTP/1.1\r\nhost: a\r\nauthorization: Bearer good\r\n\r\n'),
    );
    await until('the API server is asked', () => api.asked.length > 0);
    client.destroy();
    api.handler = judge;
    t.is((await get(relay.address, '/metrics', bearing('good'))).status, 200);
  }));

test('a token must be for the audience that was named', (t) =>
  withRelay({ audiences: ['metrics'], cacheMs: 0 }, async ({ relay, api }) => {
    let audiences: unknown = undefined;
    api.handler = (asked, response) =>
      asked.path.endsWith('/tokenreviews')
        ? { status: 201, body: { status: { authenticated: true, audiences, user: { username: 'system:good' } } } }
        : judge(asked, response);
    t.is((await get(relay.address, '/metrics', bearing('good'))).status, 401);
    t.deepEqual(specOf(api.asked[0]), { token: 'good', audiences: ['metrics'] });
    audiences = ['else'];
    t.is((await get(relay.address, '/metrics', bearing('good'))).status, 401);
    audiences = ['metrics'];
    t.is((await get(relay.address, '/metrics', bearing('good'))).status, 200);
  }));

test('a renewed key pair is served without a restart, and a broken one is not taken', async (t) => {
  const dir = mkdtempSync('/tmp/pwt-relay-pair-');
  const [certFile, keyFile] = [join(dir, 'tls.crt'), join(dir, 'tls.key')];
  const put = ({ cert, key }: { cert: string; key: string }): void => {
    writeFileSync(certFile, cert);
    writeFileSync(keyFile, key);
  };
  put(loopbackPair('first'));
  const served = async (address: string): Promise<string> => {
    const client: TLSSocket = tlsConnect({ host: '127.0.0.1', port: portOf(address), rejectUnauthorized: false });
    await new Promise((resolve, reject) => client.once('secureConnect', resolve).once('error', reject));
    const name = client.getPeerCertificate().subject.CN;
    client.destroy();
    return String(name);
  };
  try {
    await withRelay({ certFile, keyFile }, async ({ relay, lines }) => {
      t.is(await served(relay.address), 'first');
      put({ cert: 'no certificate', key: 'no key' });
      await until('it is told', () => lines.some((line) => line.startsWith('error')));
      t.is(await served(relay.address), 'first');
      put(loopbackPair('second'));
      await until('the new one is served', async () => (await served(relay.address)) === 'second');
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

/** The server alone, with a gatekeeper that lets everybody in. */
async function openServer(metricsSocket: string, bounds: typeof scrapeBounds = scrapeBounds): Promise<RelayServer> {
  const gatekeeper = { judge: async (): Promise<Verdict> => ({ type: 'allowed' }) };
  return RelayServer.listen({
    listen: '127.0.0.1:0',
    keyPair: loopbackPair(),
    metricsSocket,
    gatekeeper,
    log: () => undefined,
    bounds,
  });
}

const chunk = Buffer.alloc(64 * 1024, 'metric 1\n');

test('a large body goes through whole, and is not kept on the way', async (t) => {
  const chunks = 512;
  const hash = createHash('sha256');
  for (let i = 0; i < chunks; i += 1) hash.update(chunk);
  const metrics = await serveMetrics((_, response) => {
    let left = chunks;
    const more = (): void => {
      while (left > 0 && response.write(chunk)) left -= 1;
      if (left === 0) response.end();
      else left -= 1; // it was taken all the same
    };
    response.on('drain', more);
    more();
  });
  const server = await openServer(metrics.socket);
  const { body, status } = await get(server.address, '/metrics', bearing('x'));
  t.is(status, 200);
  t.is(createHash('sha256').update(body).digest('hex'), hash.digest('hex'));
  await server.close();
  await metrics.end();
});

test('a client that takes nothing holds back podwrightd only so long, then it is cut off', async (t) => {
  let sent = 0;
  let cut = false;
  const metrics = await serveMetrics((_, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(chunk)) sent += chunk.length;
      sent += chunk.length;
    };
    response.on('drain', more).on('close', () => (cut = true));
    more();
  });
  const server = await openServer(metrics.socket, { ...scrapeBounds, stallMs: 500 });
  const client = tlsConnect({ host: '127.0.0.1', port: portOf(server.address), rejectUnauthorized: false }, () =>
    client.write('GET /metrics HTTP/1.1\r\nhost: a\r\nauthorization: Bearer x\r\n\r\n'),
  );
  client.on('error', () => undefined).pause();
  await until('podwrightd is let go', () => cut);
  t.true(sent < 64 * 1024 * 1024, `${sent} bytes`);
  client.destroy();
  await server.close();
  await metrics.end();
});

test('a podwrightd that is away, silent or breaks off is an error of its own', async (t) => {
  let how: RequestListener = page;
  const metrics = await serveMetrics((request, response) => how(request, response));
  const server = await openServer(metrics.socket);
  t.is((await get(server.address, '/readyz')).status, 200);
  t.is((await get(server.address, '/metrics', { ...bearing('x'), method: 'HEAD' })).status, 200);
  const impatient = await openServer(metrics.socket, { ...scrapeBounds, stallMs: 300 });
  how = () => undefined;
  t.is((await get(impatient.address, '/metrics', bearing('x'))).status, 503);
  await impatient.close();
  how = (_, response) => void response.destroy();
  t.is((await get(server.address, '/metrics', bearing('x'))).status, 503);
  how = (_, response) => void (response.write('some'), setImmediate(() => response.destroy()));
  await t.throwsAsync(get(server.address, '/metrics', bearing('x')), undefined, 'half an answer is none');
  how = (_, response) => void response.writeHead(500).end('no\n');
  t.is((await get(server.address, '/metrics', bearing('x'))).status, 500);
  await metrics.end();
  t.is((await get(server.address, '/metrics', bearing('x'))).status, 503);
  t.is((await get(server.address, '/readyz')).status, 503);
  t.is((await get(server.address, '/healthz')).status, 200);
  await server.close();
});

test('more scrapes than are good for podwrightd are put off', async (t) => {
  const held: (() => void)[] = [];
  const metrics = await serveMetrics((request, response) => void held.push(() => page(request, response)));
  const server = await openServer(metrics.socket, { ...scrapeBounds, atOnce: 2 });
  const waiting = [1, 2].map(() => get(server.address, '/metrics', bearing('x')));
  await until('both are at podwrightd', () => held.length === 2);
  const third = await get(server.address, '/metrics', bearing('x'));
  t.is(third.status, 503);
  t.truthy(third.headers['retry-after']);
  for (const let_ of held) let_();
  t.deepEqual(
    (await Promise.all(waiting)).map(({ status }) => status),
    [200, 200],
  );
  await server.close();
  await metrics.end();
});

test('what is no HTTPS, or too long, is turned away and disturbs nobody', async (t) => {
  const metrics = await serveMetrics(page);
  const server = await openServer(metrics.socket);
  const plain: Socket = connect({ host: '127.0.0.1', port: portOf(server.address) }, () =>
    plain.write('GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n'),
  );
  await new Promise<void>((resolve) =>
    plain
      .on('error', () => resolve())
      .on('close', () => resolve())
      .resume(),
  );
  const long = await get(server.address, '/metrics', bearing('x'.repeat(20_000)));
  t.is(long.status, 431);
  t.is((await get(server.address, '/metrics', bearing('x'))).status, 200);
  await server.close();
  await metrics.end();
});

test('an address that cannot be had is told', async (t) => {
  const metrics = await serveMetrics(page);
  const server = await openServer(metrics.socket);
  const again = { keyPair: loopbackPair(), metricsSocket: metrics.socket, log: () => undefined, bounds: scrapeBounds };
  const gatekeeper = { judge: async (): Promise<Verdict> => ({ type: 'allowed' }) };
  await t.throwsAsync(RelayServer.listen({ ...again, gatekeeper, listen: server.address }), {
    message: `listen on ${server.address}`,
  });
  await t.throwsAsync(RelayServer.listen({ ...again, gatekeeper, listen: 'nowhere' }), { message: /host:port/ });
  await server.close();
  await metrics.end();
});
