import test from 'ava';
import { saveImages } from '../../../src/cli/save.ts';
import type { Session } from '../../../src/cli/session.ts';

const image = { id: 'sha256:1', tags: ['r.io/app:v1'], manifestDigest: 'sha256:2', sameManifest: false };

/** Saves one image with these options; what came on standard output, what beside it, and what was printed. */
async function saved(sameManifest: boolean, options: Record<string, string>) {
  const told = { out: '', err: '', printed: '' };
  const into = (where: 'out' | 'err') => ({ write: (text: string | Buffer) => ((told[where] += String(text)), true) });
  const client = {
    async *stream() {
      yield { image: { ...image, sameManifest } };
      yield { chunk: Buffer.from('bytes') };
    },
  };
  const session = {
    client,
    directory: '/',
    streams: { stdout: into('out'), stderr: into('err') },
    progress: () => undefined,
    print: (_: unknown, text: () => string) => void (told.printed = text()),
  } as unknown as Session;
  await saveImages(session, ['app'], { format: 'docker-archive', compression: 'none', ...options });
  return told;
}

const line = 'r.io/app:v1 sha256:2 (a new manifest: a docker archive has layers uncompressed)\n';

test('that a manifest is new is said beside an archive on standard output', async (t) => {
  t.deepEqual(await saved(false, {}), { out: 'bytes', err: line, printed: '' });
  t.deepEqual(await saved(true, { file: '-' }), { out: 'bytes', err: '', printed: '' });
  t.like(await saved(false, { file: '/x.tar' }), { err: '', printed: line });
});
