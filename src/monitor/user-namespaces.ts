// Whether pods can have user namespaces on this node: found out by making one (podwright-monitor probe).
// Must not decide what follows from it.
import type { LaunchNative } from './launch.ts';

/** Why pods cannot have user namespaces; null where they can. */
export interface UserNamespaceTrouble {
  readonly pods: string | null;
  /** Of pods with the host's network. */
  readonly hostNetwork: string | null;
}

export interface UserNamespacesOptions {
  readonly native: LaunchNative;
  /** Directories on whose file systems layers and pods' files are. */
  readonly store: string;
  readonly state: string;
}

/** Exit code of the probe when only pods with the host's network cannot. */
const onlyHostNetwork = 3;

/**
 * Asks once, at the first call; a probe that could not be run is run again at the next. It takes some ten milliseconds,
 * in a process of its own.
 */
export function userNamespaces({ native, store, state }: UserNamespacesOptions): () => Promise<UserNamespaceTrouble> {
  let asked: Promise<UserNamespaceTrouble> | null = null;
  const ask = async (): Promise<UserNamespaceTrouble> => {
    try {
      const argv = ['podwright-monitor', 'probe', '--store', store, '--state', state];
      const { code, stderr } = await native.spawnMonitor({ argv });
      const why = stderr === '' ? `the probe ended with code ${code}` : stderr;
      return { pods: code === 0 || code === onlyHostNetwork ? null : why, hostNetwork: code === 0 ? null : why };
    } catch (error) {
      asked = null;
      const why = `the probe could not be run: ${error instanceof Error ? error.message : String(error)}`;
      return { pods: why, hostNetwork: why };
    }
  };
  return () => (asked ??= ask());
}
