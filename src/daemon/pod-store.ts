// What is known of pods: records, their locks, their files, and the facts of host and boot they are held against.
import { createAppArmor } from '../apparmor/apparmor.ts';
import { loadedProfiles, loadProfile } from '../apparmor/kernel.ts';
import type { ContainerIdentity, ContainerStatus } from '../container/container.ts';
import { DroppedOutput } from '../container/dropped-output.ts';
import type { ContainerId } from '../lib/id.ts';
import { KeyedLock } from '../lib/keyed-lock.ts';
import type { SandboxIdentity, SandboxStatus } from '../sandbox/sandbox.ts';
import { selinuxKernel } from '../selinux/kernel.ts';
import { createSelinux } from '../selinux/selinux.ts';
import { containerRecords } from '../state/containers.ts';
import { hostFacts } from '../state/host.ts';
import { RunFiles } from '../state/run-files.ts';
import { sandboxRecords } from '../state/sandboxes.ts';
import type { Hands } from './hands.ts';
import { nodeHooks } from './node-hooks.ts';
import { steppedFiles } from './steps.ts';

/** Builds them; the records are loaded later, by recovery. */
export function podStore({
  config,
  paths,
  native,
  step,
  writer,
  log,
}: Pick<Hands, 'config' | 'paths' | 'native' | 'step' | 'writer' | 'log'>) {
  const dirs = { trashDir: paths.trashDir, quarantineDir: paths.quarantineDir, writer };
  const containers = containerRecords<ContainerIdentity, ContainerStatus>({ dir: paths.containersDir, ...dirs });
  const facts = hostFacts();
  const apparmor = createAppArmor({
    enabled: facts.apparmor,
    load: loadProfile,
    loaded: loadedProfiles,
    onTrouble: (why) => {
      if (why === null) log.info({}, 'the default AppArmor profile is loaded');
      else
        log.warn({ why }, 'the default AppArmor profile is not loaded: containers that do not ask for it run without');
    },
  });
  apparmor.start();
  const selinux = createSelinux({
    kernel: selinuxKernel(),
    setting: config.container.selinux,
    categoryRange: config.container.selinuxCategoryRange,
  });
  const { trouble } = selinux.status();
  if (trouble !== null) log.warn({ why: trouble }, 'containers that do not ask for a SELinux context run without');
  const hooks = nodeHooks(config.container.hooksDirs, log);
  void hooks.look();
  return {
    apparmor,
    hooks,
    selinux,
    bootId: native.bootId(),
    facts,
    locks: new KeyedLock(),
    files: steppedFiles(new RunFiles(paths), step),
    sandboxes: sandboxRecords<SandboxIdentity, SandboxStatus>({ dir: paths.sandboxesDir, ...dirs }),
    containers,
    /** Output that could not be logged, as monitors tell it. */
    dropped: new DroppedOutput(),
    containersOf: (sandboxId: string): ContainerId[] =>
      containers.list().flatMap(({ identity }) => (identity.sandboxId === sandboxId ? [identity.id] : [])),
  };
}

export type PodStore = ReturnType<typeof podStore>;
