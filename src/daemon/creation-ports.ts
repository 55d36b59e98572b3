// What making containers, and commands in them, is given: host facts, profiles, ids.
import { randomBytes } from 'node:crypto';
import type { ProfileRequest } from '../apparmor/apparmor.ts';
import { type DeviceName, requestedDevices } from '../cdi/names.ts';
import { resolveDevices } from '../cdi/resolve.ts';
import { containerCgroup } from '../cgroup/path.ts';
import { readBaseSpecs } from '../config/base-specs.ts';
import { unadjusted } from '../container/adjusted.ts';
import type { ContainerConfig } from '../container/container.ts';
import type { CreateContainerPorts } from '../container/create-ports.ts';
import type { ContainerId } from '../lib/id.ts';
import type { Log } from '../log.ts';
import { capabilitiesOfMask } from '../oci/capabilities.ts';
import { noEdits } from '../oci/edits.ts';
import type { SpecEdits } from '../oci/types.ts';
import { cdiNames, readSpecFiles } from '../state/spec-files.ts';
import { defaultSeccompProfile } from '../oci/seccomp-default.ts';
import type { Labels } from '../selinux/label.ts';
import { ownDirectories, ownTrees } from '../selinux/relabel.ts';
import type { ContainerWish } from '../selinux/selinux.ts';
import { policyFilter, seccompFilters, seccompProfiles } from '../seccomp/filters.ts';
import type { ContainerParts } from './container-ports.ts';
import type { Hands } from './hands.ts';
import type { PodStore } from './pod-store.ts';

/** A new id: 32 random bytes in hex. */
export const hexId = (): string => randomBytes(32).toString('hex');

const seccompOf = ({ native, config }: Hands) => ({
  compile: native.seccompCompile,
  defaultProfile: (capabilities: readonly string[]) =>
    defaultSeccompProfile(capabilities, process.arch === 'arm64' ? 'arm64' : 'x64'),
  root: config.container.seccompRoot,
});

/** What CDI devices change; without one no file is read. */
const cdiOf =
  (dirs: readonly string[]) =>
  async (names: readonly DeviceName[]): Promise<SpecEdits> =>
    names.length === 0 ? noEdits : resolveDevices(names, await readSpecFiles(dirs, cdiNames));

/** What plugins change of a container; without any nothing is done. */
const adjustOf =
  ({ nri, stages }: Hands): CreateContainerPorts['adjust'] =>
  (planned) =>
    nri.idle
      ? Promise.resolve(unadjusted(planned))
      : stages(planned.identity.sandboxId, 'CreateContainer').stage('plugins', () => nri.adjust(planned));

/** Ports of CreateContainer and of ExecSync. */
export function creationPorts(hands: Hands, store: PodStore, { containerPorts, teardown }: ContainerParts) {
  const { config, cgroups, images, paths, log } = hands;
  const profiles = seccompOf(hands);
  const seccomp = seccompFilters(profiles);
  const seccompPolicy = policyFilter(profiles);
  const cdiEdits = cdiOf(config.container.cdiDirs);
  const createPorts = {
    ...containerPorts,
    sandboxes: store.sandboxes,
    images: { find: images.facts, hold: images.hold, admit: images.admit },
    seccomp,
    apparmor: (profile: ProfileRequest | null, privileged: boolean) => store.apparmor.profileOf(profile, privileged),
    selinux: (wish: ContainerWish, pod: Labels | null) => store.selinux.containerLabels(wish, pod),
    relabelLimits: { directories: ownDirectories, trees: [...ownTrees, config.node.root, config.node.state] },
    cdi: ({ cdiDevices = [], annotations }: ContainerConfig) => cdiEdits(requestedDevices(cdiDevices, annotations)),
    hooks: store.hooks.select,
    baseSpec: readBaseSpecs(config),
    adjust: adjustOf(hands),
    seccompPolicy,
    seccompProfile: seccompProfiles(profiles),
    runtimeRoot: paths.runtimeRoot,
    teardown,
    newId: () => hexId() as ContainerId,
    bootId: store.bootId,
    pid: process.pid,
    host: {
      capabilities: capabilitiesOfMask(store.facts.capabilityMask),
      defaultCapabilities: config.container.capabilities,
      rlimits: Object.fromEntries(
        config.container.defaultUlimits.map(({ name, soft, hard }) => [name, { soft, hard }]),
      ),
      ownCgroupNamespace: cgroups.version !== 'v1',
      noWritableCgroups: noWritableCgroups(cgroups.version, config.cgroup.writable),
      privilegedDevices: !config.container.privilegedWithoutHostDevices,
      ownedDevices: config.container.deviceOwnershipFromSecurityContext,
    },
    maxLogLineBytes: config.container.maxLogLine,
    overlayOptions: config.container.volatileLayers ? ['volatile'] : [],
    diskLimits: (handler: string) => [
      hands.current().container.writableLayerLimit,
      config.node.runtimes[handler]?.writableLayerLimit ?? 0,
    ],
    cgroupPathOf: containerCgroup,
    netnsPin: paths.netnsPin,
    onNote: noteOnce(log),
  };
  const { records, monitors, files } = containerPorts;
  return { createPorts, execPorts: { records, monitors, files, seccomp, seccompPolicy, newExecId: hexId }, cdiEdits };
}

/** Why containers may not divide their cgroups here, null when they may. */
function noWritableCgroups(version: string, allowed: boolean): string | null {
  if (version !== 'v2') return 'this host does not use cgroup v2 alone';
  return allowed ? null : 'cgroup.writable is false on this node';
}

/** Logs each kind of note once: a clamped limit is the host's property, not the container's. */
function noteOnce(log: Log): (containerId: string, note: string) => void {
  const told = new Set<string>();
  return (containerId, note) => {
    const kind = note.replace(/-?\d+/g, 'N');
    if (told.has(kind)) return;
    told.add(kind);
    log.warn({ containerId, note }, 'the host does not allow all that was asked; the same is not told again');
  };
}
