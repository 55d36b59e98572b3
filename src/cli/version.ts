// podwright version: of this tool and of the daemon.
import { version } from '../config/version.ts';
import { isUnreachable } from './client.ts';
import type { Run } from './session.ts';
import { facts } from './table.ts';

/** Prints both versions; without a daemon only the tool's, and the program then ends with status 3. */
export const showVersion: Run = async ({ client, print, failWith }) => {
  const daemon = await client.call('Version', {}).catch((error: unknown) => {
    if (!isUnreachable(error)) throw error;
    return null;
  });
  if (daemon === null) failWith(3);
  const server = daemon && {
    name: daemon.runtime_name,
    version: daemon.runtime_version,
    apiVersion: daemon.runtime_api_version,
  };
  print({ client: { version }, server }, () =>
    facts([
      ['Client', `podwright ${version}`],
      ['Server', server === null ? 'not running' : `${server.name} ${server.version}, CRI ${server.apiVersion}`],
    ]),
  );
};
