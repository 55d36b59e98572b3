// What is told to the API server, over the composed rooms: where news comes from. Wires, decides little.
import { hostname } from 'node:os';
import type { CgroupStats, Cgroups } from '../cgroup/cgroup.ts';
import type { Config } from '../config/schema.ts';
import { version } from '../config/version.ts';
import type { ImageVerbs } from '../cri/verbs.ts';
import type { KubeHouse, Kube } from '../kube/kube.ts';
import type { MemoryNow, News } from '../kube/news.ts';
import { failureChain } from '../lib/failure.ts';
import { orAborted } from '../lib/waiting.ts';
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
/** How long the end of a daemon that leaves the node waits for that, and for what is done by it then. */
const lastTryMs = 10_000;
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

/** The API server, as soon as the kubeconfig can be used: then `onOpened` is called. */
function reach(parts: KubeParts, onOpened: (kube: Kube) => void) {
  const { config, log } = parts;
  let kube: Kube | null = null;
  let ending: { readonly leaving: boolean } | null = null;
  let timer: NodeJS.Timeout | undefined;
  let opening: Promise<void> | null = null;
  /** Why the kubeconfig cannot be used; "" when it can. */
  let unable = '';
  const once = async (): Promise<void> => {
    try {
      const opened = await open(parts);
      unable = '';
      if (ending) return await opened.stop(ending);
      kube = opened;
      onOpened(opened);
    } catch (error) {
      unable = failureChain(error);
      if (ending) return;
      log.error({ error: unable }, 'the API server is told nothing; this is tried again');
      timer = setTimeout(() => void attempt(), againMs).unref();
    }
  };
  const attempt = (): Promise<void> => (opening ??= once().finally(() => (opening = null)));
  /** The kubeconfig may be usable by now; a daemon of before may have told what is to be taken away. */
  const leaveUnopened = async (): Promise<void> => {
    const tried = attempt().then(() => unable);
    const why = await orAborted(tried, AbortSignal.timeout(lastTryMs)).catch(
      () => 'the kubeconfig was not read in time',
    );
    if (why !== '') log.warn({ why }, 'the node keeps a condition or labels of podwright');
  };
  return {
    begin: () => void attempt(),
    async end(how: { readonly leaving: boolean }): Promise<void> {
      ending = how;
      clearTimeout(timer);
      const { condition, runtimeClasses } = config.kubernetes;
      if (kube) await kube.stop(how);
      else if (how.leaving && (condition || runtimeClasses)) await leaveUnopened();
    },
  };
}

/** Joins the rooms. Nothing is loaded, and nothing told, before `start`. */
export function linkKube(parts: KubeParts, disksEveryMs = lookMs): KubeLink {
  const { config, pods, images, log, recovery } = parts;
  const { kubeconfig, events, slowPullMs } = config.kubernetes;
  if (kubeconfig === '') return silent;
  let kube: Kube | null = null;
  let leaving = false;
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
  const way = reach(parts, (opened) => {
    kube = opened;
    for (const news of early.splice(0)) opened.tell(news);
  });
  const endings: (() => void)[] = [];
  return {
    images: (verbs) => (events ? withPullNews(verbs, { tell, progress: images.progress, slowMs: slowPullMs }) : verbs),
    start() {
      way.begin();
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
      for (const end of endings) end();
      await way.end({ leaving });
    },
    leave: () => void (leaving = true),
  };
}
