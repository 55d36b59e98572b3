// Parsers of the operator's files and of credentials.
import * as fc from 'fast-check';
import { findInFile, parseAuthFile } from '../../../src/registry/auth-file.ts';
import { bindCredentials } from '../../../src/registry/credentials.ts';
import { hostEndpoints } from '../../../src/registry/hosts.ts';
import { parseHostsFile } from '../../../src/registry/hosts-toml.ts';
import { locate } from '../../../src/registry/locations.ts';
import { parseRegistriesConf } from '../../../src/registry/registries-conf.ts';
import { checkFailure, complain, digest, only, secret } from './check.ts';
import { documents, texts } from './texts.ts';

const toml = [
  '[',
  ']',
  '[[',
  ']]',
  '=',
  '"',
  "'",
  '\n',
  ' ',
  ',',
  '{',
  '}',
  '#',
  'true',
  'false',
  '5',
  '1979-05-27',
  '"""',
  '.',
  '""',
  '0x',
  'nan',
];
const hostsFiles = texts({
  pieces: [
    ...toml,
    'server',
    'host',
    'capabilities',
    'ca',
    'client',
    'skip_verify',
    'override_path',
    'header',
    'dial_timeout',
    'credentials_from',
    'proxy',
    '"https://m.io"',
    '"http://[::1]:5000/v2"',
    '"pull"',
    '"origin"',
    '"10s"',
    '["a", "b"]',
    'X-A',
  ],
  samples: [
    'server = "https://r.io"\n[host."https://m.io/v2/x"]\ncapabilities = ["pull", "resolve"]\nca = ["a.pem"]\nclient = [["a", "b"], ["c", ""]]\noverride_path = true\ndial_timeout = "1m30s"\n[host."https://m.io/v2/x".header]\nX-A = ["1", "2"]\n',
    'skip_verify = true\nproxy = "http://p:1"\n',
  ],
});
export const hostsTarget = fc.asyncProperty(hostsFiles, async (text) => {
  only(['failed-precondition'], () => parseHostsFile(text, '/c/hosts.toml'));
  const options = {
    hostsDir: '/c',
    readText: async (path: string) => (path.endsWith('hosts.toml') ? text : 'PEM'),
    listDir: async () => [],
    proxies: { http: '', https: '', none: '' },
    connectMs: 1,
  };
  const location = { host: 'r.io', repository: 'a', insecure: true, skipVerify: false, isNamed: true };
  const found = await hostEndpoints(options, location).catch((error: unknown) =>
    checkFailure(['failed-precondition'], error),
  );
  for (const { base } of found ?? [])
    if (URL.parse(base) === null || base.endsWith('/')) complain(`an endpoint that is none: ${base}`);
});

const confs = texts({
  pieces: [
    ...toml,
    '[[registry]]\n',
    '[[registry.mirror]]\n',
    'prefix',
    'location',
    'insecure',
    'blocked',
    'mirror',
    'mirror-by-digest-only',
    'pull-from-mirror',
    '"digest-only"',
    '"r.io"',
    '"*.io"',
    '"r.io/a"',
    '"*.io/a/"',
    '"r.io:5000"',
    '"r.io/a:1"',
    '*',
    '/',
    'registry',
  ],
  samples: [
    '[[registry]]\nprefix = "*.io/a"\nlocation = "s.io/b"\n[[registry.mirror]]\nlocation = "m.io:5000/x"\ninsecure = true\npull-from-mirror = "tag-only"\n',
    'unqualified-search-registries = ["a"]\n[[registry]]\nlocation = "r.io"\nblocked = true\n[[registry]]\nprefix = "r.io/a"\nlocation = "t.io"\nmirror-by-digest-only = true\n',
  ],
});
const names = fc.record({
  host: fc.constantFrom('r.io', 'a.r.io', 'r.io:5000', '[::1]:5000', 'io'),
  path: fc.constantFrom('a', 'a/b', 'ab', 'library/a'),
  tag: fc.constantFrom(null, '1', '10'),
  digest: fc.constantFrom(null, digest),
});
export const confTarget = fc.property(confs, names, (text, name) => {
  const conf = only(['failed-precondition'], () => parseRegistriesConf(text, '/r.conf'));
  const found = conf && only(['failed-precondition', 'permission-denied'], () => locate(conf, name));
  if (found === null) return;
  if (found.length === 0) complain('a name that is nowhere');
  for (const { host, repository } of found) {
    if (host === '' || host.includes('/') || repository === '' || repository.startsWith('/'))
      complain(`a place that is none: ${host} ${repository}`);
  }
});

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const authWords = [secret, base64(`u:${secret}`), base64(secret), `${secret}\n`, 'r.io', 'x'];
const authKeys = [
  'auths',
  'credHelpers',
  'credsStore',
  'auth',
  'username',
  'password',
  'identitytoken',
  'registrytoken',
  'r.io',
  'r.io/a',
  'https://r.io/v1/',
  'https://index.docker.io/v1/',
];
const authFiles = fc.oneof(
  documents(authKeys, authWords).map((value) => JSON.stringify(value) ?? ''),
  fc
    .record({
      auths: fc.dictionary(
        fc.constantFrom('r.io', 'r.io/a', 'https://r.io/v1/'),
        fc.dictionary(fc.constantFrom(...authKeys), fc.constantFrom<unknown>(...authWords, 5, null)),
      ),
      credHelpers: fc.dictionary(fc.constantFrom('r.io', 's.io'), fc.constantFrom<unknown>('ok', '../x', 5)),
      credsStore: fc.constantFrom<unknown>('', 'store', 5),
    })
    .map((value) => JSON.stringify(value)),
  texts({ pieces: ['{', '}', '"', ':', ',', ...authWords], samples: [`{"auths":{"r.io":{"auth":"${secret}"}}}`] }),
);
export const authTarget = fc.property(authFiles, names, (text, { host, path }) => {
  const file = only(['failed-precondition'], () => parseAuthFile(text, '/auth.json'));
  if (file === null) return;
  const { helper } = findInFile(file, host, path);
  if (helper && !/^[A-Za-z0-9][\w.-]*$/.test(helper.program)) complain(`a helper that is none: ${helper.program}`);
});

const authConfigs = fc.record({
  username: fc.constantFrom('', 'u'),
  password: fc.constantFrom('', secret),
  auth: fc.oneof(fc.constantFrom('', ...authWords), fc.string({ unit: 'binary' })),
  serverAddress: fc.oneof(fc.constantFrom('', 'https://r.io/v1/', 'r.io:443'), fc.string({ unit: 'binary' })),
  identityToken: fc.constantFrom('', '', secret),
  registryToken: fc.constantFrom('', '', secret, `${secret}\r\nX: y`),
});
export const authConfigTarget = fc.property(authConfigs, (auth) => {
  const bound = only(['invalid-argument'], () => bindCredentials(auth, 'r.io'));
  if (bound?.credentials.type === 'bearer' && /[^\x21-\x7e]/.test(bound.credentials.token))
    complain('a token that no header can hold');
});
