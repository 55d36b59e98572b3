// The steps of this daemon, for tests that break it at each of them (docs/reliability.md). Off, and without cost, unless
// whoever starts the process says so: nothing that a client sends, and nothing in the configuration, turns them on.
import type { AdminVerbs } from '../admin/verbs.ts';
import { schema } from '../config/schema.ts';
import type { ImageVerbs, RuntimeVerbs } from '../cri/verbs.ts';
import { failedPrecondition } from '../lib/failure.ts';
import { type Effects, noStep, type Step, withSteps } from '../lib/steps.ts';
import { errno, NativeError } from '../native/errors.ts';
import type { Native } from '../native/load.ts';
import type { RunFiles } from '../state/run-files.ts';
import type { Log } from '../log.ts';
import type { monitorRequests } from '../monitor/requests.ts';

/** The directory by which a test tells this process what to do (native/crates/sys/src/steps.rs). */
const variable = 'PODWRIGHT_TEST_STEPS';

export interface StepParts {
  readonly native: Pick<Native, 'stepsEnable' | 'stepPass'>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where this daemon keeps what must survive. */
  readonly root: string;
  readonly log: Log;
}

/** Turns steps on if the environment says so. Throws failed-precondition on the directories of a node that works. */
export function stepsOf({ native, env, root, log }: StepParts): Step {
  const dir = env[variable] ?? '';
  if (dir === '') return noStep;
  if (root === schema.node.root.default) {
    throw failedPrecondition(`${variable} is for tests, and ${root} is not the root directory of one`);
  }
  native.stepsEnable(dir);
  log.warn({ dir }, 'a test may end this daemon, or have its calls fail, at any step');
  return (label) => {
    try {
      native.stepPass(label);
    } catch (error) {
      throw failureAt(label, error);
    }
  };
}

/** As the port that the step is about would fail. */
const failureAt = (label: string, error: unknown): unknown =>
  label.startsWith('native.')
    ? error
    : Object.assign(new Error(`${label}: a test has it fail`, { cause: error }), {
        code: 'EIO',
        errno: error instanceof NativeError ? error.errno : errno.EIO,
      });

/** What of the addon changes something outside this process. */
export const nativeEffects: Effects<Native> = {
  name: 'native',
  atOnce: [],
  later: [
    'processEnd',
    'netnsUnpin',
    'spawnMonitor',
    'cgroupCreate',
    'cgroupHandOn',
    'cgroupUpdate',
    'systemdStartScope',
    'systemdUpdate',
    'systemdStopUnits',
    'cgroupRemove',
    'cgroupKill',
    'cgroupMonitorLeaf',
    'cgroupJoin',
    'cgroupRejoin',
    'networkSetupBridge',
    'networkRemoveBridge',
    'networkAttach',
    'networkDetach',
    'networkLoopbackUp',
    'networkEnsureRules',
    'networkSetHostPorts',
    'networkPruneHostPorts',
    'networkRemoveRules',
    'fetchLayer',
    'fetchBlob',
    'archiveIndex',
    'unpackFromArchive',
    'prepareSnapshot',
    'inheritDirectories',
    'commitDir',
    'syncFs',
    'removeTree',
    'retireTree',
    'sweepTrash',
    'writeFileAtomic',
    'exportBlob',
    'beginArchive',
    'finishArchive',
    'sendBlob',
    'quotaAssign',
    'quotaForget',
  ],
};

/** The addon with a step at each of its effects. */
export const steppedNative = (native: Native, step: Step): Native => withSteps(native, nativeEffects, step);

type Requests = ReturnType<typeof monitorRequests>;

const monitorEffects: Effects<Requests> = {
  name: 'monitor',
  atOnce: [],
  later: [
    'launch',
    'shutdown',
    'endWithoutSocket',
    'endUnknown',
    'createSandbox',
    'createContainer',
    'startContainer',
    'stopContainer',
    'removeContainer',
    'reopenLog',
    'execSync',
    'cancelExec',
    'openExec',
    'openAttach',
    'openPort',
    'checkpoint',
    'loadCheckpoint',
  ],
};

/** The calls to monitors with a step at each of their effects. */
export const steppedMonitors = (requests: Requests, step: Step): Requests => withSteps(requests, monitorEffects, step);

const fileEffects: Effects<RunFiles> = {
  name: 'files',
  atOnce: ['writePodFiles', 'writeBundle', 'writePodBundle'],
  later: ['removeBundle', 'removeSandboxFiles'],
};

/** Run-time files with a step at each of their effects. */
export const steppedFiles = (files: RunFiles, step: Step): RunFiles => withSteps(files, fileEffects, step);

const runtimeEffects: Effects<RuntimeVerbs> = {
  name: 'verb',
  atOnce: [],
  later: [
    'runPodSandbox',
    'stopPodSandbox',
    'removePodSandbox',
    'updatePodSandboxResources',
    'createContainer',
    'startContainer',
    'stopContainer',
    'removeContainer',
    'updateContainerResources',
    'reopenContainerLog',
    'execSync',
    'exec',
    'attach',
    'portForward',
    'checkpointContainer',
    'checkpointPod',
    'restorePod',
  ],
};

/** RuntimeService's verbs with a step before each that changes something, and one when only its answer is owed. */
export const steppedRuntime = (verbs: RuntimeVerbs, step: Step): RuntimeVerbs => withSteps(verbs, runtimeEffects, step);

/** The same of ImageService. */
export const steppedImages = (verbs: ImageVerbs, step: Step): ImageVerbs =>
  withSteps(verbs, { name: 'verb', atOnce: [], later: ['pullImage', 'removeImage'] }, step);

const adminEffects: Effects<AdminVerbs> = {
  name: 'verb',
  atOnce: [],
  later: ['load', 'pull', 'push', 'save', 'repairImages', 'pruneImages', 'shutdown'],
};

/** The same of the command line tool's verbs. */
export const steppedAdmin = (verbs: AdminVerbs, step: Step): AdminVerbs => withSteps(verbs, adminEffects, step);
