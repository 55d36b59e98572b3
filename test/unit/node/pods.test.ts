// What is done through a CRI: all pods removed, and the pod of the self-test; against a runtime of this file.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Client } from '../../../src/cli/client.ts';
import { removeAllPods } from '../../../src/node/remove-pods.ts';
import { selfTestPod } from '../../../src/node/self-test.ts';

const never = new AbortController().signal;

interface Pod {
  readonly id: string;
  state: string;
}

interface Request {
  readonly config?: {
    readonly linux?: { readonly security_context?: { readonly namespace_options?: { readonly network?: string } } };
  };
  readonly pod_sandbox_id?: string;
  readonly container_id?: string;
  readonly timeout?: number;
  readonly filter?: { readonly id?: string; readonly pod_sandbox_id?: string };
}

/** A runtime with pods, and what it was asked. */
class Runtime {
  readonly pods = new Map<string, Pod>();
  readonly images = new Set<string>();
  readonly said: string[] = [];
  network = true;
  /** Called before each call; what it throws is the answer. */
  before: (method: string, request: Request) => void = () => undefined;
  /** Whether a pod that is asked for has a container. */
  hasContainer = false;
  /** Pods that are on the host's network. */
  readonly onHost = new Set<string>();
  #serial = 0;

  readonly client = {
    call: async (method: string, request: Request = {}) => {
      this.before(method, request);
      return this.#answer(method, request);
    },
    stream: async function* (this: Runtime) {
      this.images.add('self-test');
      yield {};
    }.bind(this),
    close: () => undefined,
  } as unknown as Client;

  add(id: string): void {
    this.pods.set(id, { id, state: 'SANDBOX_READY' });
  }

  #answer(method: string, request: Request): unknown {
    const pod = request.pod_sandbox_id ?? '';
    const { id } = request.filter ?? {};
    switch (method) {
      case 'Status':
        return {
          status: { conditions: [{ type: 'NetworkReady', status: this.network, reason: 'None', message: 'there' }] },
        };
      case 'ListPodSandbox':
        return {
          items: [...this.pods.values()]
            .filter((one) => id === undefined || one.id === id)
            .map((one) => ({ ...one, metadata: { name: one.id, namespace: 'n' } })),
        };
      case 'PodSandboxStatus':
        return {
          status: { linux: { namespaces: { options: { network: this.onHost.has(pod) ? 'NODE' : 'POD' } } } },
        };
      case 'ListContainers':
        if (request.filter?.pod_sandbox_id !== undefined) return { containers: this.hasContainer ? [{ id: 'c' }] : [] };
        return {
          containers: [...this.pods.keys()].flatMap((one) => [
            {
              id: `${one}-slow`,
              pod_sandbox_id: one,
              annotations: { 'io.kubernetes.pod.terminationGracePeriod': '300' },
            },
            {
              id: `${one}-quick`,
              pod_sandbox_id: one,
              annotations: { 'io.kubernetes.pod.terminationGracePeriod': '0' },
            },
            { id: `${one}-plain`, pod_sandbox_id: one, annotations: {} },
          ]),
        };
      case 'RunPodSandbox':
        this.add(`p${(this.#serial += 1)}`);
        return { pod_sandbox_id: `p${this.#serial}` };
      case 'RemovePodSandbox':
        this.pods.delete(pod);
        break;
      case 'RemoveImage':
        this.images.clear();
        break;
      case 'StopContainer':
        this.said.push(`${request.container_id} ${request.timeout}`);
        break;
      case 'CreateContainer':
        return { container_id: 'c' };
      case 'ExecSync':
        return { stdout: Buffer.from('podwright-monitor 0.1.0'), stderr: Buffer.alloc(0), exit_code: 0 };
    }
    return {};
  }
}

test('every container has the grace that its pod asked for, and no more than is allowed', async (t) => {
  const runtime = new Runtime();
  runtime.add('a');
  runtime.add('b');
  await removeAllPods({ client: runtime.client, graceMs: 120_000, signal: never });
  t.is(runtime.pods.size, 0);
  const expected = ['a', 'b'].flatMap((pod) => [`${pod}-slow 120`, `${pod}-quick 0`, `${pod}-plain 30`]);
  t.deepEqual(runtime.said.toSorted(), expected.toSorted());
});

test("pods on the host's network go behind all others: what detaches the others is among them", async (t) => {
  const runtime = new Runtime();
  for (const id of ['agent', 'a', 'b', 'proxy']) runtime.add(id);
  runtime.onHost.add('agent').add('proxy');
  let fails = 1;
  runtime.before = (method, { pod_sandbox_id: pod = '' }) => {
    if (method !== 'StopPodSandbox' || runtime.onHost.has(pod)) return;
    if (!runtime.pods.has('agent') || !runtime.pods.has('proxy')) throw new Error('no agent');
    if (pod === 'b' && (fails -= 1) >= 0) throw new Error('the agent is busy');
  };
  await removeAllPods({ client: runtime.client, graceMs: 1000, signal: never });
  t.is(runtime.pods.size, 0);
});

test('a pod whose removal fails is tried again; what stays is named', async (t) => {
  const runtime = new Runtime();
  runtime.add('a');
  let left = 2;
  runtime.before = (method) => {
    if (method === 'StopPodSandbox' && (left -= 1) >= 0) throw new Error('the plugin hangs');
  };
  await removeAllPods({ client: runtime.client, graceMs: 1000, signal: never });
  t.is(runtime.pods.size, 0);
  runtime.add('b');
  left = 100;
  await t.throwsAsync(removeAllPods({ client: runtime.client, graceMs: 1000, signal: never }), {
    message: 'remove pods: n/b: the plugin hangs',
  });
});

const release = mkdtempSync('/tmp/pwu-release-');
mkdirSync(join(release, 'bin'));
writeFileSync(join(release, 'bin/podwright-monitor'), 'a program');
test.after.always(() => rmSync(release, { recursive: true }));

const selfTest = (runtime: Runtime, needsNetwork = true, agentsGone = false): Promise<string[]> => {
  const warnings: string[] = [];
  const { client } = runtime;
  return selfTestPod({
    client,
    release,
    needsNetwork,
    agentsGone,
    signal: never,
    warn: (text) => warnings.push(text),
  }).then(() => warnings);
};

test('the self-test leaves nothing, whatever fails', async (t) => {
  const whole = new Runtime();
  const calls: string[] = [];
  whole.before = (method) => void calls.push(method);
  t.deepEqual(await selfTest(whole), []);
  t.is(whole.pods.size + whole.images.size, 0);
  for (const method of ['RunPodSandbox', 'CreateContainer', 'StartContainer', 'ExecSync']) {
    t.true(calls.includes(method));
    const runtime = new Runtime();
    runtime.before = (called) => {
      if (called === method) throw new Error(`${method} is broken`);
    };
    await t.throwsAsync(selfTest(runtime), { message: `${method} is broken` });
    t.is(runtime.pods.size + runtime.images.size, 0, `after ${method}`);
  }
});

test('a pod that the kubelet stopped is made anew', async (t) => {
  for (const [stops, warned] of [
    [2, 0],
    [100, 1],
  ] as const) {
    const runtime = new Runtime();
    let left = stops;
    runtime.before = (method) => {
      if (method !== 'CreateContainer' || (left -= 1) < 0) return;
      for (const pod of runtime.pods.values()) pod.state = 'SANDBOX_NOTREADY';
      throw new Error('the sandbox is not ready');
    };
    t.is((await selfTest(runtime)).length, warned);
    t.is(runtime.pods.size, 0);
  }
});

test('a pod whose container the kubelet has stopped, and itself a moment later, is made anew', async (t) => {
  const runtime = new Runtime();
  let stopping = false;
  const made: string[] = [];
  runtime.before = (method) => {
    made.push(method);
    if (method === 'StartContainer' && !stopping) {
      stopping = true;
      runtime.hasContainer = true;
      throw new Error('is not in the created state');
    }
    // behind the look at containers, the one at the pod
    if (method !== 'ListPodSandbox' || made.at(-2) !== 'ListContainers') return;
    for (const pod of runtime.pods.values()) pod.state = 'SANDBOX_NOTREADY';
    runtime.hasContainer = false;
  };
  t.deepEqual(await selfTest(runtime), []);
  t.is(made.filter((method) => method === 'RunPodSandbox').length, 2);
  t.is(runtime.pods.size, 0);
});

test('without a pod network the self-test is on the host, and says so', async (t) => {
  const runtime = new Runtime();
  runtime.network = false;
  const [warning] = await selfTest(runtime, false);
  t.regex(warning ?? '', /host's network only/);
});

test("without the agent of the pod network the self-test is on the host's, where the old runtime's pods were removed", async (t) => {
  const broken = (): Runtime => {
    const runtime = new Runtime();
    runtime.before = (method, { config }) => {
      if (method === 'RunPodSandbox' && config?.linux?.security_context?.namespace_options?.network === 'POD')
        throw new Error('no agent listens');
    };
    return runtime;
  };
  const runtime = broken();
  const warnings = await selfTest(runtime, true, true);
  t.is(warnings.length, 1);
  t.regex(warnings[0] ?? '', /host's network only.*no agent listens/);
  t.is(runtime.pods.size + runtime.images.size, 0);
  await t.throwsAsync(selfTest(broken(), true, false), { message: 'no agent listens' });
});
