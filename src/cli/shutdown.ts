// podwright shutdown: every pod ends, then the daemon.
import type { Run } from './session.ts';

/** Prints each step as it is done. */
export const shutdown: Run = async ({ client, out }) => {
  for await (const { step } of client.stream('Shutdown', {})) out(`${step}\n`);
};
