import test from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import { findInFile, parseAuthFile } from '../../../src/registry/auth-file.ts';
import { nodeCredentials } from '../../../src/registry/node-credentials.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const basic = (username: string) => ({ auth: base64(`${username}:pw:of`) });
const signal = new AbortController().signal;

/** Whose credentials a file has for a repository: a user, `helper name server`, or nothing. */
function whose(file: object, host: string, repository: string): string {
  const found = findInFile(parseAuthFile(JSON.stringify(file), '/f'), host, repository);
  if (found.helper) return `helper ${found.helper.program} ${found.helper.server}`;
  return found.credentials === null ? 'nothing' : JSON.stringify(Object.values(found.credentials).slice(0, 2));
}

test('the longest namespace counts', (t) => {
  const auths = {
    'r.io/a/b/c': basic('abc'),
    'r.io/a': basic('a'),
    'r.io': basic('all'),
    'r.io:5000/a': basic('port'),
  };
  const of = (host: string, repository: string) => whose({ auths }, host, repository);
  t.is(of('r.io', 'a/b/c'), '["basic","abc"]');
  t.is(of('r.io', 'a/b/cd'), '["basic","a"]');
  t.is(of('r.io', 'a'), '["basic","a"]');
  t.is(of('r.io', 'b'), '["basic","all"]');
  t.is(of('r.io:5000', 'a/b'), '["basic","port"]');
  t.is(of('r.io:5000', 'b'), 'nothing');
  t.is(of('s.io', 'a'), 'nothing');
});

test('spellings of hosts: URLs of docker login, case, the Docker Hub by all its names', (t) => {
  for (const key of ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io', 'registry-1.docker.io']) {
    t.is(whose({ auths: { [key]: basic('hub') } }, 'registry-1.docker.io', 'library/x'), '["basic","hub"]', key);
  }
  for (const key of ['https://R.io/v2/', 'http://r.io', 'r.io/', 'https://r.io:443']) {
    t.is(whose({ auths: { [key]: basic('u') } }, 'r.io', 'x'), '["basic","u"]', key);
  }
  t.is(whose({ auths: { 'https://r.io/team': basic('u') } }, 'r.io', 'team/x'), '["basic","u"]');
  t.is(whose({ auths: { 'https://r.io/team': basic('u') } }, 'r.io', 'x'), 'nothing');
});

test('the kinds of an entry', (t) => {
  const of = (entry: object) => whose({ auths: { 'r.io': entry } }, 'r.io', 'x');
  t.is(of({ username: 'u', password: 'p' }), '["basic","u"]');
  t.is(of({ auth: base64('u:'), identitytoken: 'refresh' }), '["identity","refresh"]');
  t.is(of({ registrytoken: 'bearer' }), '["bearer","bearer"]');
  t.is(of({ ...basic('u'), email: 'x@y' }), '["basic","u"]');
  t.is(of({}), 'nothing');
});

test('helpers: of a host before entries, the store for all others', (t) => {
  const file = {
    auths: { 'r.io': basic('u'), 'h.io/team': basic('never') },
    credHelpers: { 'h.io': 'ecr-login', 'https://index.docker.io/v1/': 'hub' },
    credsStore: 'pass',
  };
  t.is(whose(file, 'h.io', 'team/x'), 'helper ecr-login h.io');
  t.is(whose(file, 'docker.io', 'library/x'), 'helper hub https://index.docker.io/v1/');
  t.is(whose(file, 'r.io', 'x'), '["basic","u"]');
  t.is(whose(file, 's.io:5000', 'x'), 'helper pass s.io:5000');
  t.is(whose({ credsStore: 'pass' }, 'docker.io', 'x'), 'helper pass https://index.docker.io/v1/');
});

for (const [name, text] of [
  ['no JSON', '{"auths": {"r.io": {"auth": "SECRET"'],
  ['no object', '["SECRET"]'],
  ['auths of another type', '{"auths": "SECRET"}'],
  ['an entry of another type', '{"auths": {"r.io": "SECRET"}}'],
  ['auth that is no base64', '{"auths": {"r.io": {"auth": "SECRET!"}}}'],
  ['auth without a colon', '{"auths": {"r.io": {"auth": "U0VDUkVU"}}}'],
  ['a password of another type', '{"auths": {"SECRET SECRET": {"password": 5}}}'],
  ['a token that no header may have', '{"auths": {"r.io": {"registrytoken": "SECRET\\n"}}}'],
  ['a helper with a path', '{"credHelpers": {"r.io": "../SECRET"}}'],
  ['a store with blanks', '{"credsStore": "SECRET x"}'],
] as const) {
  test(`a file with ${name} is refused without showing it`, (t) => {
    const error = t.throws(() => parseAuthFile(text, '/etc/auth.json'), { instanceOf: Failure });
    t.is(error.kind, 'failed-precondition');
    t.regex(error.message, /^registry credentials file \/etc\/auth\.json is not usable: /);
    t.false(/SECRET|U0VD/.test(`${error.message}${String(error.cause)}`), error.message);
  });
}

test('files in their order, helpers asked, files that are not there skipped, changes seen', async (t) => {
  const files = new Map<string, string>([
    ['/one', JSON.stringify({ credHelpers: { 'h.io': 'none' }, auths: { 'r.io': basic('one') } })],
    ['/two', JSON.stringify({ auths: { 'r.io': basic('two'), 'h.io': basic('h'), 's.io': basic('s') } })],
  ]);
  const asked: string[] = [];
  const lookup = nodeCredentials({
    files: ['/missing', '/one', '/two'],
    mustExist: false,
    readText: async (path) => files.get(path) ?? null,
    askHelper: async ({ program, server }) => {
      asked.push(`${program} ${server}`);
      return null;
    },
  });
  const of = async (host: string) => JSON.stringify(await lookup(host, 'x', signal));
  t.regex(await of('r.io'), /"one"/);
  t.regex(await of('h.io'), /"h"/, 'a helper that has nothing hands on to the next file');
  t.deepEqual(asked, ['none h.io']);
  t.regex(await of('s.io'), /"s"/);
  t.regex(await of('t.io'), /anonymous/);
  files.set('/one', JSON.stringify({ auths: { 't.io': basic('new') } }));
  t.regex(await of('t.io'), /"new"/);
  files.set('/one', 'broken');
  await t.throwsAsync(lookup('s.io', 'x', signal), { message: /\/one is not usable/ });
});
