// podwright checkpoint: a running container into an archive.
import { resolve } from 'node:path';
import { invalidArgument } from '../lib/failure.ts';
import type { Run } from './session.ts';

/** Captures a container and prints where the archive is. */
export const checkpoint: Run = async ({ client, directory, print, progress }, [id = ''], { export: file, timeout }) => {
  const seconds = Number(timeout);
  if (!Number.isSafeInteger(seconds) || seconds < 1)
    throw invalidArgument(`--timeout ${String(timeout)} is no number of seconds`);
  const location = resolve(directory, String(file));
  progress(`capturing ${id}`);
  const request = { container_id: id, location, timeout: String(seconds) };
  await client.call('CheckpointContainer', request, (seconds + 30) * 1000);
  progress('');
  print({ container: id, location }, () => `${location}\n`);
};
