import test from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import { hostDirectories, hostEndpoints, pushEndpoints } from '../../../src/registry/hosts.ts';
import { parseHostsFile } from '../../../src/registry/hosts-toml.ts';

const noProxy = { http: '', https: '', none: '' };
const named = (host: string) => ({ host, repository: 'team/app', insecure: false, skipVerify: false, isNamed: true });
const options = (files: Readonly<Record<string, string>>) => ({
  hostsDir: '/certs.d',
  readText: async (path: string) => files[path] ?? null,
  listDir: async (dir: string) =>
    Object.keys(files).flatMap((path) => (path.startsWith(`${dir}/`) ? [path.slice(dir.length + 1)] : [])),
});
const endpoints = (registry: string, files: Readonly<Record<string, string>> = {}) =>
  hostEndpoints({ ...options(files), proxies: noProxy, connectMs: 10 }, named(registry));

test('directory names of a registry', (t) => {
  t.deepEqual(hostDirectories('docker.io'), ['docker.io', '_default']);
  t.deepEqual(hostDirectories('reg:5000'), ['reg_5000_', 'reg:5000', '_default']);
  t.deepEqual(hostDirectories('[::1]:5000'), ['[::1]_5000_', '[::1]:5000', '_default']);
  t.deepEqual(hostDirectories('[::1]'), ['[::1]', '_default']);
});

test('without settings: TLS, plain HTTP on loopback', async (t) => {
  const base = async (registry: string) => (await endpoints(registry)).map((e) => e.base);
  t.deepEqual(await base('registry.k8s.io'), ['https://registry.k8s.io/v2']);
  t.deepEqual(await base('docker.io'), ['https://registry-1.docker.io/v2']);
  t.deepEqual(await base('127.0.0.1:5000'), ['http://127.0.0.1:5000/v2']);
  t.deepEqual(await base('localhost'), ['http://localhost/v2']);
  t.deepEqual(await base('localhost:443'), ['https://localhost/v2']);
  t.deepEqual(await base('[::1]:5000'), ['http://[::1]:5000/v2']);
  t.deepEqual(await base('10.0.0.1:5000'), ['https://10.0.0.1:5000/v2']);
  const [hub] = await endpoints('docker.io');
  t.like(hub, { isOrigin: true, namespace: null, canResolve: true, canPull: true });
});

test('mirrors in their order, then the server', async (t) => {
  const text = `
server = "https://reg.example"
[host."http://mirror.one:5000"]
  capabilities = ["pull", "resolve"]
[host."https://mirror.two/path"]
  capabilities = ["pull"]
  override_path = true
  credentials_from = "origin"
  dial_timeout = "1.5s"
  [host."https://mirror.two/path".header]
    X-One = "1"
    X-Two = ["a", "b"]
[host."mirror.three/v2"]
`;
  const list = await endpoints('reg.example', { '/certs.d/reg.example/hosts.toml': text });
  t.deepEqual(
    list.map((e) => [e.base, e.isOrigin, e.namespace]),
    [
      ['http://mirror.one:5000/v2', false, 'reg.example'],
      ['https://mirror.two/path', false, 'reg.example'],
      ['https://mirror.three/v2', false, 'reg.example'],
      ['https://reg.example/v2', true, null],
    ],
  );
  t.like(list[1], { canResolve: false, canPull: true, sharesCredentials: true, connectMs: 1500 });
  t.deepEqual(list[1]?.headers, [
    ['X-One', '1'],
    ['X-Two', 'a'],
    ['X-Two', 'b'],
  ]);
});

test('spellings of the directory, the default, and settings of the server alone', async (t) => {
  const mirror = '[host."http://m"]';
  for (const dir of ['reg_5000_', 'reg:5000', '_default']) {
    const list = await endpoints('reg:5000', { [`/certs.d/${dir}/hosts.toml`]: mirror });
    t.deepEqual(
      list.map((e) => e.base),
      ['http://m/v2', 'https://reg:5000/v2'],
      dir,
    );
  }
  const [only] = await endpoints('reg', { '/certs.d/reg/hosts.toml': 'skip_verify = true' });
  t.like(only, { base: 'https://reg/v2', isOrigin: true });
  t.true(only?.tls.skipVerify && only.material.skipVerify);
});

test('certificates: relative to the directory, read at once, missing ones named', async (t) => {
  const text = 'server = "https://reg"\nca = "ca.pem"\nclient = [["/abs/c.pem", "k.pem"]]';
  const files = {
    '/certs.d/reg/hosts.toml': text,
    '/certs.d/reg/ca.pem': 'CA',
    '/abs/c.pem': 'CERT',
    '/certs.d/reg/k.pem': 'KEY',
  };
  const [only] = await endpoints('reg', files);
  t.deepEqual(only?.tls, {
    caFiles: ['/certs.d/reg/ca.pem'],
    clientCert: '/abs/c.pem',
    clientKey: '/certs.d/reg/k.pem',
    skipVerify: false,
  });
  t.deepEqual(only?.material, { ca: ['CA'], cert: 'CERT', key: 'KEY', skipVerify: false });
  await t.throwsAsync(endpoints('reg', { '/certs.d/reg/hosts.toml': text }), {
    message: 'registry certificate file /certs.d/reg/ca.pem does not exist',
  });
});

test('proxies: by environment, by host, none', async (t) => {
  const proxies = { http: '', https: 'proxy:3128', none: 'm3' };
  const text =
    '[host."https://m1"]\n[host."https://m2"]\nproxy = "http://own:1"\n[host."https://m3"]\n[host."https://m4"]\nproxy = ""';
  const files = { '/certs.d/r/hosts.toml': text };
  const list = await hostEndpoints({ ...options(files), proxies, connectMs: 1 }, named('r'));
  t.deepEqual(
    list.map((e) => e.proxy),
    ['http://proxy:3128', 'http://own:1', null, null, 'http://proxy:3128'],
  );
});

for (const [name, text, message] of [
  ['no TOML', 'server = ', /line 1/],
  ['an unknown key', '[host."http://m"]\nskip_verfiy = true', /"skip_verfiy" is unknown/],
  ['an unknown capability', '[host."http://m"]\ncapabilities = ["pul"]', /capability "pul" is unknown/],
  ['a wrong type', '[host."http://m"]\nskip_verify = "yes"', /skip_verify is not true or false/],
  ['a bad duration', '[host."http://m"]\ndial_timeout = "soon"', /dial_timeout/],
  ['a client that is no pair', '[host."http://m"]\nclient = [["a","b","c"]]', /client is not/],
  ['a client without a certificate', '[host."http://m"]\nclient = [["","b"]]', /no certificate file/],
  ['a proxy of another kind', '[host."http://m"]\nproxy = "socks5://p:1"', /scheme socks5/],
  ['a proxy with a path', '[host."http://m"]\nproxy = "http://p:1/x"', /more than scheme, host and port/],
  ['a bad header', '[host."http://m".header]\n"a b" = "c"', /not a header's name/],
  ['a bad header value', '[host."http://m".header]\na = "b\\nc"', /no header may have/],
] as const) {
  test(`hosts.toml with ${name} is refused by name`, (t) => {
    const error = t.throws(() => parseHostsFile(text, '/c/r/hosts.toml'), { instanceOf: Failure, message });
    t.is(error.kind, 'failed-precondition');
    t.regex(error.message, /^registry hosts file \/c\/r\/hosts\.toml is not usable/);
  });
}

test('a host that is no address is refused', async (t) => {
  await t.throwsAsync(endpoints('r', { '/certs.d/r/hosts.toml': '[host."https://user@m"]' }), {
    message: /not a usable address/,
  });
});

test('several certificates of ours: the host is asked with one after the other', async (t) => {
  const text = 'client = [["a.pem", "a.key"], ["b.pem", ""], "c.pem"]';
  const pem = {
    '/certs.d/reg/a.pem': 'A',
    '/certs.d/reg/a.key': 'K',
    '/certs.d/reg/b.pem': 'B',
    '/certs.d/reg/c.pem': 'C',
  };
  const list = await endpoints('reg', { '/certs.d/reg/hosts.toml': text, ...pem });
  t.deepEqual(
    list.map((e) => [e.base, e.material.cert, e.material.key]),
    [
      ['https://reg/v2', 'A', 'K'],
      ['https://reg/v2', 'B', 'B'],
      ['https://reg/v2', 'C', 'C'],
    ],
  );
});

test('a directory of certificates in Docker’s manner', async (t) => {
  const files = {
    '/certs.d/reg:5000/ca.crt': 'CA1',
    '/certs.d/reg:5000/more.crt': 'CA2',
    '/certs.d/reg:5000/me.cert': 'CERT',
    '/certs.d/reg:5000/me.key': 'KEY',
    '/certs.d/reg:5000/note.txt': 'no',
  };
  const list = await endpoints('reg:5000', files);
  t.deepEqual(
    list.map((e) => [e.base, e.material]),
    [['https://reg:5000/v2', { ca: ['CA1', 'CA2'], cert: 'CERT', key: 'KEY', skipVerify: false }]],
  );
  await t.throwsAsync(endpoints('reg', { '/certs.d/reg/me.cert': 'CERT' }), { message: /me\.cert has no key me\.key/ });
  await t.throwsAsync(endpoints('reg', { '/certs.d/reg/me.key': 'KEY' }), { message: /no certificate beside it/ });
});

test('the Docker Hub by its name is where its registry is', async (t) => {
  const list = await endpoints('docker.io', {
    '/certs.d/docker.io/hosts.toml':
      'server = "https://docker.io"\n[host."https://m"]\ncapabilities = ["referrers", "pull"]',
  });
  t.deepEqual(
    list.map((e) => [e.base, e.namespace]),
    [
      ['https://m/v2', 'docker.io'],
      ['https://registry-1.docker.io/v2', null],
    ],
  );
});

test('a directory holds for its registry however that is written; the spelling of the name comes first', async (t) => {
  const files: Record<string, string> = {};
  const listed = {
    ...options(files),
    listDir: async (dir: string) => [
      ...new Set(
        Object.keys(files).flatMap((path) =>
          path.startsWith(`${dir}/`) ? [path.slice(dir.length + 1).split('/')[0] ?? ''] : [],
        ),
      ),
    ],
  };
  const firstOf = async (host: string): Promise<string | undefined> =>
    (await hostEndpoints({ ...listed, proxies: noProxy, connectMs: 1 }, named(host)))[0]?.host;
  const mirror = (name: string): string => `[host."https://${name}"]\n`;
  for (const [directory, hosts] of [
    ['reg.example', ['reg.example', 'Reg.Example', 'reg.example:443', 'REG.example:443']],
    ['reg.example_443_', ['reg.example', 'reg.example:443', 'Reg.Example']],
    ['reg.example_5000_', ['reg.example:5000', 'Reg.EXAMPLE:5000']],
    ['Reg.Example:5000', ['reg.example:5000']],
    ['docker.io', ['docker.io', 'index.docker.io', 'registry-1.docker.io', 'Docker.IO:443']],
    ['index.docker.io', ['docker.io']],
    ['localhost_80_', ['localhost', 'LOCALHOST:80']],
  ] as const) {
    for (const key of Object.keys(files)) delete files[key];
    files[`/certs.d/${directory}/hosts.toml`] = mirror('mirror.example');
    for (const host of hosts) t.is(await firstOf(host), 'mirror.example', `${host} by ${directory}`);
    for (const host of ['other.example', 'reg.example:444', 'evil.reg.example'])
      t.not(await firstOf(host), 'mirror.example', `${host} by ${directory}`);
  }
  files['/certs.d/reg.example/hosts.toml'] = mirror('one.example');
  files['/certs.d/reg.example:443/hosts.toml'] = mirror('two.example');
  t.is(await firstOf('reg.example'), 'one.example');
  t.is(await firstOf('reg.example:443'), 'two.example');
});

test('where content is sent: to the server, with leave to skip verification for this once', async (t) => {
  const text = '[host."https://mirror.example"]\n';
  const pushTo = (files: Readonly<Record<string, string>>, location = named('reg.example')) =>
    pushEndpoints({ ...options(files), proxies: noProxy, connectMs: 1 }, location);
  const bases = async (...of: Parameters<typeof pushTo>): Promise<unknown[]> =>
    (await pushTo(...of)).map(({ base, canPush, tls }) => [base, canPush, tls.skipVerify]);
  t.deepEqual(await bases({ '/certs.d/reg.example/hosts.toml': text }), [['https://reg.example/v2', true, false]]);
  const server = 'server = "https://real.example"\ncapabilities = ["pull"]\n';
  t.deepEqual(await bases({ '/certs.d/reg.example/hosts.toml': server }), [['https://real.example/v2', false, false]]);
  t.deepEqual(await bases({}, { ...named('reg.example'), skipVerify: true }), [
    ['https://reg.example/v2', true, true],
    ['http://reg.example/v2', true, false],
  ]);
});
