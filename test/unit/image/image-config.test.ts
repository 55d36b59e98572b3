import test from 'ava';
import { parseImageConfig } from '../../../src/image/image-config.ts';
import { Failure } from '../../../src/lib/failure.ts';

const diff = `sha256:${'a'.repeat(64)}`;
const parse = (value: unknown) => parseImageConfig(Buffer.from(JSON.stringify(value)), 'r.io/x:1');
const rootfs = { type: 'layers', diff_ids: [diff] };

test('everything that containers use', (t) => {
  const config = {
    Env: ['A=b', 'PATH=/bin'],
    Entrypoint: ['/init'],
    Cmd: ['-v'],
    WorkingDir: '/srv',
    User: 'www:www',
    StopSignal: 'SIGQUIT',
    Volumes: { '/data': {} },
    Labels: { a: 'b' },
    ExposedPorts: { '80/tcp': {} },
  };
  t.deepEqual(parse({ os: 'linux', architecture: 'arm64', variant: 'v8', config, rootfs }), {
    config: {
      env: ['A=b', 'PATH=/bin'],
      entrypoint: ['/init'],
      cmd: ['-v'],
      workingDir: '/srv',
      user: 'www:www',
      stopSignal: 'SIGQUIT',
      volumes: ['/data'],
      labels: { a: 'b' },
      exposedPorts: ['80/tcp'],
    },
    platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
    diffIds: [diff],
  } as never);
});

test('what is absent or null is empty', (t) => {
  const { config, platform, diffIds } = parse({
    rootfs: { type: 'layers', diff_ids: null },
    config: { Env: null, Cmd: null },
  });
  t.deepEqual(config.env, []);
  t.deepEqual(config.labels, {});
  t.deepEqual(platform, { os: '', architecture: '', variant: '' });
  t.deepEqual(diffIds, []);
  t.is(parse({ rootfs }).config.user, '');
});

for (const [name, value, message] of [
  ['no object', 5, /not an object/],
  ['no rootfs', {}, /no rootfs/],
  ['another rootfs', { rootfs: { type: 'tree' } }, /rootfs type "tree"/],
  ['bad diff ids', { rootfs: { type: 'layers', diff_ids: ['x'] } }, /diff_ids/],
  ['a config that is a list', { rootfs, config: [] }, /"config" is not an object/],
  ['env as an object', { rootfs, config: { Env: {} } }, /Env is not a list of strings/],
  ['a command as text', { rootfs, config: { Cmd: 'sh' } }, /Cmd is not a list/],
  ['a user as number', { rootfs, config: { User: 5 } }, /User is not a string/],
  ['labels of numbers', { rootfs, config: { Labels: { a: 1 } } }, /Labels/],
  ['an os as number', { rootfs, os: 1 }, /os is not a string/],
] as const) {
  test(`refuses ${name}`, (t) => {
    const error = t.throws(() => parse(value), { instanceOf: Failure, message });
    t.is(error.kind, 'failed-precondition');
    t.regex(error.message, /^config of r\.io\/x:1 is not usable/);
  });
}

test('refuses bytes that are not JSON or not UTF-8', (t) => {
  t.throws(() => parseImageConfig(Buffer.from('{'), 'x'), { message: /not JSON/ });
  t.throws(() => parseImageConfig(Buffer.from([0x22, 0xff, 0x22]), 'x'), { message: /not JSON/ });
});
