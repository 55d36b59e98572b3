// What a release says of itself, and which other it can take over from.
import test from 'ava';
import { parseRelease, type Release, takeoverProblems } from '../../../src/release/release.ts';

const parse = (text: string): Release => parseRelease(Buffer.from(text), 'RELEASE.json');

/** A whole document, changed. */
const whole = (change: object): string => {
  const formats = { records: { oldest: 1, newest: 1 }, monitorProtocol: { oldest: 1, newest: 1 } };
  return JSON.stringify({ version: '1.0.0', arch: 'amd64', ...formats, files: [{ path: 'a', link: 'b' }], ...change });
};

const release = (version: string, change: Partial<Release> = {}): Release => ({
  version,
  arch: 'amd64',
  records: { oldest: 1, newest: 1, writes: 1 },
  monitorProtocol: { oldest: 1, newest: 1 },
  files: [],
  digest: '',
  ...change,
});

test('a release says what it is', (t) => {
  const range = { oldest: 1, newest: 2 };
  const text = JSON.stringify({
    version: '0.3.1',
    arch: 'arm64',
    records: { ...range, writes: 1 },
    monitorProtocol: range,
    files: [
      { path: 'bin/podwright', sha256: 'aa', mode: '0755', size: 1 },
      { path: 'bin/podwright-monitor', link: '../lib' },
    ],
  });
  const { records, monitorProtocol, files, ...rest } = parse(text);
  t.like(rest, { version: '0.3.1', arch: 'arm64' });
  t.deepEqual(records, { oldest: 1, newest: 2, writes: 1 });
  t.like(monitorProtocol, range);
  t.deepEqual(files, [
    { path: 'bin/podwright', sha256: 'aa', mode: 0o755 },
    { path: 'bin/podwright-monitor', link: '../lib' },
  ]);
  t.regex(rest.digest, /^[0-9a-f]{64}$/);
});

for (const [what, text, said] of [
  ['no JSON', '{', /^RELEASE\.json is not JSON: it is no release of podwright$/],
  ['a list', '[]', /no object/],
  ['no version', '{}', /no version/],
  ['a version that is none', '{"version":"new"}', /no version/],
  ['no formats', '{"version":"1.0.0","arch":"amd64"}', /has no records/],
  ['no range', whole({ monitorProtocol: { oldest: 1 } }), /has no monitorProtocol\.oldest and newest/],
  ['no files', whole({ files: [] }), /lists no files/],
  ['a version that leads elsewhere', whole({ version: '1.0.0-../x' }), /no version/],
  ['a mode', whole({ files: [{ path: 'a', mode: 'x', sha256: 'y' }] }), /has no mode or no sha256 of a/],
  ...['../x', '/x', 'a//b', './a', ''].map(
    (path) => [`the path ${path}`, whole({ files: [{ path, link: 'x' }] }), /which is no path in it/] as const,
  ),
] as const)
  test(`no release: ${what}`, (t) => {
    t.throws(() => parse(text), { message: said });
  });

for (const [from, to, works] of [
  ['0.1.0', '0.1.0', true],
  ['0.1.0', '0.1.7', true],
  ['0.1.0', '0.2.0', true],
  ['0.2.0', '0.1.9', true],
  ['0.1.0', '0.3.0', false],
  ['0.3.0', '0.1.0', false],
  ['0.9.0', '1.0.0', true],
  ['1.0.0', '0.9.0', true],
  ['0.9.0', '1.1.0', false],
  ['1.4.0', '2.0.0-rc.1', true],
  ['1.4.0', '3.0.0', false],
] as const)
  test(`${to} ${works ? 'takes over from' : 'refuses'} ${from}`, (t) => {
    t.is(takeoverProblems(release(from), release(to)).length, works ? 0 : 1);
  });

test('records that it does not read and monitors that it does not speak with are refused', (t) => {
  const from = release('0.2.0', {
    records: { oldest: 1, newest: 3, writes: 3 },
    monitorProtocol: { oldest: 1, newest: 4 },
  });
  t.deepEqual(takeoverProblems(from, release('0.1.0')), [
    'podwright 0.1.0 reads records of format 1 to 1, and 0.2.0 writes 3',
    'podwright 0.1.0 speaks 1 to 1 with monitors, and those of 0.2.0 speak 4',
  ]);
  const reader = release('0.1.0', {
    records: { oldest: 1, newest: 3, writes: 2 },
    monitorProtocol: { oldest: 2, newest: 4 },
  });
  t.deepEqual(takeoverProblems(from, reader), [], 'what is read needs not be written');
});
