// kill -9, and failure, at every labelled step of each verb of pods and containers: the kubelet's retry converges, and
// nothing is left. FAULTS=all breaks at each step in each way, and kills the monitors with the daemon too.
import test, { type ExecutionContext } from 'ava';
import { endsWithoutResidue, settle, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  exec,
  type Pod,
  podConfig,
  pull,
  runPod,
  scripted,
  start,
  statusOf,
} from '../helpers/pods.ts';
import { podResidue } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';
import { type After, Steps, type Swept, sweepSteps } from './steps.ts';

const steps = new Steps();
const daemon = useDaemon(test, { env: steps.env });
/** The trash is emptied when nobody needs the disk, which may be long: it is looked at when all is over. */
const left = (): Promise<string[]> =>
  settle(async () => (await podResidue(daemon)).filter((each) => !each.startsWith('trash ')));

test.before('an image', () => pull(daemon));
test.afterEach.always('a verb that failed leaves the next alone', async (t) => {
  steps.disarm();
  if (!t.passed && daemon.running) await daemon.removeAllPods();
});
test.after.always('the switch goes', () => steps.remove());

/** A verb of a pod, or of a container of its own pod; the pod is removed at the end. */
function sweepOf<T extends { readonly pod: Pod }>(
  verb: Omit<Swept<T>, 'left' | 'name'>,
): (t: ExecutionContext) => Promise<void> {
  return (t) =>
    sweepSteps(
      t,
      { daemon, steps },
      {
        ...verb,
        name: t.title,
        left,
        withoutTrash: true,
        converge: async (own, made, after) => {
          await verb.converge(own, made, after);
          await daemon.removePod(made.pod.id);
        },
      },
    );
}

interface WithContainer {
  readonly pod: Pod;
  readonly id: string;
}

/** Ends at once when it is asked to. */
const polite = () => scripted('trap "exit 0" TERM; while :; do sleep 0.1; done');

const running = async (config = containerConfig()): Promise<WithContainer> => {
  const pod = await runPod(daemon);
  return { pod, id: await start(daemon, pod, config) };
};

/** A container that was told to run runs, and is as the daemon says. */
async function works(t: ExecutionContext, id: string, { step }: After): Promise<void> {
  const status = await statusOf(daemon, id);
  t.is(status.state, 'CONTAINER_RUNNING', step);
  t.true(BigInt(status.started_at) > 0n, step);
  t.is((await exec(daemon, id, 'true')).code, 0, step);
}

test.serial('RunPodSandbox', async (t) => {
  const run = async (config: Pod['config']): Promise<string> =>
    (await daemon.runtime.RunPodSandbox({ config })).pod_sandbox_id;
  await sweepSteps<{ config: Pod['config'] }>(
    t,
    { daemon, steps },
    {
      name: t.title,
      most: 12,
      left,
      withoutTrash: true,
      prepare: async () => ({
        config: podConfig(daemon, { port_mappings: [{ container_port: 80, host_port: 38_124 }] }),
      }),
      call: ({ config }) => run(config),
      converge: async (own, { config }, after) => {
        const id = after.answer === null ? await run(config) : (after.answer as string);
        const { items } = await daemon.runtime.ListPodSandbox({});
        own.deepEqual(
          items.map((item) => [item.id, item.state]),
          [[id, 'SANDBOX_READY']],
          after.step,
        );
        await works(own, await start(daemon, { id, config }, containerConfig()), after);
        await daemon.removePod(id);
      },
    },
  );
});

test.serial('CreateContainer', async (t) => {
  await sweepOf<{ pod: Pod; config: ReturnType<typeof containerConfig> }>({
    most: 12,
    prepare: async () => ({ pod: await runPod(daemon), config: containerConfig() }),
    call: ({ pod, config }) => create(daemon, pod, config),
    converge: async (own, { pod, config }, after) => {
      const id = after.answer === null ? await create(daemon, pod, config) : (after.answer as string);
      const { containers } = await daemon.runtime.ListContainers({});
      own.deepEqual(
        containers.map((each) => each.id),
        [id],
        after.step,
      );
      await daemon.runtime.StartContainer({ container_id: id });
      await works(own, id, after);
    },
  })(t);
});

test.serial('StartContainer', async (t) => {
  await sweepOf<WithContainer>({
    prepare: async () => {
      const pod = await runPod(daemon);
      return { pod, id: await create(daemon, pod, containerConfig()) };
    },
    call: ({ id }) => daemon.runtime.StartContainer({ container_id: id }),
    converge: async (own, { pod, id }, after) => {
      const { state } = await statusOf(daemon, id);
      if (state === 'CONTAINER_CREATED') await daemon.runtime.StartContainer({ container_id: id });
      // one whose start failed has ended: the kubelet makes another
      const ended = after.how === 'fail' && after.answer === null && state === 'CONTAINER_EXITED';
      await works(own, ended ? await start(daemon, pod, containerConfig()) : id, after);
    },
  })(t);
});

test.serial('StopContainer', async (t) => {
  const stop = (id: string) => daemon.runtime.StopContainer({ container_id: id, timeout: 10 });
  await sweepOf<WithContainer>({
    prepare: () => running(polite()),
    call: ({ id }) => stop(id),
    converge: async (own, { id }, { step }) => {
      await stop(id);
      own.is((await statusOf(daemon, id)).state, 'CONTAINER_EXITED', step);
    },
  })(t);
});

test.serial('RemoveContainer', async (t) => {
  const remove = (id: string) => daemon.runtime.RemoveContainer({ container_id: id });
  await sweepOf<WithContainer>({
    prepare: () => running(),
    call: ({ id }) => remove(id),
    converge: async (own, { id }, { step }) => {
      await remove(id);
      own.deepEqual((await daemon.runtime.ListContainers({})).containers, [], step);
    },
  })(t);
});

test.serial('StopPodSandbox', async (t) => {
  const stop = ({ id }: Pod) => daemon.runtime.StopPodSandbox({ pod_sandbox_id: id });
  await sweepOf<{ pod: Pod }>({
    prepare: async () => {
      const pod = await runPod(daemon, { port_mappings: [{ container_port: 80, host_port: 38_125 }] });
      await start(daemon, pod, containerConfig());
      return { pod };
    },
    call: ({ pod }) => stop(pod),
    converge: async (own, { pod }, { step }) => {
      await stop(pod);
      const { items } = await daemon.runtime.ListPodSandbox({});
      own.deepEqual(
        items.map(({ state }) => state),
        ['SANDBOX_NOTREADY'],
        step,
      );
    },
  })(t);
});

test.serial('RemovePodSandbox', async (t) => {
  const remove = ({ id }: Pod) => daemon.runtime.RemovePodSandbox({ pod_sandbox_id: id });
  await sweepOf<{ pod: Pod }>({
    most: 12,
    prepare: async () => {
      const pod = await runPod(daemon);
      await start(daemon, pod, containerConfig());
      return { pod };
    },
    call: ({ pod }) => remove(pod),
    converge: async (own, { pod }, { step }) => {
      await remove(pod);
      own.deepEqual((await daemon.runtime.ListPodSandbox({})).items, [], step);
    },
  })(t);
});

test.serial('UpdateContainerResources', async (t) => {
  const update = (id: string) =>
    daemon.runtime.UpdateContainerResources({
      container_id: id,
      linux: { cpu_shares: 512, memory_limit_in_bytes: 1 << 28 },
    });
  await sweepOf<WithContainer>({
    prepare: () => running(),
    call: ({ id }) => update(id),
    converge: async (own, { id }, after) => {
      await update(id);
      const { resources } = await statusOf(daemon, id);
      own.is(String(resources?.linux?.memory_limit_in_bytes), String(1 << 28), after.step);
      await works(own, id, after);
    },
  })(t);
});

test.serial('UpdatePodSandboxResources', async (t) => {
  const update = ({ id }: Pod) =>
    daemon.runtime.UpdatePodSandboxResources({ pod_sandbox_id: id, overhead: {}, resources: { cpu_shares: 512 } });
  await sweepOf<WithContainer>({
    prepare: () => running(),
    call: ({ pod }) => update(pod),
    converge: async (own, { pod, id }, after) => {
      await update(pod);
      await works(own, id, after);
    },
  })(t);
});

test.serial('ReopenContainerLog', async (t) => {
  const reopen = (id: string) => daemon.runtime.ReopenContainerLog({ container_id: id });
  await sweepOf<WithContainer>({
    prepare: () => running(),
    call: ({ id }) => reopen(id),
    converge: async (own, { id }, after) => {
      await reopen(id);
      await works(own, id, after);
    },
  })(t);
});

test.serial('ExecSync', async (t) => {
  await sweepOf<WithContainer>({
    prepare: () => running(),
    call: ({ id }) => exec(daemon, id, 'true'),
    converge: (own, { id }, after) => works(own, id, after),
  })(t);
});

test.serial('podwright shutdown', async (t) => {
  const ends = (): Promise<unknown> => until('the daemon ends', () => !daemon.running);
  await sweepSteps<{ pid: number }>(
    t,
    { daemon, steps },
    {
      name: t.title,
      left,
      withoutTrash: true,
      prepare: async () => {
        if (!daemon.running) await daemon.start();
        await start(daemon, await runPod(daemon), containerConfig());
        return { pid: daemon.pid };
      },
      call: async () => {
        await daemon.podwright('shutdown');
        await ends();
      },
      converge: async (own, { pid }, { step }) => {
        // it ends also where something failed
        if (daemon.running && daemon.pid === pid) await ends();
        if (!daemon.running) await daemon.start();
        await daemon.shutdown();
        own.deepEqual(await daemon.leftOfNetwork(), [], step);
      },
    },
  );
});

endsWithoutResidue(test, daemon);
