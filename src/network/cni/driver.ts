// Pods connected by plugins: versions agreed, results cached. Must not choose the network.
import { failureChain } from '../../lib/failure.ts';
import type { Attachment, NetworkLog } from '../request.ts';
import type { NetworkConfig } from './conflist.ts';
import { runtimeOf, type PodOfPlugin } from './plugin-input.ts';
import {
  addByPlugins,
  checkByPlugins,
  collectByPlugins,
  deleteByPlugins,
  pluginStatus,
  type PluginAttachment,
  type PluginOptions,
} from './plugins.ts';
import { ResultCache } from './result-cache.ts';
import { PluginVersions } from './versions.ts';

// STATUS executes plugins: the kubelet asks more often than the answer changes
const statusMs = 10_000;

/** A pod with the network that it has or is to get. */
export interface PluginPod {
  readonly config: NetworkConfig;
  readonly pod: PodOfPlugin;
  readonly podCidr: string;
}

const attachmentOf = ({ config, pod, podCidr }: PluginPod): PluginAttachment => ({
  config,
  runtime: runtimeOf(pod, podCidr),
});

/** All networks that plugins make. */
export class PluginNetworks {
  readonly #options: PluginOptions;
  readonly #log: NetworkLog;
  readonly #versions: PluginVersions;
  readonly #cache: ResultCache;
  #status: { readonly config: NetworkConfig; readonly problem: Promise<string>; until: number } | null = null;

  constructor(options: PluginOptions & { readonly cacheDir: string; readonly log: NetworkLog }) {
    this.#options = options;
    this.#log = options.log;
    this.#versions = new PluginVersions(options);
    this.#cache = new ResultCache(options.cacheDir);
  }

  /** The network as a pod is to get it: in a version that all plugins speak. Fails for a pod that asks for nonsense. */
  async agree(wanted: PluginPod): Promise<NetworkConfig> {
    runtimeOf(wanted.pod, wanted.podCidr);
    return this.#versions.negotiate(wanted.config);
  }

  /** Connects a pod. */
  async attach(
    to: PluginPod,
    call: { readonly netns: string; readonly signal: AbortSignal },
  ): Promise<{ readonly result: unknown; readonly attachment: Attachment }> {
    const attachment = attachmentOf(to);
    const added = await addByPlugins(this.#options, attachment, call);
    this.#remember(attachment, { netns: call.netns, result: added.result });
    return added;
  }

  /** The cache is for others and for a lost record: a disk that is full must not cost the pod its network. */
  #remember(to: PluginAttachment, of: { readonly netns: string; readonly result: unknown }): void {
    try {
      this.#cache.write(to, of);
    } catch (error) {
      this.#log('warn', { error, sandbox: to.runtime.containerId }, 'the result of CNI plugins could not be cached');
    }
  }

  /** Disconnects a pod; `netns` is null once the namespace is gone. */
  async detach(to: PluginPod, call: { readonly netns: string | null; readonly result: unknown }): Promise<void> {
    const attachment = attachmentOf(to);
    await deleteByPlugins(this.#options, attachment, call);
    this.#cache.remove(attachment);
  }

  /** Disconnects a sandbox of which only cached results are left: how many. */
  async detachCached(sandboxId: string, netns: string | null): Promise<number> {
    const cached = this.#cache.of(sandboxId);
    for (const { result, ...attachment } of cached) {
      await deleteByPlugins(this.#options, attachment, { netns, result });
      this.#cache.remove(attachment);
    }
    return cached.length;
  }

  /** Whether a pod's network is as ADD left it; throws what a plugin says is wrong. */
  async check(to: PluginPod, call: { readonly netns: string; readonly result: unknown }): Promise<void> {
    await checkByPlugins(this.#options, attachmentOf(to), call);
  }

  /** Why pods cannot be connected now; "" when they can. The answer is a few seconds old at most; all share one run. */
  async problem(config: NetworkConfig): Promise<string> {
    const known = this.#status;
    if (known?.config === config && performance.now() < known.until) return known.problem;
    const status = { config, problem: this.#ask(config).then(() => '', failureChain), until: Infinity };
    this.#status = status;
    const problem = await status.problem;
    status.until = performance.now() + statusMs;
    return problem;
  }

  async #ask(config: NetworkConfig): Promise<void> {
    await pluginStatus(this.#options, await this.#versions.negotiate(config));
  }

  /** GC: plugins release what belongs to none of these sandboxes. No ADD may be under way: GC does not know its pod. */
  async collect(config: NetworkConfig, live: readonly string[]): Promise<void> {
    await collectByPlugins(this.#options, await this.#versions.negotiate(config), live);
  }
}
