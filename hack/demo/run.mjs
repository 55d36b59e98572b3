// Runs the demo pod through the CRI and shows that it works: address, answer, log, stats.
// Usage: run.mjs SOCKET STATE_DIRECTORY. A demo pod that runs already is shown, not made again.
import { readFileSync } from 'node:fs';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { criService } from '../../src/proto/cri-codec.ts';

const [socket, state] = process.argv.slice(2);
process.on('uncaughtException', (error) => {
  console.error(`[demo] ${error.message}`);
  process.exit(1);
});
const logDirectory = `${state}/demo`;
const image = { image: 'localhost/podwright-demo:latest' };
// the kubelet's labels, by which crictl shows names
const label = {
  app: 'podwright-demo',
  'io.kubernetes.pod.name': 'demo',
  'io.kubernetes.pod.namespace': 'default',
  'io.kubernetes.container.name': 'web',
};

const methods = { ...criService('RuntimeService'), ...criService('ImageService') };
const grpc = new Client(`unix:${socket}`, credentials.createInsecure());

/** One CRI call by name. */
function call(name, request) {
  const { path, requestSerialize, responseDeserialize } = methods[name];
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + 60_000 };
    const done = (error, answer) => (error ? reject(new Error(`${name}: ${error.details}`)) : resolve(answer));
    grpc.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, new Metadata(), options, done);
  });
}

const namespaces = { pid: 'CONTAINER' };

const podConfig = {
  metadata: { name: 'demo', namespace: 'default', uid: 'podwright-demo', attempt: 0 },
  hostname: 'demo',
  log_directory: logDirectory,
  labels: label,
  linux: { cgroup_parent: '', security_context: { namespace_options: namespaces } },
};

const containerConfig = {
  metadata: { name: 'web', attempt: 0 },
  image,
  labels: label,
  log_path: 'web.log',
  linux: {
    resources: { memory_limit_in_bytes: 64 * 2 ** 20, cpu_period: 100_000, cpu_quota: 50_000 },
    security_context: {
      namespace_options: namespaces,
      no_new_privs: true,
      seccomp: { profile_type: 'RuntimeDefault' },
    },
  },
};

/** The demo container that runs; null when there is none. */
async function running() {
  const filter = { label_selector: label, state: { state: 'CONTAINER_RUNNING' } };
  const { containers } = await call('ListContainers', { filter });
  return containers[0] ? { podId: containers[0].pod_sandbox_id, id: containers[0].id } : null;
}

/** Clears away what an earlier run left, then runs pod and container. */
async function start() {
  const { items } = await call('ListPodSandbox', { filter: { label_selector: label } });
  for (const { id } of items) {
    await call('StopPodSandbox', { pod_sandbox_id: id });
    await call('RemovePodSandbox', { pod_sandbox_id: id });
  }
  const began = performance.now();
  const { pod_sandbox_id: podId } = await call('RunPodSandbox', { config: podConfig });
  const { container_id: id } = await call('CreateContainer', {
    pod_sandbox_id: podId,
    config: containerConfig,
    sandbox_config: podConfig,
  });
  await call('StartContainer', { container_id: id });
  console.log(`pod started in ${(performance.now() - began).toFixed(0)} ms`);
  return { podId, id };
}

/** How often something that comes by itself is looked for, 50 ms apart: 20 s and more. */
const looks = 400;
const moment = () => new Promise((resolve) => setTimeout(resolve, 50));

/** Asks the pod's web server until it listens: the process has only just been started. */
async function ask(url) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
      return (await response.text()).trimEnd();
    } catch (error) {
      if (attempt === looks) throw new Error(`no answer from ${url}`, { cause: error });
      await moment();
    }
  }
}

/** What the pod has said: its words are in the log once the monitor has come to them. */
async function said(path) {
  for (let look = 1; ; look += 1) {
    const text = readFileSync(path, 'utf8').trimEnd();
    if (/^\S+ stdout /m.test(text) || look === looks) return text;
    await moment();
  }
}

const indent = (text) => text.replaceAll(/^/gm, '    ');

const { podId, id } = (await running()) ?? (await start());
const { status } = await call('PodSandboxStatus', { pod_sandbox_id: podId });
const address = status.network.ip;
console.log(`pod ${podId.slice(0, 13)} has address ${address}`);
const url = `http://${address}:8080/cgi-bin/about`;
console.log(`\nGET ${url}\n${indent(await ask(url))}`);
console.log(`\nlog (${logDirectory}/web.log)\n${indent(await said(`${logDirectory}/web.log`))}`);

const { stats } = await call('ContainerStats', { container_id: id });
const kib = (value) => `${Math.round(Number(value?.value ?? 0) / 1024)} KiB`;
const cpuMs = Number(stats.cpu?.usage_core_nano_seconds?.value ?? 0) / 1e6;
console.log(
  `\nstats\n    cpu ${cpuMs.toFixed(1)} ms, memory ${kib(stats.memory?.working_set_bytes)} of ${64 * 1024} KiB,` +
    ` writable layer ${kib(stats.writable_layer?.used_bytes)}`,
);

const short = id.slice(0, 13);
const tool = socket === '/run/podwright/podwright.sock' ? 'dist/podwright' : `dist/podwright -r ${socket}`;
console.log(`
The daemon serves on ${socket}. Next:
    export CONTAINER_RUNTIME_ENDPOINT=unix://${socket}
    crictl pods
    crictl exec -s ${short} ls /
    crictl logs ${short}
    crictl stats
    ${tool} trace demo
    npm run down`);
grpc.close();
