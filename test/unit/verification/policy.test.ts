import test from 'ava';
import { readImageName } from '../../../src/image/verify.ts';
import { Failure } from '../../../src/lib/failure.ts';
import { identityMismatch, type IdentityRule } from '../../../src/verification/identity.ts';
import type { ImageName } from '../../../src/verification/name.ts';
import { parsePolicy, rulingFor } from '../../../src/verification/policy.ts';

const name = (text: string): ImageName => readImageName(text)!;
const accept = [{ type: 'insecureAcceptAnything' }];
const reject = [{ type: 'reject' }];
const policyOf = (docker: object, fallback: object = reject) =>
  parsePolicy(JSON.stringify({ default: fallback, transports: { docker } }), 'test');

test('the narrowest scope counts', (t) => {
  const scopes = [
    'reg.example:5000/team/app:v1',
    'reg.example:5000/team/app',
    'reg.example:5000/team',
    'reg.example:5000',
    '*.example.com',
    'docker.io/library',
    '',
  ];
  const policy = policyOf(Object.fromEntries(scopes.map((scope) => [scope, accept])));
  const cases: readonly [string, string][] = [
    ['reg.example:5000/team/app:v1', 'reg.example:5000/team/app:v1'],
    ['reg.example:5000/team/app:v2', 'reg.example:5000/team/app'],
    [`reg.example:5000/team/app:v1@sha256:${'a'.repeat(64)}`, 'reg.example:5000/team/app'],
    ['reg.example:5000/team/apple:v1', 'reg.example:5000/team'],
    ['reg.example:5000/teams/app:v1', 'reg.example:5000'],
    ['a.b.example.com/x', '*.example.com'],
    ['example.com/x', 'docker'],
    ['busybox', 'docker.io/library'],
    ['me/busybox', 'docker'],
    ['[::1]:5000/x', 'docker'],
  ];
  for (const [text, scope] of cases) t.is(rulingFor(policy, name(text)).scope, scope, text);
  t.is(rulingFor(policyOf({}), name('busybox')).scope, 'default');
  t.is(rulingFor(policy, null).scope, 'default', 'an image without a name is in no scope');
});

test('a policy that is not understood is refused', (t) => {
  const key = { keyPath: '/k.pub' };
  const bad: readonly [unknown, RegExp][] = [
    ['{', /not JSON/],
    [[], /not a JSON object/],
    [{}, /default is not a list/],
    [{ default: [] }, /default is not a list/],
    [{ default: accept, extra: 1 }, /unknown key "extra"/],
    [{ default: [{ type: 'acceptAnything' }] }, /default\[0\]: unknown type "acceptAnything"/],
    [{ default: [{ type: 'reject', why: '' }] }, /unknown key "why"/],
    [{ default: [{ type: 'sigstoreSigned' }] }, /exactly one of keyPath/],
    [{ default: [{ type: 'sigstoreSigned', ...key, keyData: 'x' }] }, /exactly one of keyPath/],
    [{ default: [{ type: 'sigstoreSigned', keyPath: 'k.pub' }] }, /keyPath is not absolute/],
    [{ default: [{ type: 'sigstoreSigned', keyPaths: '/k.pub' }] }, /keyPaths is not a list/],
    [{ default: [{ type: 'sigstoreSigned', keyPaths: [] }] }, /keyPaths is not a list/],
    [{ default: [{ type: 'sigstoreSigned', ...key, signedIdentity: { type: 'any' } }] }, /unknown type "any"/],
    [
      { default: [{ type: 'sigstoreSigned', ...key, signedIdentity: { type: 'exactRepository' } }] },
      /dockerRepository/,
    ],
    [{ default: [{ type: 'podwrightVerifier', path: 'v' }] }, /path is not absolute/],
    [{ default: [{ type: 'podwrightVerifier', path: '/v', timeoutSeconds: 0 }] }, /timeoutSeconds/],
    [{ default: accept, transports: { docker: { 'a.example': [] } } }, /scope "a.example" is not a list/],
    [{ default: accept, transports: { docker: [] } }, /transports.docker is not an object/],
  ];
  for (const [value, why] of bad) {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const error = t.throws(() => parsePolicy(text, '/p.json'), { instanceOf: Failure }, text);
    t.regex(error.message, /image policy \/p\.json/);
    t.regex(error.message, why);
  }
});

test('what other tools check and we do not is kept as a refusal of its scope alone', (t) => {
  const policy = policyOf(
    {
      'registry.redhat.io': [{ type: 'signedBy', keyType: 'GPGKeys', keyPath: '/etc/pki/rpm-gpg/key' }],
      'a.example': [{ type: 'sigstoreSigned', fulcio: { caPath: '/x' } }],
    },
    accept,
  );
  t.like(rulingFor(policy, name('registry.redhat.io/ubi9')).requirements[0], { type: 'unsupported' });
  t.like(rulingFor(policy, name('a.example/x')).requirements[0], { what: 'sigstoreSigned with fulcio' });
  t.deepEqual(rulingFor(policy, name('busybox')).requirements, [{ type: 'accept' }]);
  const other = { default: accept, transports: { 'docker-daemon': { '': reject }, dir: { '/x': reject } } };
  t.notThrows(() => parsePolicy(JSON.stringify(other), 'p'), 'transports that are not ours say nothing to us');
});

const digest = `sha256:${'b'.repeat(64)}`;
const identities: readonly [IdentityRule, wanted: string, signed: string, fits: boolean][] = [
  [{ type: 'matchRepository' }, 'r.example/app:v1', 'r.example/app', true],
  [{ type: 'matchRepository' }, 'r.example/app:v1', 'r.example/app:v9', true],
  [{ type: 'matchRepository' }, 'r.example/app:v1', 'r.example/other', false],
  [{ type: 'matchRepository' }, 'r.example/app:v1', 'r.example/app/more', false],
  [{ type: 'matchRepository' }, 'busybox', 'index.docker.io/library/busybox', true],
  [{ type: 'matchRepository' }, 'r.example/app:v1', 'NOT A NAME', false],
  [{ type: 'matchRepoDigestOrExact' }, 'r.example/app:v1', 'r.example/app:v1', true],
  [{ type: 'matchRepoDigestOrExact' }, 'r.example/app:v1', 'r.example/app:v2', false],
  [{ type: 'matchRepoDigestOrExact' }, 'r.example/app:latest', 'r.example/app', false],
  [{ type: 'matchRepoDigestOrExact' }, `r.example/app@${digest}`, 'r.example/app:v2', true],
  [{ type: 'matchRepoDigestOrExact' }, `r.example/app@${digest}`, 'r.example/other:v2', false],
  [{ type: 'matchExact' }, `r.example/app@${digest}`, `r.example/app@${digest}`, true],
  [{ type: 'matchExact' }, `r.example/app@${digest}`, 'r.example/app:v2', false],
  [{ type: 'exactRepository', name: 'up.example/app' }, 'r.example/app:v1', 'up.example/app:v9', true],
  [{ type: 'exactRepository', name: 'up.example/app' }, 'r.example/app:v1', 'r.example/app', false],
  [{ type: 'exactReference', name: 'up.example/app:v1' }, 'r.example/app:v1', 'up.example/app:v1', true],
  [{ type: 'exactReference', name: 'up.example/app:v1' }, 'r.example/app:v1', 'up.example/app:v2', false],
  [{ type: 'remapIdentity', prefix: 'm.example', signedPrefix: 'up.example' }, 'm.example/a:1', 'up.example/a:1', true],
  [{ type: 'remapIdentity', prefix: 'm.example', signedPrefix: 'up.example' }, 'm.example/a:1', 'm.example/a:1', false],
  [{ type: 'remapIdentity', prefix: 'M.example', signedPrefix: 'up.example' }, 'm.example/a:1', 'up.example/a:1', true],
  [{ type: 'matchRepository' }, 'r.example:443/app:v1', 'R.example/app', true],
  [
    { type: 'remapIdentity', prefix: 'm.example/x', signedPrefix: 'up.example' },
    'm.example/xy:1',
    'm.example/xy:1',
    true,
  ],
];

for (const [rule, wanted, signed, fits] of identities) {
  const { type, ...rest } = rule;
  test(`${type} ${Object.values(rest).join(' to ')}: a signature for ${signed} ${fits ? 'fits' : 'does not fit'} ${wanted}`, (t) => {
    const mismatch = identityMismatch(rule, { wanted: name(wanted), signed }, readImageName);
    t.is(mismatch === null, fits, mismatch ?? '');
  });
}

test('a scope holds however the host is written, in the name and in the policy', (t) => {
  const ways = [
    'a.example.com:443/x',
    'a.example.com:0443/x',
    'a.example.com:5000/x',
    'A.EXAMPLE.COM/x',
    'a.Example.com:80/x',
    'busybox',
    'DOCKER.IO/library/busybox',
    'DOCKER.IO/busybox',
    'docker.io:443/library/busybox',
    'index.docker.io/library/busybox',
    'registry-1.docker.io/library/busybox',
    'registry-1.docker.io/busybox',
    'REG.other/x',
    'reg.other:443/x',
    'Reg.Other:443/x',
    '[0:0:0:0:0:0:0:1]:5000/x',
    '127.1:5000/x',
    '2130706433:5000/x',
  ];
  const scopes = [
    ['*.example.com', 'docker.io', 'reg.other', '[::1]:5000', '127.0.0.1:5000'],
    ['*.EXAMPLE.com', 'Index.docker.io', 'REG.other:443', '[0::1]:5000', '127.1:5000'],
  ];
  for (const list of scopes) {
    const policy = policyOf(Object.fromEntries(list.map((scope) => [scope, reject])), accept);
    for (const text of ways)
      t.is(rulingFor(policy, name(text)).requirements[0]?.type, 'reject', `${text} of ${list[0]}`);
    for (const text of ['example.com/x', 'other.io/x', 'reg.other:5000/x', 'localhost:443/x'])
      t.is(rulingFor(policy, name(text)).requirements[0]?.type, 'accept', text);
  }
  const library = policyOf({ 'docker.io/library': reject }, accept);
  t.is(rulingFor(library, name('registry-1.docker.io/busybox')).scope, 'docker.io/library');
  t.throws(() => policyOf({ 'reg.other': reject, 'REG.other:443': accept }), {
    message: /scope "reg\.other" is there twice/,
  });
  t.notThrows(() => policyOf({ 'reg.other': reject, 'REG.other:443': reject }));
});
