// The version of this build, from package.json: one number for daemon, command line tool and metrics.
import manifest from '../../package.json' with { type: 'json' };

/** Semantic version, without a leading v. */
export const version: string = manifest.version;
