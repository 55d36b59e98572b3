// The composition of pods: records, monitors and the verbs over them. Wires, decides nothing.
import { sandboxCgroup } from '../cgroup/path.ts';
import type { SandboxId } from '../lib/id.ts';
import { monitorRequests } from '../monitor/requests.ts';
import { userNamespaces } from '../monitor/user-namespaces.ts';
import type { Sandbox, SelinuxLabels, SelinuxOptions } from '../sandbox/sandbox.ts';
import { abandonSandbox, teardownSandbox } from '../sandbox/teardown.ts';
import { parseLabel } from '../selinux/label.ts';
import { composeContainers } from './container-ports.ts';
import { creationPorts, hexId } from './creation-ports.ts';
import type { Hands } from './hands.ts';
import { OomNews } from '../events/oom-kills.ts';
import { monitorsOf } from './monitor-news.ts';
import { removeOwnCgroups } from './own-cgroups.ts';
import { podEvents } from './pod-events.ts';
import { type PodStore, podStore } from './pod-store.ts';
import { releasePortsOf } from './release-ports.ts';
import { steppedMonitors } from './steps.ts';

/** A pod's contexts, with a level that no pod on record has. */
const podLabelsOf =
  ({ selinux, sandboxes }: PodStore) =>
  (id: string, options: SelinuxOptions | null): SelinuxLabels | null => {
    const levels = sandboxes.list().flatMap(({ identity }) => parseLabel(identity.selinux?.process ?? '')?.level ?? []);
    return selinux.podLabels({ id, options, used: levels });
  };

/** OOM kills, which the log has too. */
function oomNews(log: Hands['log']): OomNews {
  const ooms = new OomNews();
  ooms.subscribe(({ at, main, ...kill }) => {
    const what = main ? 'the container was OOM killed' : 'a process of the container was OOM killed; it goes on';
    log.warn({ ...kill, at: String(at) }, what);
  });
  return ooms;
}

/** What changes on record is told to plugins. */
function tellPlugins({ nri, log }: Hands, { containers, sandboxes }: PodStore): void {
  /** A record must change whatever becomes of its telling. */
  const guarded =
    <T>(tell: (before: T | null, after: T | null) => void) =>
    (before: T | null, after: T | null): void => {
      try {
        tell(before, after);
      } catch (error) {
        log.error({ error }, 'bug: a change could not be told to NRI plugins');
      }
    };
  containers.onChange(guarded((before, after) => nri.containerChanged(before, after)));
  sandboxes.onChange(guarded((before, after) => nri.sandboxChanged(before, after)));
}

/** Everything that lives with pods: records, locks, monitors, ports of the verbs. */
export function composePods(hands: Hands) {
  const { cgroups, now, stages } = hands;
  const store = podStore(hands);
  const { locks, bootId } = store;
  tellPlugins(hands, store);
  const ooms = oomNews(hands.log);
  const monitors = monitorsOf(hands, store, {
    onGone: (id) => void containers.loseContainersOf(id).then(() => events.monitorGone(id)),
    onOom: (kill) => ooms.publish(kill),
  });
  const events = podEvents({ store, isAlive: (id) => monitors.isAlive(id), now, log: hands.log });
  const requests = steppedMonitors(monitorRequests(monitors), hands.step);
  const containers = composeContainers(hands, store, requests);
  const { containerPorts, halt } = containers;
  const teardownContainer = (id: string): Promise<void> => containers.teardown(id).then(() => ooms.forget(id));
  const releasePorts = releasePortsOf(hands, {
    store,
    requests,
    halt,
    deleteByRuntime: containerPorts.deleteByRuntime,
  });
  const { root, state } = hands.paths;
  const userNamespaceTrouble = userNamespaces({ native: hands.native, store: root, state });
  const teardownPorts = { ...releasePorts, locks, teardownContainer };
  const teardown = (id: string): Promise<void> => teardownSandbox(teardownPorts, id);
  return {
    ...store,
    monitors,
    events,
    ooms,
    requests,
    containerPorts,
    releasePorts,
    teardownSandbox: teardown,
    /** As teardownSandbox, but its network stays owed and its record with it. */
    abandonSandbox: (id: string): Promise<void> => abandonSandbox(teardownPorts, id),
    teardownContainer,
    /** Kills its processes. */
    haltContainer: halt,
    userNamespaceTrouble,
    removeOwnCgroups: () => hands.own.leave().then(() => removeOwnCgroups(cgroups)),
    runPorts: {
      ...releasePorts,
      locks,
      teardown,
      now,
      bootId,
      stages,
      newId: () => hexId() as SandboxId,
      cgroupPathOf: (parent: string, id: string) => sandboxCgroup(cgroups.driver, parent, id),
      userNamespaceTrouble: async (network: 'pod' | 'node') => {
        const trouble = await userNamespaceTrouble();
        return network === 'node' ? trouble.hostNetwork : trouble.pods;
      },
      running: (sandbox: Sandbox) => hands.nri.running(sandbox),
      selinux: podLabelsOf(store),
      defaultSysctls: hands.config.container.defaultSysctls,
      runtimes: hands.config.node.runtimes,
    },
    ...creationPorts(hands, store, containers),
  };
}

export type Pods = ReturnType<typeof composePods>;
