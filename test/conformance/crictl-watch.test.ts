// What a Go client makes of events and metrics: crictl events, metricdescs, metricsp, statsp.
import test from 'ava';
import { crictl, watchCrictl } from '../helpers/crictl.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { create, exited, pull, runPod, scripted, start } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);

test.before('an image', () => pull(daemon));

interface Event {
  readonly containerId: string;
  readonly containerEventType: string;
  readonly createdAt: string;
  readonly podSandboxStatus: { readonly id: string } | null;
  readonly containersStatuses: readonly { readonly id: string; readonly state: string; readonly exitCode: number }[];
}

/** JSON documents one behind the other. */
function documents(text: string): Event[] {
  const found: Event[] = [];
  let from = 0;
  for (let at = text.indexOf('}', from); at >= 0; at = text.indexOf('}', at + 1)) {
    try {
      found.push(JSON.parse(text.slice(from, at + 1)) as Event);
      from = at + 1;
    } catch {
      // not the end of this one yet
    }
  }
  return found;
}

async function subscribed(): Promise<boolean> {
  return /^podwright_event_subscribers 1$/m.test(await (await fetch(daemon.metricsUrl)).text());
}

test.serial('crictl events prints the life of a pod', async (t) => {
  const watch = await watchCrictl(daemon.socket, 'events');
  await until('crictl has subscribed', subscribed);
  const pod = await runPod(daemon);
  const id = await create(daemon, pod, scripted('exit 4'));
  await daemon.runtime.StartContainer({ container_id: id });
  await exited(daemon, id);
  await daemon.removePod(pod.id);
  const events = await until('all events are printed', () => {
    const all = documents(watch.printed());
    return all.length >= 8 && all;
  });
  t.true(watch.running());
  await watch.end();
  const name = (of: string): string => (of === pod.id ? 'pod' : of === id ? 'container' : of);
  t.deepEqual(
    events.map(({ containerId, containerEventType }) => `${name(containerId)} ${containerEventType}`),
    [
      'pod CONTAINER_CREATED_EVENT',
      'pod CONTAINER_STARTED_EVENT',
      'container CONTAINER_CREATED_EVENT',
      'container CONTAINER_STARTED_EVENT',
      'container CONTAINER_STOPPED_EVENT',
      'pod CONTAINER_STOPPED_EVENT',
      'container CONTAINER_DELETED_EVENT',
      'pod CONTAINER_DELETED_EVENT',
    ],
  );
  t.true(events.every(({ podSandboxStatus }) => podSandboxStatus?.id === pod.id));
  t.like(events[4]?.containersStatuses[0], { id, state: 'CONTAINER_EXITED', exitCode: 4 });
});

interface Descriptor {
  readonly name: string;
  readonly labelKeys: readonly string[];
}
interface Metric {
  readonly name: string;
  readonly labelValues: readonly string[];
}
interface PodMetrics {
  readonly podSandboxId: string;
  readonly metrics: readonly Metric[];
  readonly containerMetrics: readonly { readonly containerId: string; readonly metrics: readonly Metric[] }[];
}

test.serial('crictl metricdescs describes what crictl metricsp lists', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, scripted('exec sleep 3600'));
  const { descriptors } = JSON.parse(await crictl(daemon.socket, 'metricdescs', '-o', 'json')) as {
    descriptors: readonly Descriptor[];
  };
  const keys = new Map(descriptors.map(({ name, labelKeys }) => [name, labelKeys]));
  const { podMetrics } = JSON.parse(await crictl(daemon.socket, 'metricsp', '-o', 'json')) as {
    podMetrics: readonly PodMetrics[];
  };
  const [only] = podMetrics;
  t.deepEqual([podMetrics.length, only?.podSandboxId, only?.containerMetrics[0]?.containerId], [1, pod.id, id]);
  const all = [...(only?.metrics ?? []), ...(only?.containerMetrics[0]?.metrics ?? [])];
  t.true(all.length > 60);
  for (const { name, labelValues } of all) t.is(labelValues.length, keys.get(name)?.length ?? -1, name);
  await daemon.removePod(pod.id);
});

endsWithoutResidue(test, daemon);
