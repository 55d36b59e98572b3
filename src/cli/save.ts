// podwright save: images into a file or a directory.
import { resolve } from 'node:path';
import { invalidArgument } from '../lib/failure.ts';
import type { Run } from './session.ts';
import { showStep } from './step.ts';

interface Saved {
  readonly id: string;
  readonly tags: string[];
  readonly manifestDigest: string;
  readonly sameManifest: boolean;
}

/** Saves to `--file`, or to standard output when that is no terminal. Says which manifest was written, there if it is new. */
export const saveImages: Run = async ({ client, directory, streams, print, progress }, references, options) => {
  const text = (name: string): string => (typeof options[name] === 'string' ? options[name] : '');
  const [format, compression] = [text('format'), text('compression')];
  const path = ['', '-'].includes(text('file')) ? '' : resolve(directory, text('file'));
  if (path === '' && format === 'oci-dir')
    throw invalidArgument('a directory cannot go to standard output: name it with -o');
  if (path === '' && 'isTTY' in streams.stdout && streams.stdout.isTTY)
    throw invalidArgument('an archive does not belong on a terminal: redirect it, or name a file with -o');
  const saved: Saved[] = [];
  for await (const event of client.stream('Save', { references: [...references], path, format, compression })) {
    if (event.image) saved.push(event.image);
    if (event.step) progress(showStep(event.step));
    if (event.chunk && event.chunk.length > 0 && !streams.stdout.write(event.chunk))
      await new Promise<void>((done) => streams.stdout.once('drain', () => done()));
  }
  progress('');
  const lines = (some: readonly Saved[]): string => some.map((one) => `${line(one, format)}\n`).join('');
  if (path !== '') print(saved, () => lines(saved));
  // standard output is the archive: what is not as it was pulled is said beside it
  else if (saved.some((one) => !one.sameManifest))
    streams.stderr.write(lines(saved.filter((one) => !one.sameManifest)));
};

function line({ id, tags, manifestDigest, sameManifest }: Saved, format: string): string {
  const name = tags.join(' ') || id;
  if (sameManifest) return `${name} ${manifestDigest}`;
  const why = format === 'docker-archive' ? 'a docker archive has layers uncompressed' : 'its blobs were not kept';
  return `${name} ${manifestDigest} (a new manifest: ${why})`;
}
