// PURE
// A change of what runs the pods of this node, as a value: what it moves between and how far it came.
// Must not know how a step is carried out.

/** What runs the pods: nothing, podwright of a release, or another runtime. */
export type Side =
  | { readonly type: 'none' }
  | {
      readonly type: 'podwright';
      /** Directory of the release: `<prefix>/releases/<version>`. */
      readonly release: string;
      readonly version: string;
      /** `unix:///run/podwright/podwright.sock` */
      readonly endpoint: string;
      /** Text of `settings.configFile` while this side is in place; null leaves the file as it is. */
      readonly config: string | null;
    }
  | {
      readonly type: 'runtime';
      /** `unix:///run/containerd/containerd.sock` */
      readonly endpoint: string;
      /** What its Version says: "containerd", "v2.1.4"; empty before the preflight. */
      readonly name: string;
      readonly version: string;
      /** What the kubelet's setting was; null where there was none, and null before the preflight. */
      readonly pointer: string | null;
      /** Text of the kubelet's file as it was; null where there was no file, not there before the preflight. */
      readonly pointerText?: string | null;
    };

/** How the kubelet is stopped and started. */
export type KubeletControl =
  | { readonly by: 'systemd'; readonly unit: string }
  | { readonly by: 'command'; readonly stop: string; readonly start: string };

/** The file that tells the kubelet its runtime's socket. */
export interface KubeletPointer {
  /** KubeletConfiguration; a file of `KEY="--flag=value …"` lines; a drop-in of `--config-dir` that is ours alone. */
  readonly form: 'config' | 'env' | 'drop-in';
  readonly file: string;
}

/** Who keeps podwrightd running. */
export type DaemonControl =
  | { readonly by: 'systemd'; readonly unit: string; readonly unitDir: string }
  | { readonly by: 'command'; readonly stop: string; readonly start: string }
  /** Started by us in a session of its own; nobody starts it again. */
  | { readonly by: 'self'; readonly log: string };

/** All that a transaction was told; the same for its walk back and for what resumes it. */
export interface Settings {
  readonly prefix: string;
  readonly configDir: string;
  /** The file that a side's `config` is the text of: config.toml there, or a file in conf.d. */
  readonly configFile: string;
  /** Directory of links to the programs; null for none. */
  readonly linkDir: string | null;
  readonly daemon: DaemonControl;
  /** null on a node without a kubelet. */
  readonly kubelet: (KubeletPointer & { readonly control: KubeletControl; readonly healthUrl: string }) | null;
  /** null: the node is not cordoned, and Ready is what the kubelet's own health is. */
  readonly kubernetes: { readonly kubeconfig: string; readonly node: string } | null;
  /** Longest grace of a container that is stopped. */
  readonly graceMs: number;
  /** How long all may take before it walks back. */
  readonly timeoutMs: number;
  /** Least free space where images lie. */
  readonly freeBytes: number;
  /** What whoever asks knows his wish by: with another one the node is told anew. */
  readonly wish?: string;
}

export const stepNames = [
  'preflight',
  'cordon',
  'stop-kubelet',
  'remove-pods',
  'stop-daemon',
  'place',
  'start-daemon',
  'self-test',
  'repoint-kubelet',
  'start-kubelet',
  'ready',
  'uncordon',
] as const;
export type StepName = (typeof stepNames)[number];

export type Kind = 'install' | 'switch' | 'upgrade' | 'revert' | 'uninstall';
/** `done`: all is on `to`. `walked-back`: all is on `from`. `refused`: the preflight said no, nothing was changed. */
export type Outcome = 'done' | 'walked-back' | 'refused';

/** A transaction that has ended, in few words. */
export interface Past {
  readonly id: string;
  readonly kind: Kind;
  readonly outcome: Outcome;
  readonly from: string;
  readonly to: string;
  readonly endedAt: string;
  readonly failure: string | null;
}

/** What the preflight saw and the way back needs. */
export interface Found {
  /** The node took no pods before already, and is left so. */
  readonly wasCordoned: boolean;
  /** `settings.configFile` as it was; null when there was none. */
  readonly configBefore: string | null;
  readonly from: Side;
}

/** The journal: one file, replaced whole at each step. Times are ISO 8601. */
export interface Journal {
  readonly format: 1;
  readonly id: string;
  readonly kind: Kind;
  readonly from: Side;
  readonly to: Side;
  /** The runtime that this node had before podwright, to go back to; null for a node of its own. */
  readonly origin: Side | null;
  readonly settings: Settings;
  /** Of an upgrade: the settings that the present ones take the place of. On the way back they change places. */
  readonly replaced?: Settings | null;
  readonly direction: 'forward' | 'back';
  /** Steps forward that were begun, whatever became of them. */
  readonly begun: readonly StepName[];
  /** Steps of the present direction that are done. */
  readonly done: readonly StepName[];
  /** The step under way. */
  readonly step: StepName | null;
  readonly wasCordoned: boolean;
  readonly configBefore: string | null;
  /** The boot that `done` speaks of. */
  readonly bootId: string;
  /** How often it was taken up after an interruption. */
  readonly resumed: number;
  /** Why it walks back, or was refused. */
  readonly failure: { readonly step: StepName; readonly message: string } | null;
  /** Why the walk back is not over; null while all goes well. */
  readonly stuck: { readonly step: StepName; readonly message: string } | null;
  readonly warnings: readonly string[];
  readonly startedAt: string;
  readonly updatedAt: string;
  readonly endedAt: string | null;
  readonly outcome: Outcome | null;
  readonly history: readonly Past[];
}

/** What begins a transaction. */
export interface Beginning {
  readonly id: string;
  readonly kind: Kind;
  readonly from: Side;
  readonly to: Side;
  readonly settings: Settings;
  readonly bootId: string;
  readonly now: string;
  /** The journal of the transaction before, if there was one. */
  readonly previous: Journal | null;
}

const historyLength = 20;

/** A journal in which nothing is done yet. */
export function newJournal({ id, kind, from, to, settings, bootId, now, previous }: Beginning): Journal {
  const past = previous?.outcome ? [pastOf(previous, previous.outcome)] : [];
  return {
    format: 1,
    id,
    kind,
    from,
    to,
    origin: from.type === 'runtime' ? from : (previous?.origin ?? null),
    settings,
    replaced: kind === 'upgrade' ? (previous?.settings ?? null) : null,
    direction: 'forward',
    begun: [],
    done: [],
    step: null,
    wasCordoned: false,
    configBefore: null,
    bootId,
    resumed: 0,
    failure: null,
    stuck: null,
    warnings: [],
    startedAt: now,
    updatedAt: now,
    endedAt: null,
    outcome: null,
    history: [...past, ...(previous?.history ?? [])].slice(0, historyLength),
  };
}

/** "containerd 2.1.4", "podwright 0.1.0", "nothing" */
export function sideName(side: Side): string {
  if (side.type === 'none') return 'nothing';
  if (side.type === 'podwright') return `podwright ${side.version}`;
  return side.name === '' ? `the runtime at ${side.endpoint}` : `${side.name} ${side.version}`;
}

function pastOf({ id, kind, from, to, endedAt, updatedAt, failure }: Journal, outcome: Outcome): Past {
  const why = failure && `${failure.step}: ${failure.message}`;
  return { id, kind, outcome, from: sideName(from), to: sideName(to), endedAt: endedAt ?? updatedAt, failure: why };
}

/** What runs the pods by this journal once its transaction is over; of one that is not, null. */
export function presentSide({ outcome, from, to }: Journal): Side | null {
  if (outcome === null) return null;
  return outcome === 'done' ? to : from;
}

/** A step is going to be carried out. */
export const stepBegun = (journal: Journal, step: StepName, now: string): Journal => ({
  ...journal,
  step,
  begun: journal.direction === 'forward' && !journal.begun.includes(step) ? [...journal.begun, step] : journal.begun,
  updatedAt: now,
});

/** A step was carried out; the preflight answers what it found. */
export function stepDone(journal: Journal, step: StepName, found: Found | null): Journal {
  const after = { ...journal, step: null, done: [...journal.done, step], stuck: null };
  if (found === null) return after;
  const origin = found.from.type === 'runtime' ? found.from : journal.origin;
  return { ...after, ...found, origin };
}

export const warned = (journal: Journal, warning: string): Journal => ({
  ...journal,
  warnings: journal.warnings.includes(warning) ? journal.warnings : [...journal.warnings, warning],
});

/** The side that a walk back goes to has its own settings again. */
const settingsBack = ({ settings, replaced }: Journal): Pick<Journal, 'settings' | 'replaced'> =>
  replaced ? { settings: replaced, replaced: settings } : { settings };

/** The file of configuration that a transaction looked at and writes: there and back the one that `to` was told. */
export const configFileOf = ({ direction, settings, replaced }: Journal): string =>
  (direction === 'back' && replaced ? replaced : settings).configFile;

/** Forward something failed: from now on it walks back. */
export const turned = (journal: Journal, step: StepName, message: string): Journal => ({
  ...journal,
  ...settingsBack(journal),
  direction: 'back',
  step: null,
  done: [],
  failure: { step, message },
});

/** With the other of the two ways to start podwrightd that an upgrade knows: of the settings before and of its own. */
export const withOtherDaemon = (journal: Journal): Journal => {
  const { settings, replaced } = journal;
  if (!replaced) return journal;
  return {
    ...journal,
    settings: { ...settings, daemon: replaced.daemon },
    replaced: { ...replaced, daemon: settings.daemon },
  };
};

/** The walk back cannot go on for now. */
export const stuckAt = (journal: Journal, step: StepName, message: string): Journal => ({
  ...journal,
  step: null,
  stuck: { step, message },
});

export const ended = (journal: Journal, outcome: Outcome, now: string): Journal => ({
  ...journal,
  step: null,
  outcome,
  updatedAt: now,
  endedAt: now,
});
