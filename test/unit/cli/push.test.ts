import { PassThrough } from 'node:stream';
import test from 'ava';
import { pushImage } from '../../../src/cli/push.ts';
import { accessOf } from '../../../src/cli/registry-access.ts';
import type { Session } from '../../../src/cli/session.ts';

const digest = `sha256:${'ab'.repeat(32)}`;
const image = { reference: 'r.io/a:1', id: 'sha256:1', digest: 'sha256:2', size: '7', sameManifest: true };
const layer = (stage: string) => ({ digest, stage, doneBytes: '0', totalBytes: '2097152' });

/** A session whose standard input has this text; what is told goes into `told`. */
function session(events: readonly object[], input = '') {
  const told = { requests: [] as unknown[], printed: '', err: '', files: [] as string[][] };
  const stdin = new PassThrough();
  stdin.end(input);
  const made = {
    client: {
      async *stream(_: string, request: unknown) {
        told.requests.push(request);
        yield* events;
      },
    },
    directory: '/home/somebody',
    streams: { stdin, stderr: { write: (text: string) => void (told.err += text) } },
    block: () => false,
    nowMs: () => 0,
    writeFile: async (path: string, text: string) => void told.files.push([path, text]),
    print: (_: unknown, text: () => string) => void (told.printed = text()),
  } as unknown as Session;
  return { made, told };
}

test('a push tells each change of a blob, its digest, and that a manifest is new', async (t) => {
  const events = ['queued', 'checking', 'compressing', 'uploading', 'uploading', 'done'].map((stage) => ({
    progress: { layers: [layer(stage)] },
  }));
  const { made, told } = session([...events, { image: { ...image, sameManifest: false } }]);
  await pushImage(made, ['a', 'r.io/a:1'], { compression: 'zstd', digestfile: 'd', tlsVerify: 'false' });
  t.deepEqual(told.requests, [
    {
      reference: 'a',
      target: 'r.io/a:1',
      compression: 'zstd',
      username: '',
      password: '',
      authFile: '',
      skipTlsVerify: true,
    },
  ]);
  t.is(told.printed, 'sha256:2\n');
  t.deepEqual(told.files, [['/home/somebody/d', 'sha256:2']]);
  t.is(
    told.err,
    [
      'abababababab: compressing (2 MiB)',
      'abababababab: uploading (2 MiB)',
      'abababababab: pushed (2 MiB)',
      'a new manifest was written: not all blobs of the image are kept here or were there\n',
    ].join('\n'),
  );
  const quiet = session([{ progress: { layers: [layer('mounted')] } }, { image }]);
  await pushImage(quiet.made, ['a'], { compression: 'gzip', quiet: true });
  t.deepEqual([quiet.told.err, quiet.told.printed], ['', 'sha256:2\n']);
  await t.throwsAsync(pushImage(session([]).made, ['a'], { compression: 'gzip' }), { message: /did not say/ });
});

test('credentials: on the command line, or the password from standard input, never both', async (t) => {
  const access = async (options: Record<string, unknown>, input = '') => {
    const { username, password } = await accessOf(session([], input).made, options);
    return [username, password];
  };
  t.deepEqual(await access({}), ['', '']);
  t.deepEqual(await access({ creds: 'me:a:b' }), ['me', 'a:b']);
  t.deepEqual(await access({ creds: 'me:' }), ['me', '']);
  t.deepEqual(await access({ creds: 'me', passwordStdin: true }, 'se cret\r\nmore\n'), ['me', 'se cret']);
  for (const [options, message] of [
    [{ creds: 'me' }, /no password for me/],
    [{ creds: ':x' }, /must begin with a user name/],
    [{ creds: 'me:x', passwordStdin: true }, /two passwords/],
    [{ passwordStdin: true }, /needs --creds USER/],
    [{ creds: 'me', passwordStdin: true }, /no password on standard input/],
  ] as const)
    await t.throwsAsync(access(options), { message });
  t.like(await accessOf(session([]).made, { authFile: 'x.json' }), { authFile: '/home/somebody/x.json' });
});
