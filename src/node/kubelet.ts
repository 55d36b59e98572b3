// The kubelet of a node: stopped, started, shown another runtime, found by its command line.
// Must not know which runtime is which.
import { failedPrecondition, invalidArgument } from '../lib/failure.ts';
import { filesBelow, processesNamed, readText, writeText } from './files.ts';
import type { KubeletControl, KubeletPointer, Side } from './journal.ts';
import { dropInsIn, envFiles, type KubeletHost } from './kubelet-images.ts';
import { pointerOf, readEndpoint, textFor } from './kubelet-pointer.ts';
import { type RunProgram, shellCommand } from './programs.ts';
import { until } from './wait.ts';

export async function stopKubelet(run: RunProgram, control: KubeletControl, signal: AbortSignal): Promise<void> {
  await run(control.by === 'systemd' ? ['systemctl', 'stop', control.unit] : shellCommand(control.stop), { signal });
}

/** Of a unit it is a restart: one that runs already has another configuration. */
export async function startKubelet(run: RunProgram, control: KubeletControl, signal: AbortSignal): Promise<void> {
  const argv = control.by === 'systemd' ? ['systemctl', 'restart', control.unit] : shellCommand(control.start);
  await run(argv, { signal });
}

/** Tells the kubelet the socket of a side, for its next start. */
export function pointKubelet(
  pointer: KubeletPointer,
  change: { readonly from: Side; readonly to: Side; readonly side: Side },
): void {
  const before = readText(pointer.file);
  const after = textFor(pointer, before, change);
  if (after !== before) writeText(pointer.file, after);
}

/** This node, for whoever looks for settings of its kubelet. */
export const kubeletHost: KubeletHost = {
  kubelets: () => processesNamed('kubelet'),
  read: readText,
  filesBelow,
};

/** Where the running kubelet has its setting from. Throws when none runs, or when that cannot be known. */
export function findPointer(): KubeletPointer {
  const [argv, ...others] = processesNamed('kubelet');
  const flags = '--kubelet-config, --kubelet-env or --kubelet-drop-in';
  if (argv === undefined) throw failedPrecondition(`no kubelet runs: say where its setting is (${flags})`);
  if (others.length > 0) throw failedPrecondition(`several kubelets run: say where the setting is (${flags})`);
  const found = pointerOf(argv, {
    envFile: (endpoint) => envFiles.find((one) => readEndpoint('env', readText(one)) === endpoint) ?? null,
    dropIn: (dir) =>
      dropInsIn(dir, kubeletHost).findLast((file) => readEndpoint('config', readText(file)) !== null) ?? null,
  });
  if (typeof found === 'string') throw invalidArgument(found);
  return found;
}

/** Waits until the kubelet calls itself healthy. */
export async function kubeletHealthy(url: string, signal: AbortSignal): Promise<void> {
  const ask = async (): Promise<string | null> => {
    const { ok, status } = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(5000)]) });
    return ok ? null : `it answered ${status}`;
  };
  const failure = (complaint: string): Error =>
    failedPrecondition(`the kubelet is not healthy at ${url}: ${complaint}`);
  await until(ask, { signal, everyMs: 500, failure });
}
