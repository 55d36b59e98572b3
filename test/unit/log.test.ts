import test from 'ava';
import { invalidArgument, notFound } from '../../src/lib/failure.ts';
import { logTo, redact, type RootLog } from '../../src/log.ts';

function capture(level: 'debug' | 'info' = 'info'): { log: RootLog; lines: () => Record<string, unknown>[] } {
  const written: string[] = [];
  const log = logTo({ write: (line) => void written.push(line) }, { level, base: { program: 'podwrightd' } });
  return { log, lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

test('a line has level, time, base, bindings, fields and message', (t) => {
  const { log, lines } = capture();
  log.child({ request: 'r1' }).info({ sandbox: 's1', count: 3n }, 'sandbox started');
  log.debug({}, 'not written');
  const [line, ...rest] = lines();
  t.is(rest.length, 0);
  t.like(line, {
    level: 'info',
    program: 'podwrightd',
    request: 'r1',
    sandbox: 's1',
    count: '3',
    msg: 'sandbox started',
  });
  t.regex(String(line?.['time']), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});

test('a change of level reaches children that exist', (t) => {
  const { log, lines } = capture();
  const child = log.child({});
  log.setLevel('debug');
  child.debug({}, 'seen');
  log.setLevel('error');
  child.warn({}, 'unseen');
  t.deepEqual(
    lines().map(({ msg }) => msg),
    ['seen'],
  );
});

test('secrets and environment values never get through', (t) => {
  const { log, lines } = capture();
  const secret = 'hunter2';
  log.child({ registryToken: secret }).error(
    {
      auth: { username: 'u', password: secret },
      image: { auth_config: { identity_token: secret, registry_token: secret, auth: secret, password: '' } },
      headers: { Authorization: `Basic ${secret}`, authorization: secret, 'proxy-authorization': secret },
      envs: [{ key: 'A', value: secret }],
      process: { env: [`B=${secret}`] },
      config: { environment: { C: secret } },
    },
    'could not pull',
  );
  const text = JSON.stringify(lines());
  t.false(text.includes(secret), text);
  t.true(text.includes('"envs":["A"]') && text.includes('"env":["B"]') && text.includes('"environment":["C"]'));
  t.deepEqual(redact({ password: '', author: 'a', authority: 'b', tokens: 'x' }), {
    password: '',
    author: 'a',
    authority: 'b',
    tokens: '[hidden]',
  });
});

test('a failure is its kind and chain; anything else brings its stack', (t) => {
  const { log, lines } = capture();
  log.error({ error: invalidArgument('bad name', notFound('no such file'), { password: 'x', name: 'n' }) }, 'failed');
  log.error({ error: new TypeError('x is undefined') }, 'failed');
  const [failure, bug] = lines();
  t.deepEqual(failure?.['error'], {
    kind: 'invalid-argument',
    message: 'bad name: no such file',
    password: '[hidden]',
    name: 'n',
  });
  t.like(bug?.['error'], { kind: 'bug', message: 'x is undefined' });
  t.true(JSON.stringify(bug).includes('log.test.ts'));
});

test('deep and binary values are summed up', (t) => {
  t.deepEqual(redact({ a: { b: { c: { d: { e: { f: { g: 1 } } } } } }, bytes: Buffer.from('abc') }), {
    a: { b: { c: { d: { e: { f: 'object' } } } } },
    bytes: '3 bytes',
  });
});
