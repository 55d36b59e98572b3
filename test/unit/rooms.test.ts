import test from 'ava';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { checkRooms, importsOf } from '../../hack/check-rooms.mjs';

const check = (files: Readonly<Record<string, string>>): readonly string[] =>
  checkRooms(new Map(Object.entries(files)));
const importing = (target: string): string => `import { x } from '${target}';\n`;

test('the rooms of this repository keep their rules', (t) => {
  const names = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  t.deepEqual(checkRooms(new Map(names.map((name) => [name, readFileSync(join('src', name), 'utf8')]))), []);
});

test('imports go down', (t) => {
  const files = {
    'lib/a.ts': '',
    'oci/spec.ts': importing('../lib/a.ts'),
    'cgroup/cgroup.ts': importing('../oci/spec.ts'),
    'sandbox/run.ts': importing('../cgroup/cgroup.ts'),
    'cri/rpc.ts': importing('../sandbox/run.ts'),
    'daemon.ts': importing('./cri/rpc.ts'),
    'main.ts': importing('./daemon.ts'),
  };
  t.deepEqual(check(files), []);
});

const broken: readonly (readonly [title: string, file: string, target: string, complaint: RegExp])[] = [
  ['up', 'cgroup/a.ts', 'sandbox/b.ts', /src\/cgroup\/a\.ts:1: imports up: sandbox\/b\.ts/],
  ['hand to hand', 'storage/a.ts', 'state/b.ts', /imports sideways: state\/b\.ts/],
  ['hand to the log', 'storage/a.ts', 'log.ts', /imports sideways: log\.ts/],
  ['noun to verb of another noun', 'container/create.ts', 'sandbox/run.ts', /imports sideways/],
  ['border to border', 'admin/a.ts', 'cri/b.ts', /imports sideways/],
  ['noun to the addon', 'sandbox/a.ts', 'native/load.ts', /only the hands/],
  ['pure value to the addon', 'oci/a.ts', 'native/load.ts', /only the hands/],
  ['command line tool to a hand', 'cli/a.ts', 'state/b.ts', /speaks gRPC only/],
  ['daemon from below', 'cri/a.ts', 'daemon.ts', /imports up/],
];
for (const [title, file, target, complaint] of broken) {
  test(`refused: ${title}`, (t) => {
    const specifier = file.includes('/') ? `../${target}` : `./${target}`;
    const complaints = check({ [file]: importing(specifier), [target]: '' });
    t.is(complaints.length, 1);
    t.regex(complaints[0] ?? '', complaint);
  });
}

test('allowed: types between nouns, the one teardown, recovery/observe to the addon', (t) => {
  t.deepEqual(
    check({
      'sandbox/sandbox.ts': '',
      'container/container.ts': '',
      'container/teardown.ts': importing('../sandbox/sandbox.ts'),
      'sandbox/teardown.ts': `${importing('../container/teardown.ts')}${importing('../container/container.ts')}`,
      'native/load.ts': '',
      'recovery/observe.ts': importing('../native/load.ts'),
    }),
    [],
  );
});

test('type imports, re-exports and dynamic imports are arrows too', (t) => {
  const sources = [
    "import type { X } from '../state/b.ts';",
    "export * from '../state/b.ts';",
    "export type { X } from '../state/b.ts';",
    "import {\n  a,\n  b,\n} from '../state/b.ts';",
    "const b = await import('../state/b.ts');",
    "import '../state/b.ts';",
  ];
  for (const source of sources) t.is(check({ 'storage/a.ts': source, 'state/b.ts': '' }).length, 1, source);
  t.deepEqual(importsOf("// import x from './a.ts';\nconst s = 'http://x'; /* import('./b.ts') */"), []);
});

test('PURE files stay pure', (t) => {
  const pure = (body: string): string => `// PURE\n// What it is for.\n${body}`;
  for (const body of [
    "import { readFileSync } from 'node:fs';",
    "import { connect } from 'node:net';",
    "import { x } from './impure.ts';",
    'const t = Date.now();',
    'const n = Math.random();',
    'const e = process.env;',
    'setTimeout(f, 1);',
  ]) {
    t.not(check({ 'state/a.ts': pure(body), 'state/impure.ts': '' }).length, 0, body);
  }
  t.deepEqual(check({ 'state/a.ts': pure("import type { X } from './impure.ts';"), 'state/impure.ts': '' }), []);
  const fine = pure("// Date.now() is not for us\nimport { x } from '../lib/a.ts';\nconst s = 'Math.random()';");
  t.deepEqual(check({ 'oci/a.ts': fine, 'lib/a.ts': '' }), []);
});

test('cycles, barrels, unknown rooms, missing files and misplaced packages', (t) => {
  t.regex(
    check({ 'oci/a.ts': importing('./b.ts'), 'oci/b.ts': importing('./a.ts') }).join(),
    /cycle: src\/oci\/a\.ts → src\/oci\/b\.ts → src\/oci\/a\.ts/,
  );
  t.regex(check({ 'oci/index.ts': '' }).join(), /no index\.ts/);
  t.regex(check({ 'utils/a.ts': '' }).join(), /utils is not a room/);
  t.regex(check({ 'oci/a.ts': importing('./b.ts') }).join(), /is not there/);
  t.regex(check({ 'sandbox/a.ts': importing('node:fs') }).join(), /node:fs has no place here/);
  t.regex(check({ 'sandbox/a.ts': importing('pino') }).join(), /pino has no place here/);
  t.deepEqual(check({ 'state/a.ts': importing('node:fs/promises') }), []);
});
