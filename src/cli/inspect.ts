// podwright inspect: all that the daemon knows of one object, or of itself.
import type { Run } from './session.ts';

/** Prints a JSON document, whatever --output says. */
export const inspect: Run = async ({ client, out }, [id = '']) => {
  const { json } = await client.call('Inspect', { id });
  out(`${JSON.stringify(JSON.parse(json), null, 2)}\n`);
};
