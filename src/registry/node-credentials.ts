// The node's own credentials: files of the operator, read anew each time they are needed.
// Must not keep anything between two requests.
import { failedPrecondition } from '../lib/failure.ts';
import { findInFile, parseAuthFile } from './auth-file.ts';
import type { AskHelper } from './credential-helper.ts';
import { anonymous, type Credentials } from './credentials.ts';
import type { ReadText } from './hosts.ts';

/** Credentials for a repository of a host; anonymous if there are none. Throws failed-precondition for a bad file or helper. */
export type NodeCredentials = (host: string, repository: string, signal: AbortSignal) => Promise<Credentials>;

export interface NodeCredentialsOptions {
  /** auth.json or config.json files; the first that has something counts. One that does not exist has nothing. */
  readonly files: readonly string[];
  /** Whether that is an error: the caller named the file. */
  readonly mustExist: boolean;
  readonly readText: ReadText;
  readonly askHelper: AskHelper;
}

const longestFile = 1024 * 1024;

/** Composes the lookup. */
export function nodeCredentials(options: NodeCredentialsOptions): NodeCredentials {
  return async (host, repository, signal) => {
    for (const path of options.files) {
      const text = await options.readText(path, longestFile);
      if (text === null && options.mustExist)
        throw failedPrecondition(`registry credentials file ${path} does not exist`);
      if (text === null) continue;
      const found = findInFile(parseAuthFile(text, path), host, repository);
      const credentials = found.helper === null ? found.credentials : await options.askHelper(found.helper, signal);
      if (credentials !== null) return credentials;
    }
    return anonymous;
  };
}
