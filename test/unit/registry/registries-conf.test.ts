import test from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import { findEndpoints } from '../../../src/registry/endpoints.ts';
import { locate } from '../../../src/registry/locations.ts';
import { mergeRegistriesConf, parseRegistriesConf } from '../../../src/registry/registries-conf.ts';

const digest = `sha256:${'a'.repeat(64)}`;

/** Where the places of a reference are: `host/repository`, with "!" after an insecure one. */
function places(text: string, reference: string): string[] {
  const [name = '', digested = null] = reference.split('@');
  const [, whole = '', tag = null] = /^(.*?)(?::([^/:]*))?$/.exec(name) ?? [];
  const slash = whole.indexOf('/');
  const conf = parseRegistriesConf(text, '/r.conf');
  const found = locate(conf, { host: whole.slice(0, slash), path: whole.slice(slash + 1), tag, digest: digested });
  return found.map(({ host, repository, insecure }) => `${host}/${repository}${insecure ? '!' : ''}`);
}

const rule = (lines: string): string => `[[registry]]\n${lines.split('; ').join('\n')}\n`;
const mirror = (lines: string): string => `[[registry.mirror]]\n${lines.split('; ').join('\n')}\n`;

test('a name that no prefix covers stays where it is', (t) => {
  t.deepEqual(places('', 'docker.io/library/busybox:1'), ['docker.io/library/busybox']);
  const other = rule('prefix = "example.com/foo"; location = "in.example/bar"');
  for (const name of ['example.com/food/x:1', 'example.com/fo:1', 'a.example.com/foo:1', 'example.community/foo:1']) {
    t.deepEqual(places(other, name), [name.slice(0, -2)], name);
  }
});

test('a prefix is replaced by its location', (t) => {
  const text = rule('prefix = "example.com/foo"; location = "in.example/bar"');
  t.deepEqual(places(text, 'example.com/foo/my/image:latest'), ['in.example/bar/my/image']);
  t.deepEqual(places(text, 'example.com/foo:latest'), ['in.example/bar']);
  t.deepEqual(places(text, `example.com/foo@${digest}`), ['in.example/bar']);
  t.deepEqual(places(rule('prefix = "docker.io"; location = "cache.example:5000/hub"'), 'docker.io/library/b:1'), [
    'cache.example:5000/hub/library/b',
  ]);
  t.deepEqual(places(rule('prefix = "r.io/a:1"; location = "s.io/b:2"'), 'r.io/a:1'), ['s.io/b']);
  t.deepEqual(places(rule('prefix = "r.io/a:1"; location = "s.io/b:2"'), 'r.io/a:10'), ['r.io/a']);
});

test('the longest prefix counts, and only it', (t) => {
  const text =
    rule('prefix = "r.io"; location = "one.io"') +
    rule('prefix = "r.io/a/b"; location = "three.io"') +
    rule('prefix = "r.io/a"; location = "two.io"') +
    rule('prefix = "*.io"; location = "never.io"');
  t.deepEqual(places(text, 'r.io/x:1'), ['one.io/x']);
  t.deepEqual(places(text, 'r.io/a/x:1'), ['two.io/x']);
  t.deepEqual(places(text, 'r.io/a/b/x:1'), ['three.io/x']);
});

test('a star stands for the beginning of a host', (t) => {
  const text = rule('prefix = "*.example.com"; location = "in.example/all"');
  t.deepEqual(places(text, 'a.example.com/x:1'), ['in.example/all/x']);
  t.deepEqual(places(text, 'a.b.example.com/x:1'), ['in.example/all/x']);
  t.deepEqual(places(text, 'example.com/x:1'), ['example.com/x']);
  t.deepEqual(places(text, 'aexample.com/x:1'), ['aexample.com/x']);
  t.deepEqual(places(text, 'other.io/a.example.com/x:1'), ['other.io/a.example.com/x']);
  const port = rule('prefix = "*.example.com"; location = "in.example"');
  t.deepEqual(places(port, 'a.example.com:5000/x:1'), ['in.example:5000/x']);
  const path = rule('prefix = "*.example.com/team"; location = "in.example"');
  t.deepEqual(places(path, 'a.example.com/team/x:1'), ['in.example/x']);
  t.deepEqual(places(path, 'a.example.com/teams/x:1'), ['a.example.com/teams/x']);
  t.deepEqual(places(rule('prefix = "*.example.com"; insecure = true'), 'a.example.com/x:1'), ['a.example.com/x!']);
});

test('mirrors come first, each with its own use and security', (t) => {
  const text =
    rule('location = "r.io"; insecure = true') +
    mirror('location = "m1.io/r"') +
    mirror('location = "m2.io"; insecure = true; pull-from-mirror = "digest-only"') +
    mirror('location = "m3.io"; pull-from-mirror = "tag-only"');
  t.deepEqual(places(text, 'r.io/x:1'), ['m1.io/r/x', 'm3.io/x', 'r.io/x!']);
  t.deepEqual(places(text, `r.io/x@${digest}`), ['m1.io/r/x', 'm2.io/x!', 'r.io/x!']);
  const byDigest = rule('location = "r.io"; mirror-by-digest-only = true') + mirror('location = "m.io"');
  t.deepEqual(places(byDigest, 'r.io/x:1'), ['r.io/x']);
  t.deepEqual(places(byDigest, `r.io/x@${digest}`), ['m.io/x', 'r.io/x']);
});

test('a blocked prefix is refused by name, what is inside it may be allowed', (t) => {
  const text = rule('prefix = "r.io"; location = "r.io"; blocked = true') + rule('location = "r.io/good"');
  const error = t.throws(() => places(text, 'r.io/x:1'), { instanceOf: Failure });
  t.is(error.kind, 'permission-denied');
  t.is(error.message, 'pulling r.io/x is blocked by prefix "r.io" of /r.conf');
  t.deepEqual(places(text, 'r.io/good/x:1'), ['r.io/good/x']);
});

test('a location that leaves no repository is a fault of the file', (t) => {
  const error = t.throws(() => places(rule('prefix = "r.io/x"; location = "in.io"'), 'r.io/x:1'), {
    instanceOf: Failure,
  });
  t.is(error.kind, 'failed-precondition');
  t.regex(error.message, /location "in\.io" of prefix "r\.io\/x" in \/r\.conf leaves no repository/);
});

test('drop-ins: of a prefix the last table counts whole', (t) => {
  const first = parseRegistriesConf(rule('location = "r.io"; blocked = true') + rule('location = "s.io"'), '/a');
  const second = parseRegistriesConf(rule('location = "r.io"; insecure = true'), '/b');
  const { rules } = mergeRegistriesConf([first, second]);
  t.deepEqual(
    rules.map(({ prefix, blocked, insecure, file }) => [prefix, blocked, insecure, file]),
    [
      ['r.io', false, true, '/b'],
      ['s.io', false, false, '/a'],
    ],
  );
});

test('what the format has for other tools is taken, what it has not is told', (t) => {
  const text = `
unqualified-search-registries = ["quay.io"]
short-name-mode = "enforcing"
credential-helpers = ["containers-auth.json"]
strange = 1
[aliases]
"fedora" = "registry.fedoraproject.org/fedora"
${rule('location = "r.io"; blcoked = true')}${mirror('location = "m.io"; weight = 3')}`;
  t.deepEqual(parseRegistriesConf(text, '/f').notes, [
    '/f: key "strange" is unknown',
    '/f: unqualified-search-registries is not used: a short name is of docker.io',
    '/f: [[registry]] number 1: key "blcoked" is unknown',
    '/f: [[registry]] number 1: key "weight" of a mirror is unknown',
  ]);
});

for (const [name, text, message] of [
  ['no TOML', '[[registry', /line 1/],
  ['version 1', '[registries.block]\nregistries = ["x"]', /version 1/],
  ['a table for the list', '[registry]\nlocation = "r"', /not a list of tables/],
  ['neither prefix nor location', rule('insecure = true'), /neither a prefix nor a location/],
  ['a prefix alone', rule('prefix = "r.io"'), /no location/],
  ['a prefix twice', rule('location = "r.io"') + rule('prefix = "r.io/"; location = "s.io"'), /"r\.io" is there twice/],
  ['a star elsewhere', rule('prefix = "a.*.io"; location = "r"'), /has a "\*"/],
  ['two stars', rule('prefix = "*.*.io"; location = "r"'), /has a "\*"/],
  ['a star in a location', rule('prefix = "r"; location = "*.io"'), /location has a "\*"/],
  ['a scheme', rule('location = "https://r.io"'), /has a scheme/],
  ['a blank', rule('location = "r io"'), /is not a name/],
  ['a wrong type', rule('location = "r"; blocked = "yes"'), /blocked is not true or false/],
  [
    'a mirror without location',
    rule('location = "r"') + mirror('insecure = true'),
    /mirror number 1: it has no location/,
  ],
  ['a wrong use', rule('location = "r"') + mirror('location = "m"; pull-from-mirror = "x"'), /is none of/],
  [
    'two uses',
    rule('location = "r"; mirror-by-digest-only = true') + mirror('location = "m"; pull-from-mirror = "all"'),
    /contradict/,
  ],
] as const) {
  test(`registries.conf with ${name} is refused by name`, (t) => {
    const error = t.throws(() => parseRegistriesConf(text, '/c/r.conf'), { instanceOf: Failure, message });
    t.is(error.kind, 'failed-precondition');
    t.regex(error.message, /^registries\.conf file \/c\/r\.conf is not usable/);
  });
}

/** The endpoints of `host/team/app:v1` with these files. */
async function endpoints(files: Readonly<Record<string, string>>, host = 'r.io') {
  const notes: string[] = [];
  const found = await findEndpoints(
    {
      hostsDir: '/certs.d',
      registriesConf: '/r.conf',
      readText: async (path) => files[path] ?? null,
      listDir: async (dir) =>
        Object.keys(files)
          .filter((path) => path.startsWith(`${dir}/`))
          .map((path) => path.slice(dir.length + 1))
          .sort(),
      onNote: (note) => void notes.push(note),
      proxies: { http: '', https: '', none: '' },
      connectMs: 10,
    },
    { host, path: 'team/app', tag: 'v1', digest: null, skipVerify: false },
  );
  return { notes, found, bases: found.map((e) => `${e.base}/${e.repository}`) };
}

test('each place is spoken to as the hosts.toml of its host says', async (t) => {
  const { bases, found, notes } = await endpoints({
    '/r.conf':
      rule('location = "r.io"') + mirror('location = "m.io/hub"') + mirror('location = "n.io"; insecure = true'),
    '/r.conf.d/10-x.conf': 'what = 1',
    '/r.conf.d/20-x.txt': 'not read',
    '/certs.d/m.io/hosts.toml': '[host."https://near.m.io"]\nskip_verify = true',
    '/certs.d/n.io/hosts.toml': 'server = "https://n.io:8443"',
    '/certs.d/_default/hosts.toml': '[host."https://every.io"]',
  });
  t.deepEqual(bases, [
    'https://near.m.io/v2/hub/team/app',
    'https://m.io/v2/hub/team/app',
    'https://n.io:8443/v2/team/app',
    'https://every.io/v2/team/app',
    'https://r.io/v2/team/app',
  ]);
  t.deepEqual(
    found.map((e) => [e.isOrigin, e.namespace]),
    [
      [false, 'm.io'],
      [false, null],
      [false, 'n.io'],
      [false, 'r.io'],
      [true, null],
    ],
  );
  t.deepEqual(notes, ['/r.conf.d/10-x.conf: key "what" is unknown']);
});

test('insecure: TLS with any certificate, and plain HTTP in its stead', async (t) => {
  const { found } = await endpoints({ '/r.conf': rule('location = "r.io"; insecure = true') });
  t.deepEqual(
    found.map((e) => [e.base, e.tls.skipVerify, e.insteadOf]),
    [
      ['https://r.io/v2', true, null],
      ['http://r.io/v2', false, 'https://r.io/v2'],
    ],
  );
  const own = await endpoints({
    '/r.conf': rule('location = "r.io"; insecure = true'),
    '/certs.d/r.io/hosts.toml': 'dial_timeout = "1s"',
  });
  t.deepEqual(
    own.found.map((e) => [e.base, e.tls.skipVerify]),
    [['https://r.io/v2', false]],
    'hosts.toml of the host counts',
  );
});

test('no file, and no drop-ins', async (t) => {
  t.deepEqual((await endpoints({})).bases, ['https://r.io/v2/team/app']);
});

test('a prefix holds however the host is written, and a blocked one cannot be got around', (t) => {
  const ways: readonly (readonly [string, readonly string[]])[] = [
    ['reg.other', ['REG.other/x:1', 'reg.other:443/x:1', 'reg.other:0443/x:1']],
    ['REG.other:443/team', ['reg.other/team/x:1', 'Reg.other/team/x:1']],
    ['docker.io', ['DOCKER.IO/library/b:1', 'docker.io:443/library/b:1', 'registry-1.docker.io/library/b:1']],
    ['index.docker.io/library', ['docker.io/library/b:1']],
    ['*.Example.com', ['A.EXAMPLE.COM/x:1', 'a.example.com:443/x:1', 'a.example.com:5000/x:1']],
    ['*.example.com:443', ['a.example.com/x:1']],
  ];
  for (const [prefix, names] of ways) {
    const text = rule(`prefix = "${prefix}"; location = "in.example"; blocked = true`);
    for (const name of names) t.throws(() => places(text, name), { message: /is blocked by prefix/ }, name);
  }
  const moved = rule('prefix = "REG.other/a"; location = "in.example/b"');
  t.deepEqual(places(moved, 'reg.other:443/a/x:1'), ['in.example/b/x']);
  t.deepEqual(
    places(moved, 'Reg.other:443/c/x:1'),
    ['Reg.other:443/c/x'],
    'what is not moved is asked as it is written',
  );
});
