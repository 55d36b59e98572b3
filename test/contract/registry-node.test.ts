// What the node's operator configures: registries.conf, files of credentials, credential helpers.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { createHelperRunner } from '../../src/registry/credential-helper.ts';
import { makeCertificates } from '../helpers/certificates.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { withoutDescriptors } from '../helpers/without-descriptors.ts';
import { until } from '../helpers/until.ts';
import { amd64, checkImage, fails, image, setup, signal } from './registry/client.ts';

const basic = (user: string): string => Buffer.from(`${user}:pw`).toString('base64');
const given = (server: FakeRegistry): unknown[] => server.requests.map((r) => r.headers.authorization ?? null);
const dirOf = (t: ExecutionContext): string => {
  const dir = mkdtempSync('/tmp/pwt-node-registry-');
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

/** A server with the image below another path; it wants that user, if any. */
async function mirrorWith(t: ExecutionContext, repository: string, user: string | null = null): Promise<FakeRegistry> {
  const mirror = await startFakeRegistry();
  t.teardown(() => mirror.close());
  mirror.push(repository, 'v1', image);
  if (user !== null) mirror.auth = { type: 'basic', username: user, password: 'pw' };
  return mirror;
}

/** Reads these files and no others. */
const reads =
  (files: Readonly<Record<string, string>>) =>
  async (path: string): Promise<string | null> =>
    files[path] ?? null;

test('registries.conf moves a name; the caller’s credentials do not move with it', async (t) => {
  const moved = await mirrorWith(t, 'in/here/app');
  const readText = reads({ '/r.conf': `[[registry]]\nprefix = "r.io/team"\nlocation = "${moved.host}/in/here"\n` });
  const { open } = await setup(t, { registriesConf: '/r.conf', readText });
  const repository = await open({ host: 'r.io', auth: { username: 'u', password: 'pw' } });
  const resolved = await repository.resolve(amd64, signal);
  checkImage(t, resolved);
  await repository.config(resolved.manifest.config, signal);
  t.true(moved.requests.every((r) => r.url.startsWith('/v2/in/here/app/') && !r.url.includes('ns=')));
  moved.auth = { type: 'basic', username: 'u', password: 'pw' };
  await fails(t, (await open({ host: 'r.io', auth: { username: 'u', password: 'pw' } })).resolve(amd64, signal), [
    'permission-denied',
    /not authorized/,
  ]);
  t.deepEqual([...new Set(given(moved))], [null]);
});

test('a mirror of registries.conf has credentials of its own in the node’s file', async (t) => {
  const mirror = await mirrorWith(t, 'hub/team/app', 'node');
  const files = {
    '/r.conf': `[[registry]]\nlocation = "r.io"\n[[registry.mirror]]\nlocation = "${mirror.host}/hub"\n`,
    '/auth.json': JSON.stringify({
      auths: { [mirror.host]: { auth: basic('other') }, [`${mirror.host}/hub`]: { auth: basic('node') } },
    }),
  };
  const options = { registriesConf: '/r.conf', authFiles: ['/auth.json'], readText: reads(files) };
  const { open } = await setup(t, options);
  checkImage(t, await (await open({ host: 'r.io', auth: { username: 'u', password: 'pw' } })).resolve(amd64, signal));
  t.deepEqual(given(mirror), [null, `Basic ${basic('node')}`]);
});

test('the caller’s credentials count before the node’s, which are for who brings none', async (t) => {
  const authFiles = ['/auth.json'];
  const made = await setup(t);
  made.server.auth = { type: 'basic', username: 'node', password: 'pw' };
  const file = JSON.stringify({ auths: { [made.server.host]: { auth: basic('node') } } });
  const { open } = await setup(t, { authFiles, readText: reads({ '/auth.json': file }) });
  const { host } = made.server;
  checkImage(t, await (await open({ host })).resolve(amd64, signal));
  checkImage(t, await (await open({ host, auth: {} })).resolve(amd64, signal));
  await fails(t, (await open({ host, auth: { username: 'wrong', password: 'pw' } })).resolve(amd64, signal), [
    'permission-denied',
    /not authorized/,
  ]);
  const bad = await setup(t, { authFiles, readText: reads({ '/auth.json': '{"auths": {"SECRET' }) });
  const failure = await fails(t, (await bad.open({ host })).resolve(amd64, signal), [
    'failed-precondition',
    /credentials file \/auth\.json is not usable/,
  ]);
  t.false(String(failure.stack).includes('SECRET'));
});

test('insecure: plain HTTP where no TLS is spoken, TLS with any certificate where it is', async (t) => {
  const plain = await mirrorWith(t, 'team/app');
  const made = makeCertificates(dirOf(t));
  const encrypted = await startFakeRegistry(made.server(false));
  t.teardown(() => encrypted.close());
  encrypted.push('team/app', 'v1', image);
  for (const server of [plain, encrypted]) {
    // loopback is spoken to without TLS anyway; by this address it is not known as that
    const conf = `[[registry]]\nprefix = "r.io"\nlocation = "0.0.0.0:${server.host.split(':')[1]}"\ninsecure = true\n`;
    const { open } = await setup(t, { registriesConf: '/r.conf', readText: reads({ '/r.conf': conf }) });
    const repository = await open({ host: 'r.io' });
    checkImage(t, await repository.resolve(amd64, signal));
    const { manifest } = await repository.resolve(amd64, signal);
    t.deepEqual(await repository.config(manifest.config, signal), image.config.bytes);
    const strict = await setup(t, {
      registriesConf: '/r.conf',
      readText: reads({ '/r.conf': conf.replace('insecure = true', '') }),
    });
    await fails(t, (await strict.open({ host: 'r.io' })).resolve(amd64, signal), [
      'registry-unavailable',
      /no secure connection/,
    ]);
  }
});

test('a blocked name is not asked for anywhere', async (t) => {
  const made = await setup(t);
  const conf = `[[registry]]\nlocation = "${made.server.host}"\nblocked = true\n`;
  const { open } = await setup(t, { registriesConf: '/r.conf', readText: reads({ '/r.conf': conf }) });
  await fails(t, open({ host: made.server.host }), ['permission-denied', /is blocked by prefix .* of \/r\.conf/]);
  t.deepEqual(made.server.requests, []);
});

/** A directory with `docker-credential-test` doing that, and a runner that finds it. */
function withHelper(t: ExecutionContext, script: string, timeoutMs = 20_000) {
  const dir = dirOf(t);
  const program = join(dir, 'docker-credential-test');
  writeFileSync(program, `#!/bin/sh\n${script}\n`);
  chmodSync(program, 0o755);
  const env = { PATH: `${dir}:/usr/bin:/bin`, DIR: dir };
  return { dir, env, ask: createHelperRunner({ env, timeoutMs }) };
}
const helper = { program: 'test', server: 'r.io:5000' };

test('a helper is asked by its protocol, in an environment of its own', async (t) => {
  const { dir, ask } = withHelper(
    t,
    'cat > $DIR/stdin; echo "$@" > $DIR/args; env > $DIR/env; echo noise >&2; echo \'{"ServerURL":"x","Username":"u","Secret":"s"}\'',
  );
  t.deepEqual(await ask(helper, signal), { type: 'basic', username: 'u', password: 's' });
  t.is(readFileSync(join(dir, 'stdin'), 'utf8'), 'r.io:5000\n');
  t.is(readFileSync(join(dir, 'args'), 'utf8'), 'get\n');
  const names = readFileSync(join(dir, 'env'), 'utf8')
    .split('\n')
    .map((line) => line.split('=')[0] ?? '');
  t.deepEqual(names.filter((name) => !['', '_', 'PWD', 'SHLVL', 'OLDPWD'].includes(name)).sort(), ['DIR', 'PATH']);
});

test('what a helper may say', async (t) => {
  const says = async (script: string) => withHelper(t, `cat > /dev/null; ${script}`).ask(helper, signal);
  t.deepEqual(await says('echo \'{"Username":"<token>","Secret":"refresh"}\''), { type: 'identity', token: 'refresh' });
  t.is(await says('echo "credentials not found in native keychain"; exit 1'), null);
  t.is(await says('echo \'{"Username":"","Secret":""}\''), null);
  // one that ends before it has read what it is asked
  t.is(await withHelper(t, 'echo "credentials not found in native keychain"; exit 1').ask(helper, signal), null);
  for (const [script, why] of [
    ['echo SECRET; echo SECRET >&2; exit 2', /ended with status 2/],
    ['echo SECRET', /is not JSON/],
    ['echo \'{"Username":"SECRET"}\'', /no Username and Secret/],
    ['echo null', /no Username and Secret/],
    ['echo \'{"Username":"<token>","Secret":"SECRET SECRET"}\'', /characters that none has/],
    ['kill -9 $$', /ended with status of a signal/],
    ['head -c 400000 /dev/zero', /longer than/],
  ] as const) {
    const failure = await fails(t, says(script), ['failed-precondition', why]);
    t.regex(failure.message, /docker-credential-test gave nothing for r\.io:5000/);
    t.false(failure.message.includes('SECRET'));
  }
  const missing = createHelperRunner({ env: { PATH: '/nonexistent' }, timeoutMs: 20_000 });
  await fails(t, missing(helper, signal), ['failed-precondition', /there is no such program/]);
  const odd = missing({ program: 'a\0b', server: 'r.io' }, signal);
  await fails(t, odd, ['failed-precondition', /cannot be run \(ERR_INVALID_ARG_VALUE\)/]);
  const said = await withoutDescriptors(
    new URL('../../src/registry/credential-helper.ts', import.meta.url),
    `mod.createHelperRunner({ env: {}, timeoutMs: 20_000 })(${JSON.stringify(helper)}, signal)`,
  );
  t.like(said, { kind: 'failed-precondition' });
  t.regex((said as Error).message, /cannot be run \(EMFILE\)/);
});

test('a helper that does not end is ended, with what it started', async (t) => {
  const script = 'sleep 300 & echo $! > $DIR/child; wait';
  const { dir, env } = withHelper(t, script);
  await fails(t, createHelperRunner({ env, timeoutMs: 300 })(helper, signal), [
    'failed-precondition',
    /no answer within/,
  ]);
  await until('its child is gone', () => {
    const file = join(dir, 'child');
    const pid = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
    try {
      return pid === '' || /^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
      return true; // ENOENT before the reading, ESRCH during it
    }
  });
  const gone = new AbortController();
  const asked = createHelperRunner({ env, timeoutMs: 60_000 })(helper, gone.signal);
  gone.abort(new Error('the caller went away'));
  await t.throwsAsync(asked, { message: 'the caller went away' });
});

test('calls for one server at the same time run the helper once', async (t) => {
  const { dir, ask } = withHelper(
    t,
    'cat > /dev/null; echo run >> $DIR/runs; while [ ! -e $DIR/go ]; do sleep 0.05; done; echo \'{"Username":"u","Secret":"s"}\'',
  );
  const asked = Array.from({ length: 8 }, () => ask(helper, signal));
  await until('it runs', () => existsSync(join(dir, 'runs')));
  writeFileSync(join(dir, 'go'), '');
  await Promise.all(asked);
  t.is(readFileSync(join(dir, 'runs'), 'utf8'), 'run\n');
});

test('a helper’s credentials are used, and its failure counts against the host alone', async (t) => {
  const { dir, env } = withHelper(t, 'cat > /dev/null; echo \'{"Username":"node","Secret":"pw"}\'');
  const made = await setup(t);
  made.server.auth = { type: 'basic', username: 'node', password: 'pw' };
  const { host } = made.server;
  const file = (program: string): string => JSON.stringify({ credHelpers: { [host]: program } });
  const options = { authFiles: ['/auth.json'], helperEnv: env };
  const good = await setup(t, { ...options, readText: reads({ '/auth.json': file('test') }) });
  checkImage(t, await (await good.open({ host })).resolve(amd64, signal));
  const mirrors = await mirrorWith(t, 'team/app');
  const conf = `[[registry]]\nprefix = "r.io"\nlocation = "${mirrors.host}"\n[[registry.mirror]]\nlocation = "${host}"\n`;
  const readText = reads({ '/auth.json': file('missing'), '/r.conf': conf });
  const bad = await setup(t, { ...options, registriesConf: '/r.conf', readText });
  await fails(t, (await bad.open({ host })).resolve(amd64, signal), ['failed-precondition', /no such program/]);
  checkImage(t, await (await bad.open({ host: 'r.io' })).resolve(amd64, signal));
  t.true(existsSync(dir));
});
