// Networks made by executing plugins: any configuration that bridge/ does not carry out itself.
import { internal } from '../../lib/failure.ts';
import { ResultList } from '../../lib/result-list.ts';
import type { Attachment } from '../request.ts';
import { podInterface } from '../request.ts';
import { atLeast, type NetworkConfig, type PluginConfig } from './conflist.ts';
import {
  pluginEnvironment,
  pluginInput,
  runtimeConfig,
  type AttachmentCommand,
  type PluginRuntime,
} from './plugin-input.ts';
import { attachmentOf, parseResult } from './result.ts';
import { findPlugin, runPlugin } from './run-plugin.ts';

/** Where plugins are and how long one may take. */
export interface PluginOptions {
  readonly binDirs: readonly string[];
  readonly timeoutMs: number;
}

/** A pod's connection, as every call for it needs to know it. */
export interface PluginAttachment {
  readonly config: NetworkConfig;
  readonly runtime: PluginRuntime;
}

interface Step {
  readonly plugin: PluginConfig;
  readonly command: AttachmentCommand;
  readonly netns: string;
  readonly previous: unknown;
  readonly signal: AbortSignal | null;
}

async function run(options: PluginOptions, to: PluginAttachment, step: Step): Promise<string> {
  const { config, runtime } = to;
  const { plugin } = step;
  return runPlugin({
    type: plugin.type,
    command: step.command,
    binDirs: options.binDirs,
    environment: pluginEnvironment(step.command, runtime, { netns: step.netns, binDirs: options.binDirs }),
    input: pluginInput(config, plugin, { runtimeConfig: runtimeConfig(plugin, runtime), previous: step.previous }),
    timeoutMs: options.timeoutMs,
    signal: step.signal,
  });
}

/** ADD of every plugin in order, each given the result so far. The result is what DEL and CHECK need later. */
export async function addByPlugins(
  options: PluginOptions,
  to: PluginAttachment,
  call: { readonly netns: string; readonly signal: AbortSignal },
): Promise<{ readonly result: unknown; readonly attachment: Attachment }> {
  let result: unknown = null;
  for (const plugin of to.config.plugins) {
    const stdout = await run(options, to, { plugin, command: 'ADD', previous: result, ...call });
    try {
      result = parseResult(stdout, result);
    } catch (error) {
      throw internal(`read the result of CNI plugin ${plugin.type}`, error);
    }
  }
  const attachment = attachmentOf(result, to.runtime.interface);
  if (attachment.ips.length === 0) throw internal(`network ${to.config.name} gave the pod no address`);
  return { result, attachment };
}

/**
 * DEL of every plugin, last first. It stops at the first failure, so that the retry finds what that plugin
 * still needs. `netns` is null once the namespace is gone.
 */
export async function deleteByPlugins(
  options: PluginOptions,
  to: PluginAttachment,
  call: { readonly netns: string | null; readonly result: unknown },
): Promise<void> {
  // a previous result in DEL came with 0.4.0
  const previous = atLeast(to.config, '0.4.0') ? call.result : null;
  for (const plugin of to.config.plugins.toReversed()) {
    await run(options, to, { plugin, command: 'DEL', netns: call.netns ?? '', previous, signal: null });
  }
}

/**
 * CHECK of every plugin in order: whether the attachment is as ADD left it. Fails with the first plugin's words.
 * False where nobody can be asked: before 0.4.0, or by `disableCheck`.
 */
export async function checkByPlugins(
  options: PluginOptions,
  to: PluginAttachment,
  call: { readonly netns: string; readonly result: unknown },
): Promise<boolean> {
  if (!atLeast(to.config, '0.4.0') || to.config.disableCheck) return false;
  for (const plugin of to.config.plugins) {
    await run(options, to, { plugin, command: 'CHECK', netns: call.netns, previous: call.result, signal: null });
  }
  return true;
}

/** Whether pods could be connected: every plugin is there, and those of 1.1 say that they are ready (STATUS). */
export async function pluginStatus(options: PluginOptions, config: NetworkConfig): Promise<void> {
  for (const { type } of config.plugins) await findPlugin(type, options.binDirs);
  if (!atLeast(config, '1.1.0')) return;
  for (const plugin of config.plugins) await runForNetwork(options, config, { plugin, command: 'STATUS', extra: {} });
}

/**
 * Lets plugins of 1.1 release what belongs to none of the live sandboxes (GC): every one, whatever those before it say.
 * Pods wait meanwhile: all together take no longer than one may, and each of what is left its share.
 */
export async function collectByPlugins(
  options: PluginOptions,
  config: NetworkConfig,
  live: readonly string[],
): Promise<void> {
  if (!atLeast(config, '1.1.0') || config.disableGc) return;
  const valid = live.map((containerID) => ({ containerID, ifname: podInterface }));
  // plugins of the time when the specification's text and its constant differed read the second name
  const extra = { 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid };
  const results = new ResultList();
  const endMs = performance.now() + options.timeoutMs;
  for (const [at, plugin] of config.plugins.entries()) {
    const share = (endMs - performance.now()) / (config.plugins.length - at);
    const bounded = { ...options, timeoutMs: Math.max(1, Math.floor(share)) };
    await results.attempt(plugin.type, () => runForNetwork(bounded, config, { plugin, command: 'GC', extra }));
  }
  results.throwIfAny(`collect network ${config.name}`);
}

async function runForNetwork(
  options: PluginOptions,
  config: NetworkConfig,
  verb: {
    readonly plugin: PluginConfig;
    readonly command: 'STATUS' | 'GC';
    readonly extra: Readonly<Record<string, unknown>>;
  },
): Promise<void> {
  const { plugin } = verb;
  const raw = { ...plugin.raw, ...verb.extra };
  await runPlugin({
    type: plugin.type,
    command: verb.command,
    binDirs: options.binDirs,
    environment: { CNI_COMMAND: verb.command, CNI_PATH: options.binDirs.join(':') },
    input: pluginInput(config, { ...plugin, raw }, { runtimeConfig: null, previous: null }),
    timeoutMs: options.timeoutMs,
    signal: null,
  });
}
