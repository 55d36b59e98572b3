// What is told to the API server, over the composed rooms: where news comes from. Wires, decides little.
import { hostname } from 'node:os';
import type { CgroupStats, Cgroups } from '../cgroup/cgroup.ts';
import type { Config } from '../config/schema.ts';
import { version } from '../config/version.ts';
import type { ImageVerbs } from '../cri/verbs.ts';
import type { KubeHouse, Kube } from '../kube/kube.ts';
import type { MemoryNow, News } from '../kube/news.ts';
import { failureChain } from '../lib/failure.ts';
import type { OomKill } from '../lib/oom.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { lookMs, watchDisks } from './disk-news.ts';
import { healthFacts, type HealthParts } from './health.ts';
import { withPullNews } from './pull-news.ts';
import type { Recovery } from './recovery.ts';

export interface KubeParts extends Omit<HealthParts, 'recovery'> {
  readonly config: Config;
  readonly cgroups: Cgroups;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly recovery: Recovery;
}

/** The room as the daemon drives it; there in any case, and silent without a kubeconfig. */
export interface KubeLink {
  /** ImageService's verbs, with news of pulls. */
  readonly images: (verbs: ImageVerbs) => ImageVerbs;
  /** Reads the kubeconfig and begins to tell. Never rejects: what is wrong is logged, and tried again. */
  readonly start: () => void;
  readonly stop: () => Promise<void>;
  /** podwright leaves the node: `stop` takes away what the node is told to be and have. */
  readonly leave: () => void;
}

const silent: KubeLink = {
  images: (verbs) => verbs,
  start: () => undefined,
  stop: async () => undefined,
  leave: () => undefined,
};

/** How long until a kubeconfig that could not be used is tried again, in milliseconds: it may be written later. */
const againMs = 30_000;
/** News that waits for the kubeconfig to be read, at most. */
const mostEarly = 64;

const memoryOf = (stats: CgroupStats | null | undefined): MemoryNow | null =>
  stats?.memory ? { usage: stats.memory.usage, peak: stats.memory.maxUsage, limit: stats.memory.limit } : null;

/** A kill with what is known around it. */
async function oomOf({ pods, cgroups }: KubeParts, kill: OomKill): Promise<News | null> {
  const container = pods.containers.get(kill.containerId)?.identity;
  const sandbox = pods.sandboxes.get(kill.sandboxId)?.identity;
  if (!container || !sandbox) return null;
  const { namespace, name, uid } = sandbox.config.metadata;
  // gone with the container perhaps: then the limits alone are told
  const [own, pod] = await cgroups.stats([container.cgroupPath, sandbox.cgroupPath]).catch(() => []);
  return {
    type: 'oom',
    pod: { namespace, name, uid },
    container: container.config.metadata.name,
    main: kill.main,
    kills: kill.kills,
    limit: kill.limit,
    limitBytes: kill.limitBytes,
    containerMemory: memoryOf(own),
    podMemory: memoryOf(pod),
  };
}

const houseOf = (parts: KubeParts): KubeHouse => ({
  nowMs: Date.now,
  random: Math.random,
  log: (level, fields, message) => parts.log[level](fields, message),
  countRequest: (result) => parts.metrics.countKubeRequest(result),
  countEvent: (fate) => parts.metrics.countKubeEvent(fate),
  facts: () => healthFacts(parts),
});

async function open(parts: KubeParts): Promise<Kube> {
  const { kubeconfig, nodeName, events, condition, runtimeClasses } = parts.config.kubernetes;
  const { startKube } = await import('../kube/kube.ts');
  const node = nodeName === '' ? hostname().toLowerCase() : nodeName;
  const handlers = runtimeClasses ? ['podwright', ...Object.keys(parts.config.node.runtimes)] : null;
  const kube = await startKube({ kubeconfig, node, version, events, condition, handlers }, houseOf(parts));
  parts.log.info({ kubeconfig, node }, 'the API server is told of pods and of this node');
  return kube;
}

/** Joins the rooms. Nothing is loaded, and nothing told, before `start`. */
export function linkKube(parts: KubeParts, disksEveryMs = lookMs): KubeLink {
  const { config, pods, images, log, recovery } = parts;
  const { kubeconfig, events, slowPullMs } = config.kubernetes;
  if (kubeconfig === '') return silent;
  let kube: Kube | null = null;
  let stopped = false;
  let leaving = false;
  let timer: NodeJS.Timeout | undefined;
  const early: News[] = [];
  const tell = (news: News): void => {
    if (kube) kube.tell(news);
    else if (early.length < mostEarly) early.push(news);
    else parts.metrics.countKubeEvent('overflow');
  };
  const onError = (error: unknown): void =>
    log.warn({ error: failureChain(error) }, 'news for the API server was lost');
  const unread = (error: unknown, containerId: string): void =>
    log.warn({ error: failureChain(error), containerId }, 'a writable layer with a limit cannot be looked at');
  const attempt = async (): Promise<void> => {
    try {
      const opened = await open(parts);
      if (stopped) return await opened.stop();
      kube = opened;
      for (const news of early.splice(0)) kube.tell(news);
    } catch (error) {
      log.error({ error: failureChain(error) }, 'the API server is told nothing; this is tried again');
      if (!stopped) timer = setTimeout(() => void attempt(), againMs).unref();
    }
  };
  const endings: (() => void)[] = [];
  return {
    images: (verbs) => (events ? withPullNews(verbs, { tell, progress: images.progress, slowMs: slowPullMs }) : verbs),
    start() {
      void attempt();
      if (!events) return;
      endings.push(pods.ooms.subscribe((kill) => void oomOf(parts, kill).then((news) => news && tell(news), onError)));
      endings.push(watchDisks({ pods, images, tell, onError: unread }, disksEveryMs));
      void recovery.done.then(() => {
        const what = recovery.swept();
        if (what.length > 0) tell({ type: 'swept', what });
        // what comes off later, when it is tried again
        endings.push(recovery.onSwept((each) => tell({ type: 'swept', what: [each] })));
      });
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      for (const end of endings) end();
      await kube?.stop({ leaving });
    },
    leave: () => void (leaving = true),
  };
}
