// Project quota of writable layers: each is a project of its own where the file system counts them.
// Must not know containers; which project is whose stands on the directories themselves.
import { failedPrecondition, resourceExhausted } from '../lib/failure.ts';
import type { ProjectRange, QuotaSupport, TreeUsage } from '../native/boundary.ts';
import { errno, NativeError } from '../native/errors.ts';
import { diskFailure } from './native-failure.ts';
import type { StorageNative } from './ports.ts';

export interface ProjectsOptions {
  /** Where the writable layers are. */
  readonly dir: string;
  /** The first of the projects that may be used. */
  readonly firstProject: number;
  readonly native: Pick<StorageNative, 'quotaSupport' | 'quotaAssign' | 'quotaUsage' | 'quotaForget'>;
}

/** How many projects there are from the first one on: more containers than a node has. */
const projects = 65_536;

const nothing: QuotaSupport = { counted: false, enforced: false, missing: 'the file system was not looked at' };

/** The projects of one daemon. */
export class Projects {
  readonly #options: ProjectsOptions;
  readonly #range: ProjectRange;
  #support = nothing;

  constructor(options: ProjectsOptions) {
    this.#options = options;
    this.#range = { firstProject: options.firstProject, projects };
  }

  /** Looks at what the file system has; forgets limits that a crash left behind. */
  async load(onError: (error: unknown) => void): Promise<void> {
    const { native, dir } = this.#options;
    try {
      this.#support = await native.quotaSupport({ dir });
      if (this.#support.counted) native.quotaForget({ dir, ...this.#range }).catch(onError);
    } catch (error) {
      throw diskFailure(error, 'look for project quota');
    }
  }

  /** What the file system has. */
  get support(): QuotaSupport {
    return this.#support;
  }

  /**
   * Makes the directory of a writable layer; with a project where there are any and one is free. Throws
   * failed-precondition for a limit that nothing would hold it to, resource-exhausted for one when no project is free.
   */
  async assign(dir: string, limitBytes: number | null): Promise<void> {
    const { counted, enforced, missing } = this.#support;
    if (limitBytes !== null && !enforced) {
      throw failedPrecondition(`limit a writable layer to ${limitBytes} bytes in ${this.#options.dir}: ${missing}`);
    }
    if (!counted) return;
    try {
      await this.#options.native.quotaAssign({ dir, limitBytes, ...this.#range });
    } catch (error) {
      if (error instanceof NativeError && error.errno === errno.ENOSPC && error.syscall === 'quotactl_fd') {
        // without a limit the project would only count: its tree is walked instead
        if (limitBytes === null) return;
        throw resourceExhausted(`none of the ${projects} projects for writable layers is free`, error);
      }
      throw diskFailure(error, `give ${dir} a project`);
    }
  }

  /** What a writable layer uses, by the file system's own count; null where it does not count. */
  async usage(dir: string): Promise<TreeUsage | null> {
    return this.#support.counted ? this.#options.native.quotaUsage({ dir, ...this.#range }) : null;
  }
}
