// What every room stands on: this node's directories, lock and addon, and the clock.
import type { Config } from '../config/schema.ts';
import { followingClock, monotonicClock } from '../lib/clock.ts';
import { failedPrecondition, invalidArgument } from '../lib/failure.ts';
import type { Log } from '../log.ts';
import { loadNative } from '../native/load.ts';
import { buildPaths, longestStateDir } from '../paths.ts';
import { emptyDirectory, makeDirectories } from '../state/run-files.ts';
import { steppedNative, stepsOf } from './steps.ts';

/** Loads the addon and takes the node for this daemon alone. Throws failed-precondition when another has it. */
export function claimNode({ node }: Config, log: Log) {
  const { root, state, socket } = node;
  if (Buffer.byteLength(state) > longestStateDir) {
    throw invalidArgument(
      `state directory ${state} is longer than ${longestStateDir} bytes: monitors' sockets are below it`,
    );
  }
  const paths = buildPaths(root, state, socket);
  const raw = loadNative(node.addon);
  const step = stepsOf({ native: raw, env: process.env, root, log });
  const native = steppedNative(raw, step);
  // alone in the root: it is what tells that the root is podwright's
  makeDirectories([root]);
  if (!native.lockFile(paths.lockFile)) throw failedPrecondition(`another podwrightd works in ${root}`);
  makeDirectories([
    state,
    paths.checkpointsDir,
    paths.netnsDir,
    paths.metricsDir,
    paths.socketsDir,
    paths.sandboxRunDir(''),
    paths.bundleDir(''),
  ]);
  // what a daemon that was killed left behind; its monitors have given it up with it
  emptyDirectory(paths.checkpointsDir);
  native.prepareMonitor(node.monitor);
  return { paths, native, step };
}

/** Milliseconds since this process started. */
export const elapsedMs = (): number => performance.now();

/** Wall time that never goes back. */
export const hostClock = () =>
  monotonicClock(followingClock({ wallMs: Date.now, elapsedMs, startMs: performance.timeOrigin + elapsedMs() }));
