// podwright push: an image to a registry.
import { resolve } from 'node:path';
import { internal } from '../lib/failure.ts';
import { progressOf } from './pull.ts';
import { accessOf } from './registry-access.ts';
import type { Run } from './session.ts';

/** What each stage of a blob is called here. */
const words = { done: 'pushed', present: 'already there', mounted: 'taken over there' } as const;

/** Pushes an image: bars on a terminal, a line for each change elsewhere, the manifest's digest at the end. */
export const pushImage: Run = async (session, [reference = '', target = ''], options) => {
  const { quiet, compression, digestfile } = options;
  const show = quiet === true ? () => undefined : progressOf(session, words);
  const access = await accessOf(session, options);
  const request = { reference, target, compression: String(compression), ...access };
  let pushed: { reference: string; id: string; digest: string; size: string; sameManifest: boolean } | null = null;
  for await (const event of session.client.stream('Push', request)) {
    if (event.progress) show(event.progress.layers);
    if (event.image) pushed = event.image;
  }
  if (pushed === null) throw internal(`the daemon did not say what became of ${reference}`);
  const { digest, sameManifest } = pushed;
  if (typeof digestfile === 'string') await session.writeFile(resolve(session.directory, digestfile), digest);
  if (!sameManifest && quiet !== true)
    session.streams.stderr.write(
      'a new manifest was written: not all blobs of the image are kept here or were there\n',
    );
  session.print(pushed, () => `${digest}\n`);
};
