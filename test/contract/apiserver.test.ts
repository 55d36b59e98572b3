// Exchanges with an API server: who we are, and what a hostile or helpless one can do to us.
import test from 'ava';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { boundedServer } from '../../src/apiserver/exchange.ts';
import { inCluster } from '../../src/apiserver/in-cluster.ts';
import { FakeApi, refusal } from '../helpers/fake-api.ts';

test('a pod shows its service account, and reads the token again when it was refused', async (t) => {
  const api = new FakeApi();
  await api.start();
  try {
    writeFileSync(join(api.dir, 'ca.crt'), api.pair.cert);
    writeFileSync(join(api.dir, 'token'), 'old\n');
    const { hostname, port } = new URL(api.url);
    const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    t.throws(() => inCluster({ env: {}, dir: api.dir, nowMs: Date.now }), { message: /no pod/ });
    const access = inCluster({ env, dir: api.dir, nowMs: Date.now });
    const server = boundedServer(access, { timeoutMs: 20_000, maxBytes: 1000, maxConnections: 1 }, 'test');
    api.handler = ({ token }) => (token === 'new' ? { status: 200, body: { ok: 1 } } : refusal(401));
    const ask = () => server.exchange({ method: 'GET', path: '/x', body: null }, new AbortController().signal);
    t.is((await ask()).status, 401);
    writeFileSync(join(api.dir, 'token'), 'new\n');
    t.deepEqual(await ask(), { status: 200, body: { ok: 1 }, retryAfterMs: null });
    server.close();
  } finally {
    await api.end();
  }
});
