// A pod on a runtime that has just been started: made, entered, removed. Nothing is pulled: its image is the monitor's program.
// Must not leave anything behind, whatever happens.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Client } from '../cli/client.ts';
import { failedPrecondition, failureChain, internal } from '../lib/failure.ts';
import { ResultList } from '../lib/result-list.ts';
import { orAborted } from '../lib/waiting.ts';
import { programLayout } from './self-test-image.ts';
import { until } from './wait.ts';

const reference = 'localhost/podwright-self-test:latest';
const label = { 'podwright.io/self-test': 'true' };
const program = 'podwright-monitor';

export interface SelfTest {
  readonly client: Pick<Client, 'call' | 'stream'>;
  /** Directory of the release that is tried. */
  readonly release: string;
  /** The pods of this node need a network of their own: without one it is not fit for them. */
  readonly needsNetwork: boolean;
  /**
   * The agent of the pod network may have been one of the pods that were removed: until the kubelet has it again, no
   * pod can be attached, and the test is content with the host's network.
   */
  readonly agentsGone: boolean;
  readonly signal: AbortSignal;
  readonly warn: (warning: string) => void;
}

/** How often the pod is made anew when somebody else has stopped it. */
const tries = 6;

/**
 * Fails with what does not work. On a runtime that has a kubelet already, in an upgrade, the kubelet stops pods that it
 * does not know of, every two seconds: such a pod is made anew.
 */
export async function selfTestPod(test: SelfTest): Promise<void> {
  const { client, signal, warn } = test;
  let network = await networkReady(test);
  await orAborted(clearAway(client), signal);
  try {
    await orAborted(loadImage(test), signal);
    for (let attempt = 1; ; attempt += 1) {
      const end = await orAborted(runPod(client, { network, attempt }), signal);
      if (end !== 'passed' && end !== 'stopped') {
        if (!test.agentsGone) throw end.error;
        warn(
          `self-test on the host's network only, for the pod network does not work yet (${failureChain(end.error)})`,
        );
        network = false;
        continue;
      }
      if (end === 'passed') return;
      if (attempt < tries) continue;
      warn("the kubelet stopped the self-test's pod each time before it was through");
      return;
    }
  } finally {
    await clearAway(client);
  }
}

/** How long a network may take to be ready where one is needed: its agent may be starting too. */
const networkMs = 20_000;

/** Whether pods can have a network of their own. */
async function networkReady({ client, needsNetwork, signal, warn }: SelfTest): Promise<boolean> {
  const ask = async (): Promise<string | null> => {
    const { status } = await client.call('Status', {});
    const network = status?.conditions.find(({ type }) => type === 'NetworkReady');
    return network?.status === true ? null : `${network?.reason}: ${network?.message}`;
  };
  if (needsNetwork) {
    const within = AbortSignal.any([signal, AbortSignal.timeout(networkMs)]);
    const failure = (complaint: string): Error =>
      failedPrecondition(`the runtime before had a pod network, and podwright has none: ${complaint}`);
    await until(ask, { signal: within, everyMs: 500, failure });
    return true;
  }
  const complaint = await ask();
  if (complaint !== null) warn(`self-test on the host's network only, for there is no pod network yet (${complaint})`);
  return complaint === null;
}

async function loadImage({ client, release }: SelfTest): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'podwright-self-test-'));
  try {
    const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
    for (const { path, bytes } of programLayout(program, readFileSync(join(release, 'bin', program)), architecture)) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), bytes);
    }
    for await (const _ of client.stream('Load', { path: dir, reference }));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Longest time of one call, in milliseconds. */
const callMs = 60_000;

type Call = Pick<Client, 'call'>;

/** A pod with a network of its own could not be made. */
interface NotAttached {
  readonly error: unknown;
}

/** One pod from its making to a command in it; tells when somebody else has stopped it meanwhile. */
async function runPod(
  client: Call,
  { network, attempt }: { readonly network: boolean; readonly attempt: number },
): Promise<'passed' | 'stopped' | NotAttached> {
  const namespaces = { network: network ? 'POD' : 'NODE', pid: 'CONTAINER' } as const;
  const config = {
    metadata: { name: 'self-test', namespace: 'podwright', uid: `podwright-self-test-${attempt}`, attempt: 0 },
    hostname: network ? 'self-test' : '',
    labels: label,
    linux: { security_context: { namespace_options: namespaces } },
  };
  let podId: string;
  try {
    ({ pod_sandbox_id: podId } = await client.call('RunPodSandbox', { config }, callMs));
  } catch (error) {
    if (network) return { error };
    throw error;
  }
  try {
    await runContainer(client, { podId, config, namespaces });
    return 'passed';
  } catch (error) {
    if (await isStopped(client, podId)) return 'stopped';
    throw error;
  }
}

interface Made {
  readonly podId: string;
  readonly config: object;
  readonly namespaces: { readonly network: 'POD' | 'NODE'; readonly pid: 'CONTAINER' };
}

async function runContainer(client: Call, { podId, config, namespaces }: Made): Promise<void> {
  const container = {
    metadata: { name: 'main', attempt: 0 },
    image: { image: reference },
    args: ['pause'],
    labels: label,
    linux: { security_context: { namespace_options: namespaces } },
  };
  const request = { pod_sandbox_id: podId, config: container, sandbox_config: config };
  const { container_id: id } = await client.call('CreateContainer', request, callMs);
  await client.call('StartContainer', { container_id: id }, callMs);
  const command = { container_id: id, cmd: [`/${program}`, '--version'], timeout: 30 };
  const { stdout, stderr, exit_code: code } = await client.call('ExecSync', command, callMs);
  if (code !== 0 || !Buffer.from(stdout).toString().startsWith(program))
    throw internal(`a command in the self-test's container ended with ${code}: ${Buffer.from(stderr).toString()}`);
}

/** How long the kubelet may take from a container that it stops to the end of the pod, in milliseconds. */
const stopMs = 5000;

/** Whether a pod is not ready any more, or gone: nobody here has stopped it. The kubelet stops its container first. */
async function isStopped(client: Call, podId: string): Promise<boolean> {
  const isOver = async (): Promise<boolean> => {
    const { items } = await client.call('ListPodSandbox', { filter: { id: podId } });
    return items.every(({ state }) => state !== 'SANDBOX_READY');
  };
  if (await isOver()) return true;
  const { containers } = await client.call('ListContainers', { filter: { pod_sandbox_id: podId } });
  if (containers.length === 0) return false; // that could not be made
  const ask = async (): Promise<string | null> => ((await isOver()) ? null : 'it is ready');
  const about = { signal: AbortSignal.timeout(stopMs), everyMs: 100, failure: internal };
  return until(ask, about).then(
    () => true,
    () => false,
  );
}

/** Removes the pod and the image, of an interrupted test before as well. */
async function clearAway(client: Pick<Client, 'call'>): Promise<void> {
  const results = new ResultList();
  const { items } = await client.call('ListPodSandbox', { filter: { label_selector: label } });
  for (const { id } of items)
    await results.attempt('remove the pod', async () => {
      await client.call('StopPodSandbox', { pod_sandbox_id: id }, callMs);
      await client.call('RemovePodSandbox', { pod_sandbox_id: id }, callMs);
    });
  await results.attempt('remove the image', () => client.call('RemoveImage', { image: { image: reference } }, callMs));
  results.throwIfAny('clear away after the self-test');
}
