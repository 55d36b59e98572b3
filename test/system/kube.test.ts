// A daemon that has a kubeconfig: what its API server hears of pods and of the node, and what it may do to the daemon.
import test from 'ava';
import { freePort, TestDaemon } from '../helpers/daemon.ts';
import { type Asked, FakeApi, type Handler } from '../helpers/fake-api.ts';
import { exited, pull, runPod, scripted, start, type Pod } from '../helpers/pods.ts';
import { until as untilWithin } from '../helpers/until.ts';

type Json = Record<string, unknown>;

/** The condition is looked at every ten seconds, and later after failures. */
const until: typeof untilWithin = (what, probe) => untilWithin(what, probe, 120_000);

const api = new FakeApi();
const daemon = new TestDaemon({
  flags: [
    `--set=kubernetes.kubeconfig=${api.dir}/kubeconfig`,
    '--set=kubernetes.node_name=n-1',
    '--set=kubernetes.runtime_classes=true',
  ],
});
/** The node's labels, as they were patched. */
const ofNode: Record<string, unknown> = {};
const answering: Handler = (asked) => {
  const { method, path } = asked;
  if (method === 'PATCH') Object.assign(ofNode, (body(asked)['metadata'] as { labels?: Json } | undefined)?.labels);
  if (method === 'POST') return { status: 201, body: {} };
  if (path.includes('runtimeclasses') || path.includes('nodes?')) return { status: 200, body: { items: [] } };
  return { status: 200, body: { metadata: { labels: { ...ofNode } } } };
};
let pod: Pod;

test.before('an API server, and a daemon that knows it', async () => {
  await api.start(await freePort());
  api.handler = answering;
  api.kubeconfig();
  await daemon.start();
  await pull(daemon);
  pod = await runPod(daemon, { metadata: { name: 'watched', namespace: 'shop', uid: 'u-1' } });
});
test.afterEach.always('the log of a failed test', (t) => {
  if (!t.passed) t.log(daemon.lastWords());
});
test.after.always('everything is swept away', async () => {
  await daemon.destroy();
  await api.end();
});

const body = ({ body: value }: Asked): Json => (value ?? {}) as Json;

/** The event of a reason, once it has come. */
const event = (reason: string): Promise<Json> =>
  until(`an event ${reason}`, () =>
    api.asked.map(body).find((one) => one['kind'] === 'Event' && one['reason'] === reason),
  );

/** The conditions that were told so far. */
const conditions = (): Json[] =>
  api.asked.flatMap((asked) => (body(asked)['status'] as { conditions?: Json[] } | undefined)?.conditions ?? []);

/** The changes of the node's labels so far. */
const labels = (): Json[] =>
  api.asked.flatMap((asked) => {
    const found = (body(asked)['metadata'] as { labels?: Json } | undefined)?.labels;
    return asked.method === 'PATCH' && found ? [found] : [];
  });

test.serial('the node is told to be healthy, and which handlers it has', async (t) => {
  const told = await until('a condition that is not of the start', () =>
    conditions().find(({ status }) => status !== 'Unknown'),
  );
  t.like(told, { type: 'PodwrightHealthy', status: 'True', reason: 'Healthy' });
  const made = await until('a class', () => api.asked.map(body).find(({ kind }) => kind === 'RuntimeClass'));
  t.like(made, { handler: 'podwright' });
  t.true(api.asked.every(({ token }) => token === 'secret'));
});

test.serial('an OOM kill is an event of its pod, with limits and usage', async (t) => {
  const limit = 24 * 1024 * 1024;
  const resources = { memory_limit_in_bytes: String(limit), memory_swap_limit_in_bytes: String(limit) };
  const id = await start(daemon, pod, scripted('exec tail /dev/zero', { linux: { resources } }));
  t.is((await exited(daemon, id)).reason, 'OOMKilled');
  const told = await event('OOMKilling');
  t.like(told['involvedObject'], { kind: 'Pod', namespace: 'shop', name: 'watched', uid: 'u-1' });
  t.regex(String(told['message']), new RegExp(`was OOM killed: its own limit of ${limit} bytes was reached`));
  t.regex(String(told['message']), /its pod uses [\d.]+[KM]i/);
});

test.serial('a pull that fails is an event with host and cause', async (t) => {
  const wish = { metadata: { name: 'watched', namespace: 'shop', uid: 'u-1' } };
  const asked = { image: { image: '127.0.0.1:1/no/such:1' }, sandbox_config: wish };
  await t.throwsAsync(daemon.image.PullImage(asked));
  const told = await event('ImagePullFailed');
  t.regex(
    String(told['message']),
    /^could not pull image 127\.0\.0\.1:1\/no\/such:1 from 127\.0\.0\.1:1: .*no connection/,
  );
});

test.serial('an API server that never answers is in nobody’s way', async (t) => {
  await daemon.stop();
  api.handler = () => null;
  const before = api.asked.length;
  await daemon.start();
  await until('it is asked', () => api.asked.length > before);
  const other = await runPod(daemon, { metadata: { name: 'other' } });
  t.is((await exited(daemon, await start(daemon, other, scripted('exit 3')))).exit_code, 3);
  await daemon.removePod(other.id);
  await daemon.stop();
  t.false(daemon.running);
  api.handler = answering;
  await daemon.start();
});

test.serial('an API server that is away is in nobody’s way, and is told when it is back', async (t) => {
  await daemon.stop();
  await api.stop();
  await daemon.start();
  const other = await runPod(daemon, { metadata: { name: 'third' } });
  await daemon.removePod(other.id);
  const before = conditions().length;
  await api.start();
  await until('the node is told', () =>
    conditions()
      .slice(before)
      .some(({ status }) => status === 'True'),
  );
  const metrics = await (await fetch(daemon.metricsUrl)).text();
  t.regex(metrics, /^podwright_kube_requests_total\{result="failed"\} \d+/m);
});

test.serial('nothing is left on the host', async (t) => {
  await daemon.removeAllPods();
  t.deepEqual(await daemon.leftOfPods(), []);
  await until('the node has its label', () => labels().some((one) => one['podwright.handler.podwright'] === 'true'));
  await daemon.shutdown();
  t.deepEqual(await daemon.leftOfNetwork(), []);
});

test.serial('nor on the node: a shutdown takes the condition and the labels away', (t) => {
  t.deepEqual(conditions().at(-1), { $patch: 'delete', type: 'PodwrightHealthy' });
  t.deepEqual(labels().at(-1), { 'podwright.handler.podwright': null });
});
