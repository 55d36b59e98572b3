// A registry whose name leads elsewhere once it has answered: what it names on its own host may not be reached there.
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import test, { type ExecutionContext } from 'ava';
import { defaultRetry } from '../../src/registry/registry.ts';
import { amd64, answered, fails, hostsFiles, setup, signal } from './registry/client.ts';

const name = 'rebind.invalid';

/** Resolves the name to loopback the first time, and to a cloud's metadata service from then on. */
function rebind(t: ExecutionContext): void {
  const { lookup } = dns;
  let asked = 0;
  const own = (host: string, options: dns.LookupOptions, done: (...answer: unknown[]) => void): void => {
    if (host !== name) return lookup(host, options, done as never);
    const address = (asked += 1) === 1 ? '127.0.0.1' : '169.254.169.254';
    process.nextTick(() => (options.all === true ? done(null, [{ address, family: 4 }]) : done(null, address, 4)));
  };
  Object.assign(dns, { lookup: own });
  syncBuiltinESMExports();
  t.teardown(() => {
    Object.assign(dns, { lookup });
    syncBuiltinESMExports();
  });
}

for (const [what, location] of [
  ['a token server', null],
  ['a redirect to another port', `http://${name}:1/x`],
  ['a redirect to itself', '/x'],
] as const) {
  test.serial(`${what} of a name that leads elsewhere by now is not asked`, async (t) => {
    const made = await setup(t);
    const host = `${name}:${made.server.host.split(':')[1]}`;
    const { open } = await setup(t, {
      retry: { ...defaultRetry, attempts: 1 },
      hostsDir: '/hosts',
      readText: hostsFiles({ [host]: `server = "http://${host}"` }),
    });
    if (location === null) {
      made.server.auth = { type: 'bearer', user: null, identityToken: null, realm: `http://${name}:1/token` };
    } else {
      made.server.intercept = (request, response) =>
        request.url.includes('/manifests/') &&
        answered(response.writeHead(307, { location, connection: 'close' }).end());
    }
    rebind(t);
    const repository = await open({ host });
    await fails(t, repository.resolve(amd64, signal), [
      'failed-precondition',
      /rebind\.invalid is an address that no server may lead to/,
    ]);
  });
}
