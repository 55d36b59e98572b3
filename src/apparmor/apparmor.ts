// Which AppArmor profile a container's program goes into, and that it is loaded. Must not know how a profile is loaded.
import { failedPrecondition, failureChain } from '../lib/failure.ts';
import { defaultProfile, defaultProfileName } from './profile.ts';

/** CRI SecurityProfile; null where none was given. */
export interface ProfileRequest {
  readonly type: 'runtime-default' | 'unconfined' | 'localhost';
  /** The name of a loaded profile. */
  readonly localhostRef: string;
}

export interface AppArmorOptions {
  /** Whether the kernel enforces it. */
  readonly enabled: boolean;
  /** Loads, or replaces, the profile of a text. */
  readonly load: (text: string) => Promise<void>;
  /** Names of the profiles that the kernel has; null where that cannot be read. */
  readonly loaded: () => Promise<ReadonlySet<string> | null>;
  /** Told when the default profile cannot be loaded, and when it can again. */
  readonly onTrouble: (why: string | null) => void;
}

/** What Status and doctor tell. */
export interface AppArmorStatus {
  readonly enabled: boolean;
  readonly defaultProfile: string;
  /** Why the default profile is not loaded; null when it is, or AppArmor is off. */
  readonly trouble: string | null;
}

/** The port. */
export interface AppArmor {
  /** Loads the default profile, in the background. */
  start(): void;
  /**
   * The profile for a container, "" for none. Where AppArmor is off the default counts for nothing and a named one is
   * an error (ruling 18). Without a wish a container has the default (CRI LinuxContainerSecurityContext.apparmor_profile).
   */
  profileOf(request: ProfileRequest | null, privileged: boolean): Promise<string>;
  status(): AppArmorStatus;
}

/** Composes the room. */
export function createAppArmor(options: AppArmorOptions): AppArmor {
  const { enabled } = options;
  let trouble: string | null = null;
  let loading: Promise<void> | null = null;

  async function loadDefault(): Promise<void> {
    const before = trouble;
    try {
      await options.load(defaultProfile);
      trouble = null;
    } catch (error) {
      // somebody else may have loaded it: a package, an operator
      const there = await options.loaded();
      trouble = there?.has(defaultProfileName) ? null : failureChain(error);
    }
    if (trouble !== null) loading = null; // tried again when it is needed
    if (trouble !== before) options.onTrouble(trouble);
  }
  const ready = (): Promise<void> => (loading ??= loadDefault());

  return {
    start: () => void (enabled && ready()),
    status: () => ({ enabled, defaultProfile: defaultProfileName, trouble }),
    async profileOf(request, privileged) {
      if (request?.type === 'localhost') return named(options, request.localhostRef);
      if (!enabled || request?.type === 'unconfined' || privileged) return '';
      await ready();
      if (trouble === null) return defaultProfileName;
      if (request === null) return ''; // nobody asked, and the trouble is told
      throw failedPrecondition(`AppArmor profile ${defaultProfileName} is not loaded: ${trouble}`);
    },
  };
}

async function named({ enabled, loaded }: AppArmorOptions, reference: string): Promise<string> {
  const name = reference.replace(/^localhost\//, '');
  if (!enabled) throw failedPrecondition(`apparmor names the profile ${name}, but AppArmor is off on this host`);
  const there = await loaded();
  if (there !== null && !there.has(name))
    throw failedPrecondition(`AppArmor profile ${name} is not loaded on this host`);
  return name;
}
