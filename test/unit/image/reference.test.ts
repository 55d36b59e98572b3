import test from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import { formatReference, parseImageQuery, parseReference, repoTag } from '../../../src/image/reference.ts';

const hex = 'a'.repeat(64);
const digest = `sha256:${hex}`;

const normalised: readonly (readonly [string, string])[] = [
  ['busybox', 'docker.io/library/busybox:latest'],
  ['busybox:1.36', 'docker.io/library/busybox:1.36'],
  ['library/busybox', 'docker.io/library/busybox:latest'],
  ['foo/bar', 'docker.io/foo/bar:latest'],
  ['docker.io/busybox', 'docker.io/library/busybox:latest'],
  ['index.docker.io/busybox', 'docker.io/library/busybox:latest'],
  ['index.docker.io/library/busybox:x', 'docker.io/library/busybox:x'],
  ['localhost/app', 'localhost/app:latest'],
  ['localhost:5000/app', 'localhost:5000/app:latest'],
  ['localhost:5000/app:v1', 'localhost:5000/app:v1'],
  ['127.0.0.1:5000/bench/tools:latest', '127.0.0.1:5000/bench/tools:latest'],
  ['[::1]:5000/app', '[::1]:5000/app:latest'],
  ['[fe80::1]/app:t', '[fe80::1]/app:t'],
  ['registry.k8s.io/pause:3.10', 'registry.k8s.io/pause:3.10'],
  ['a.b/c/d/e/f:t', 'a.b/c/d/e/f:t'],
  ['Registry/app', 'Registry/app:latest'],
  [`busybox@${digest}`, `docker.io/library/busybox@${digest}`],
  [`busybox:1@${digest}`, `docker.io/library/busybox:1@${digest}`],
  [`reg:5000/a@${digest}`, `reg:5000/a@${digest}`],
  ['a__b/c-d.e', 'docker.io/a__b/c-d.e:latest'],
  ['a---b', 'docker.io/library/a---b:latest'],
  [`x:${'t'.repeat(128)}`, `docker.io/library/x:${'t'.repeat(128)}`],
  ['DOCKER.IO/busybox', 'DOCKER.IO/library/busybox:latest'],
  ['registry-1.docker.io:443/busybox', 'registry-1.docker.io:443/library/busybox:latest'],
  ['x:_under', 'docker.io/library/x:_under'],
];

for (const [text, expected] of normalised) {
  test(`normalises ${text.slice(0, 60)}`, (t) => t.is(formatReference(parseReference(text)), expected));
}

const invalid = [
  '',
  ' ',
  'busybox ',
  'Busybox',
  'foo/Bar',
  'foo//bar',
  '/foo',
  'foo/',
  'foo_/bar',
  '-foo',
  'foo:',
  'foo:-tag',
  `foo:${'t'.repeat(129)}`,
  'foo@',
  'foo@sha256:abc',
  `foo@sha256:${'A'.repeat(64)}`,
  `foo@sha512:${'a'.repeat(128)}`,
  `foo@md5:${'a'.repeat(32)}`,
  `foo@${digest}@${digest}`,
  hex,
  `a.b/${'x'.repeat(252)}`,
  '-host.x/app',
  'host.x:99999/app',
  'host.x:0/app',
  'host.x:/app',
  'https://host/app',
  '[::1/app',
  '[::g]/app',
  'a..b/c',
  'foo/../bar',
  'foo\n',
  'föö',
  'docker.io/',
];

for (const text of invalid) {
  test(`refuses ${JSON.stringify(text).slice(0, 60)}`, (t) => {
    const error = t.throws(() => parseReference(text), { instanceOf: Failure });
    t.is(error.kind, 'invalid-argument');
    t.regex(error.message, /^image reference ".*" is not valid: [^A-Z]/s);
  });
}

test('a pull by digest names no tag', (t) => {
  t.is(repoTag(parseReference('busybox')), 'docker.io/library/busybox:latest');
  t.is(repoTag(parseReference(`busybox:1@${digest}`)), null);
});

test('queries: references, ids and beginnings of ids', (t) => {
  t.deepEqual(parseImageQuery(digest), { reference: null, hexPrefix: hex });
  t.deepEqual(parseImageQuery(hex), { reference: null, hexPrefix: hex });
  t.deepEqual(parseImageQuery('sha256:abcd'), { reference: null, hexPrefix: 'abcd' });
  const cafe = parseImageQuery('cafe01');
  t.is(cafe.hexPrefix, 'cafe01');
  t.is(cafe.reference?.path, 'library/cafe01');
  t.is(parseImageQuery('abc').hexPrefix, null);
  t.is(parseImageQuery('busybox').hexPrefix, null);
});
