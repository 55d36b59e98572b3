// Hooks of the node's directories: documents, which file counts, in what order, and which containers have them.
import test from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import { type HookFile, parseHook } from '../../../src/oci-hooks/hook.ts';
import { type HookedContainer, hooksFor, readHooks } from '../../../src/oci-hooks/select.ts';

const spec = (change: object = {}) => ({
  version: '1.0.0',
  hook: { path: '/usr/libexec/hook' },
  when: { always: true },
  stages: ['prestart'],
  ...change,
});
const file = (value: unknown, path = '/etc/hooks.d/a.json', priority = 0): HookFile => ({
  path,
  priority,
  content: { text: typeof value === 'string' ? value : JSON.stringify(value) },
});

test('a whole hook', (t) => {
  const hook = { path: '/h', args: ['h', 'x'], env: ['A=b'], timeout: 5 };
  const when = { always: false, hasBindMounts: true, annotations: { '^a$': '^b$' }, commands: ['sh$'] };
  const read = parseHook(file(spec({ hook, when, stages: ['poststop', 'createRuntime', 'poststop'] })));
  t.like(read, { path: '/etc/hooks.d/a.json', hook, stages: ['poststop', 'createRuntime'] });
  t.like(parseHook(file(spec())), {
    hook: { path: '/usr/libexec/hook', args: ['/usr/libexec/hook'], env: [], timeout: 60 },
  });
});

for (const [name, value, why] of [
  ['no JSON', '{', /^it is not JSON: /],
  ['no object', '[]', /^it is not an object$/],
  ['no version', spec({ version: undefined }), /^version is missing$/],
  ['another version', spec({ version: '0.1.0' }), /^version "0\.1\.0" is not 1\.0\.0$/],
  ['no hook', spec({ hook: undefined }), /^hook is not an object$/],
  ['no path', spec({ hook: {} }), /^hook\.path is not a string$/],
  ['a relative path', spec({ hook: { path: 'h' } }), /^hook\.path "h" is not an absolute path$/],
  ['an environment', spec({ hook: { path: '/h', env: ['A'] } }), /^hook\.env\[0\] is not NAME=value$/],
  ['a timeout', spec({ hook: { path: '/h', timeout: 0 } }), /^hook\.timeout is 0$/],
  ['no stages', spec({ stages: undefined }), /^stages is empty$/],
  ['a stage', spec({ stages: ['start'] }), /^stages\[0\] "start" is not a kind of hook$/],
  ['precreate', spec({ stages: ['precreate'] }), /^stages\[0\] "precreate" is not supported/],
  ['no condition object', spec({ when: undefined }), /^when is not an object$/],
  ['a condition', spec({ when: { sometimes: true } }), /^when\.sometimes is not known$/],
  ['always', spec({ when: { always: 'yes' } }), /^when\.always is neither true nor false$/],
  ['a pattern', spec({ when: { commands: ['ok', '('] } }), /^when\.commands\[1\] "\(" is no pattern: /],
  ['a key', spec({ when: { annotations: { '[': 'x' } } }), /^when\.annotations\["\["\] "\[" is no pattern: /],
  ['a value', spec({ when: { annotations: { a: '(?=b)' } } }), /^when\.annotations\["a"\] .*is not understood$/],
  ['another member', spec({ also: 1 }), /^also is not known$/],
] as const)
  test(`no hook: ${name}`, (t) => {
    const read = parseHook(file(value));
    t.regex(typeof read === 'string' ? read : 'it is one', why);
  });

test('a file that could not be read is none', (t) =>
  t.is(parseHook({ path: '/a.json', priority: 0, content: { why: 'it is not a file' } }), 'it is not a file'));

test('files are run by their names, and the last directory’s counts, broken or not', (t) => {
  const at = (path: string, priority: number, value: unknown = spec()) => file(value, path, priority);
  const { hooks, broken } = readHooks([
    at('/one/b.json', 0),
    at('/one/C.json', 0),
    at('/one/z.json', 0),
    at('/two/a.json', 1),
    at('/two/b.json', 1),
    at('/two/z.json', 1, '{'),
    { path: '/x/hooks.d', priority: 2, content: { why: 'EACCES' } },
    { path: '/y/hooks.d', priority: 3, content: { why: 'EACCES' } },
  ]);
  t.deepEqual(
    hooks.map(({ path }) => path),
    ['/two/a.json', '/two/b.json', '/one/C.json'],
  );
  t.deepEqual(
    broken.map(({ path }) => path),
    ['/x/hooks.d', '/y/hooks.d', '/two/z.json'],
  );
});

const container: HookedContainer = {
  annotations: { 'oci.example/trace': 'true', other: 'x' },
  command: '/usr/bin/Sh',
  hasBindMounts: false,
};
for (const [when, wanted, change] of [
  [{}, false],
  [{ always: true }, true],
  [{ always: false }, false],
  [{ always: false, commands: ['.'] }, false],
  [{ hasBindMounts: true }, false],
  [{ hasBindMounts: true }, true, { hasBindMounts: true }],
  [{ hasBindMounts: false }, false],
  [{ always: true, hasBindMounts: true }, false],
  [{ annotations: { '^oci\\.example/trace$': '^true$' } }, true],
  [{ annotations: { trace: 'ru' } }, true],
  [{ annotations: { '^trace': '.' } }, false],
  [{ annotations: { trace: '^x$' } }, false],
  [{ annotations: { trace: 'true', other: 'x' } }, true],
  [{ annotations: { trace: 'true', other: 'y' } }, false],
  [{ commands: ['^/usr/bin/(?:bash|Sh)$'] }, true],
  [{ commands: ['/sh$'] }, false],
  [{ commands: ['nothing', '(?i)/sh$'] }, true],
  [{ always: true, commands: ['nothing'] }, false],
] as const)
  test(`when ${JSON.stringify(when)}${change ? ' with binds' : ''}: ${wanted ? 'run' : 'not run'}`, (t) => {
    const found = hooksFor(readHooks([file(spec({ when }))]), { ...container, ...change });
    t.is(found.length, wanted ? 1 : 0);
  });

test('one hook at several stages', (t) => {
  const found = hooksFor(readHooks([file(spec({ stages: ['poststop', 'prestart'] }))]), container);
  t.deepEqual(
    found.map(({ kind }) => kind),
    ['prestart', 'poststop'],
  );
});

test('a pattern that would take ages is given up, by name', (t) => {
  const files = [file(spec({ when: { annotations: { a: '^(a+)+$' } } }))];
  const error = t.throws(() => hooksFor(readHooks(files), { ...container, annotations: { a: `${'a'.repeat(64)}b` } }), {
    instanceOf: Failure,
    message: 'pattern "a", "^(a+)+$" of hook /etc/hooks.d/a.json takes too long to match',
  });
  t.is(error?.kind, 'failed-precondition');
});

test('many slow texts count together', (t) => {
  const files = [file(spec({ when: { annotations: { a: '^(a+)+$' } } }))];
  // each takes some milliseconds: none alone is what is given up
  const slow = Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`a${at}`, `${'a'.repeat(20)}b`]));
  t.throws(() => hooksFor(readHooks(files), { ...container, annotations: slow }), {
    message: /takes too long to match$/,
  });
});
