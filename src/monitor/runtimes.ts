// Other OCI runtimes, asked by the monitor's program on behalf of a daemon that has no monitor to ask.
// Must not choose a runtime: its callers do.
import { internal } from '../lib/failure.ts';
import { failedCall, type LaunchNative } from './launch.ts';

/** A runtime and how it is called: see proto ExternalRuntime. */
export interface RuntimeProgram {
  readonly path: string;
  readonly args: readonly string[];
  readonly type: 'oci' | 'runsc';
  readonly hideUnifiedCgroup: boolean;
}

/** What a runtime says that it can do (runtime-spec, features.md); one that cannot say has nothing. */
export interface RuntimeFeatures {
  readonly recursiveReadOnly: boolean;
  /** Newest version of the runtime-spec, "" when it is not told. */
  readonly ociVersionMax: string;
}

function words(runtime: RuntimeProgram): string[] {
  const list = ['--path', runtime.path];
  for (const arg of runtime.args) list.push('--arg', arg);
  if (runtime.hideUnifiedCgroup) list.push('--hide-unified');
  if (runtime.type === 'runsc') list.push('--runsc');
  return list;
}

async function run(native: LaunchNative, what: string, argv: readonly string[]): Promise<string> {
  const { code, stderr } = await native.spawnMonitor({ argv: ['podwright-monitor', 'runtime', ...argv] });
  if (code !== 0) throw internal(`${what}: ${stderr === '' ? `code ${code}` : stderr}`, undefined, failedCall(stderr));
  return stderr;
}

/** Asks a runtime what it can do. Throws internal when it cannot be run. */
export async function runtimeFeatures(native: LaunchNative, runtime: RuntimeProgram): Promise<RuntimeFeatures> {
  const text = await run(native, `ask ${runtime.path} for its features`, ['features', ...words(runtime)]);
  const { recursiveReadOnly, ociVersionMax } = JSON.parse(text) as RuntimeFeatures;
  return { recursiveReadOnly, ociVersionMax };
}

/** Makes a runtime forget a container, in whatever state it is; one that it does not know is no error. */
export async function deleteByRuntime(
  native: LaunchNative,
  runtime: RuntimeProgram,
  { root, id }: { readonly root: string; readonly id: string },
): Promise<void> {
  await run(native, `delete container ${id} by ${runtime.path}`, [
    'delete',
    ...words(runtime),
    '--root',
    root,
    '--id',
    id,
  ]);
}
