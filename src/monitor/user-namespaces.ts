// Whether pods can have user namespaces on this node: found out by making one (podwright-monitor probe).
// Must not decide what follows from it.
import { exhaustionIn } from '../lib/exhaustion.ts';
import { type Failure, internal } from '../lib/failure.ts';
import { failedCall, type LaunchNative } from './launch.ts';

/** Why pods cannot have user namespaces; null where they can. */
export interface UserNamespaceTrouble {
  readonly pods: Failure | null;
  /** Of pods with the host's network. */
  readonly hostNetwork: Failure | null;
}

export interface UserNamespacesOptions {
  readonly native: LaunchNative;
  /** Directories on whose file systems layers and pods' files are. */
  readonly store: string;
  readonly state: string;
  /** `performance.now` unless given. */
  readonly nowMs?: () => number;
  /** How long an answer is waited for, in milliseconds; 2 s unless given. */
  readonly patienceMs?: number;
}

/** Exit code of the probe when only pods with the host's network cannot. */
const onlyHostNetwork = 3;

/** How old an answer may be for who asks often, in milliseconds. */
const recentMs = 10_000;

/** Asks. `often`: an answer of the last seconds does, for whoever looks again and again what the node can. */
export type AskUserNamespaces = (how?: { readonly often: boolean }) => Promise<UserNamespaceTrouble>;

/**
 * Asks once, at the first call; a probe that could not be run, or failed because something had run out, is run again: such
 * limits are also how namespaces are switched off for good. It takes some ten milliseconds, in a process of its own. One that
 * hangs with its file system is not waited for: user namespaces are not there until it has answered.
 */
export function userNamespaces({
  native,
  store,
  state,
  nowMs = () => performance.now(),
  patienceMs = 2000,
}: UserNamespacesOptions): AskUserNamespaces {
  let asked: Promise<UserNamespaceTrouble> | null = null;
  let askedAtMs = 0;
  /** Whether it is to be asked again: what the probe said is not what the kernel can. */
  let passing = false;
  const ask = async (): Promise<UserNamespaceTrouble> => {
    try {
      const argv = ['podwright-monitor', 'probe', '--store', store, '--state', state];
      const { code, stderr } = await native.spawnMonitor({ argv });
      if (code === 0) return { pods: null, hostNetwork: null };
      const words = stderr === '' ? `the probe ended with code ${code}` : stderr;
      const why = internal(words, undefined, failedCall(stderr));
      passing = exhaustionIn(why) !== null; // there may be more by then: it says nothing of the kernel
      return { pods: code === onlyHostNetwork ? null : why, hostNetwork: why };
    } catch (error) {
      passing = true;
      const why = internal('the probe could not be run', error);
      return { pods: why, hostNetwork: why };
    }
  };
  return ({ often } = { often: false }) => {
    const old = passing && !(often && nowMs() - askedAtMs < recentMs);
    if (asked === null || old) {
      passing = false;
      askedAtMs = nowMs();
      asked = ask();
    }
    return atMost(asked, patienceMs);
  };
}

async function atMost(answer: Promise<UserNamespaceTrouble>, ms: number): Promise<UserNamespaceTrouble> {
  const why = internal(
    `the probe has not answered within ${ms} ms: is the file system of the daemon's directories hung?`,
  );
  const { promise: silence, resolve } = Promise.withResolvers<UserNamespaceTrouble>();
  const timer = setTimeout(() => resolve({ pods: why, hostNetwork: why }), ms);
  try {
    return await Promise.race([answer, silence]);
  } finally {
    clearTimeout(timer);
  }
}
