// The contexts that pods and containers get on this node. Must not know how they are applied.
import { failedPrecondition, invalidArgument } from '../lib/failure.ts';
import type { PolicyDefaults, SelinuxKernel, SelinuxMode } from './kernel.ts';
import {
  asksForAny,
  formatLabel,
  type Label,
  type Labels,
  type LabelWish,
  noLabels,
  parseLabel,
  withWish,
} from './label.ts';
import { freeLevel } from './levels.ts';

export interface SelinuxOptions {
  readonly kernel: SelinuxKernel;
  /** The node's setting; `off`: no context is asked for whatever the kernel has. */
  readonly setting: 'auto' | 'off';
  /** How many categories pods' levels are made of. */
  readonly categoryRange: number;
}

/** What Status and doctor tell. */
export interface SelinuxStatus {
  readonly mode: SelinuxMode;
  /** Whether containers get contexts here. */
  readonly enabled: boolean;
  readonly setting: 'auto' | 'off';
  /** Of containers that ask for nothing, without a pod's level. */
  readonly defaults: Labels;
  readonly defaultsFile: string;
  /** Why containers that ask for nothing run without contexts; null when they do not, or SELinux is off. */
  readonly trouble: string | null;
}

export interface PodWish {
  readonly options: LabelWish | null;
  /** Of the sandbox. */
  readonly id: string;
  /** Levels that pods have. */
  readonly used: Iterable<string>;
}

export interface ContainerWish {
  readonly options: LabelWish | null;
  /** Of its pod. */
  readonly podOptions: LabelWish | null;
  readonly privileged: boolean;
  /** It is in the host's pid or ipc namespace. */
  readonly hostNamespaces: boolean;
}

/** The port. */
export interface Selinux {
  /**
   * Contexts of a pod: what it asks for over the policy's defaults, with a level of its own unless it names one. Null
   * where SELinux is off, or where nothing is asked for and the policy has nothing for containers. Throws
   * invalid-argument for a context that the policy does not know, failed-precondition when all levels are taken.
   */
  podLabels(wish: PodWish): Labels | null;
  /** Contexts of a container: what it asks for over its pod's. `pod` null: the pod has none. Throws invalid-argument. */
  containerLabels(wish: ContainerWish, pod: Labels | null): Labels;
  status(): SelinuxStatus;
}

const container: Label = { user: 'system_u', role: 'system_r', type: 'container_t', level: 's0' };
const containerFile: Label = { user: 'system_u', role: 'object_r', type: 'container_file_t', level: 's0' };

const field = 'linux.security_context.selinux_options';

/** The policy's contexts of containers. Its file may name one that is none: then what is built in counts. */
function baseOf({ process, file }: PolicyDefaults, levels: boolean): { process: Label; file: Label } {
  const of = (text: string | null, builtIn: Label): Label => {
    const label = (text === null ? null : parseLabel(text)) ?? builtIn;
    return levels ? { ...label, level: label.level || 's0' } : { ...label, level: '' };
  };
  return { process: of(process, container), file: of(file, containerFile) };
}

/** Composes the room. The policy's defaults are read once: a change of them needs a restart. */
export function createSelinux({ kernel, setting, categoryRange }: SelinuxOptions): Selinux {
  const mode = kernel.mode();
  const enabled = setting === 'auto' && (mode === 'permissive' || mode === 'enforcing');
  const levels = enabled && kernel.levels();
  const defaults = kernel.defaults();
  const base = baseOf(defaults, levels);
  const unknown = (labels: Labels): string | undefined =>
    [labels.process, labels.mount].find((label) => !kernel.knows(label));
  const missing = enabled ? unknown(withWish(base, null)) : undefined;
  const trouble = missing === undefined ? null : `the loaded policy does not know ${missing}`;

  function known(labels: Labels): Labels {
    const stranger = unknown(labels);
    if (stranger !== undefined) throw invalidArgument(`${field}: the loaded policy does not know ${stranger}`);
    return labels;
  }

  function levelFor({ options, id, used }: PodWish): string {
    if (!levels) return '';
    if (options?.level) return options.level;
    const level = freeLevel({ used, id, range: categoryRange });
    if (level === null) throw failedPrecondition(`all SELinux levels of ${categoryRange} categories are taken by pods`);
    return level;
  }

  return {
    podLabels(wish) {
      const { options } = wish;
      if (!enabled || (trouble !== null && !asksForAny(options))) return null;
      const level = levelFor(wish);
      return known(withWish(base, { user: '', role: '', type: '', ...options, level }));
    },
    containerLabels({ options, podOptions, privileged, hostNamespaces }, pod) {
      const [process, file] = [parseLabel(pod?.process ?? ''), parseLabel(pod?.mount ?? '')];
      if (!enabled || process === null || file === null) return noLabels;
      if (hostNamespaces && !asksForAny(options) && !asksForAny(podOptions)) return noLabels;
      const labels = withWish({ process, file }, options && { ...options, level: levels ? options.level : '' });
      // what a privileged container is, the policy decides: spc_t, for a runtime that it knows
      return privileged ? { ...known(labels), process: '' } : known(labels);
    },
    status: () => ({
      mode: kernel.mode(),
      enabled,
      setting,
      defaults: { process: formatLabel(base.process), mount: formatLabel(base.file) },
      defaultsFile: defaults.found ? defaults.path : '',
      trouble,
    }),
  };
}
