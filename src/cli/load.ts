// podwright load: an image from a file.
import { resolve } from 'node:path';
import type { Run } from './session.ts';
import { showStep } from './step.ts';

/** Loads a docker archive or an OCI layout and prints what came in. */
export const loadImage: Run = async ({ client, directory, print, progress }, [file = ''], { name }) => {
  const loaded: { id: string; tags: string[] }[] = [];
  const request = { path: resolve(directory, file), reference: typeof name === 'string' ? name : '' };
  for await (const { step, image } of client.stream('Load', request)) {
    if (image) loaded.push(image);
    if (step) progress(showStep(step));
  }
  progress('');
  print(loaded, () => loaded.map(({ id, tags }) => `${tags.join(' ') || '<none>'} ${id}\n`).join(''));
};
