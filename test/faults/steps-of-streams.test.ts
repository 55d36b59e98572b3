// kill -9, and failure, at every labelled step of what is streamed, and of checkpoints and restores: what is asked again comes
// out right, containers live on and are not left frozen, nothing is left. FAULTS=all breaks at each step in each way.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ChannelClient } from '../helpers/channel-client.ts';
import { endsWithoutResidue, settle, useDaemon } from '../helpers/daemon.ts';
import { FakeCriu } from '../helpers/fake-criu.ts';
import { exec, type Pod, podConfig, pull, runPod, scripted, shell, start, statusOf } from '../helpers/pods.ts';
import { podResidue } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';
import { Steps, type Swept, sweepSteps } from './steps.ts';

const steps = new Steps();
const criu = new FakeCriu();
const daemon = useDaemon(test, { env: steps.env, flags: ['--set', `checkpoint.criu=${criu.program}`] });
const place = mkdtempSync('/tmp/pwt-steps-of-');
/** Counts, and answers whoever asks: at a port, and by its input. */
const script = [
  'busybox tcpsvd -E 0.0.0.0 8080 cat &',
  '{ i=0; while true; do i=$((i+1)); echo $i > /tick; sleep 0.05; done; } &',
  'while read -r line; do echo "heard $line"; done; wait',
].join(' ');

test.before('an image', () => pull(daemon));
test.afterEach.always('a verb that failed leaves the next alone', async (t) => {
  steps.disarm();
  if (!t.passed && daemon.running) await daemon.removeAllPods();
});
test.after.always('files go', () => {
  steps.remove();
  criu.remove();
  rmSync(place, { recursive: true, force: true });
});

const left = (): Promise<string[]> =>
  settle(async () => [
    ...(await podResidue(daemon)).filter((each) => !each.startsWith('trash ')),
    ...readdirSync(join(daemon.root, 'checkpoints')),
  ]);

interface Made {
  readonly pod: Pod;
  readonly id: string;
}

const config = () => scripted(script, { metadata: { name: 'a', attempt: 0 }, stdin: true });

async function prepare(): Promise<Made> {
  criu.behave('ok');
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, config());
  await until('its port is open', async () => (await exec(daemon, id, 'nc', '-z', '127.0.0.1', '8080')).code === 0);
  return { pod, id };
}

/** The container runs and gets on: it is not frozen. */
async function getsOn(t: ExecutionContext, { id }: Made, step: string): Promise<void> {
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING', step);
  const before = await shell(daemon, id, 'cat /tick');
  await until(`${step}: it gets on`, async () => (await shell(daemon, id, 'cat /tick')) !== before);
}

type Call = Pick<Swept<Made>, 'call'> & { readonly again?: (made: Made) => Promise<unknown> };

/** Something that is asked of a running container and leaves it as it is. */
const sweep =
  ({ call, again = call }: Call) =>
  (t: ExecutionContext): Promise<void> =>
    sweepSteps<Made>(
      t,
      { daemon, steps },
      {
        name: t.title,
        prepare,
        call,
        left,
        withoutTrash: true,
        converge: async (own, made, { step }) => {
          await getsOn(own, made, step);
          await again(made);
          await getsOn(own, made, step);
          await daemon.removePod(made.pod.id);
        },
      },
    );

test.serial(
  'Exec',
  sweep({
    call: async ({ id }) => {
      const wanted = { container_id: id, cmd: ['sh', '-c', 'echo well'], stdout: true, stderr: true };
      const { url } = await daemon.runtime.Exec(wanted);
      await (await ChannelClient.connect(url, 'v5.channel.k8s.io')).hear(1, 'well');
    },
  }),
);

test.serial(
  'Attach',
  sweep({
    call: async ({ id }) => {
      const { url } = await daemon.runtime.Attach({ container_id: id, stdin: true, stdout: true });
      const client = await ChannelClient.connect(url, 'v5.channel.k8s.io');
      client.send(0, 'me\n');
      await client.hear(1, 'heard me');
    },
  }),
);

test.serial(
  'PortForward',
  sweep({
    call: async ({ pod }) => {
      const { url } = await daemon.runtime.PortForward({ pod_sandbox_id: pod.id });
      const client = await ChannelClient.connect(`${url}?port=8080`, 'v4.channel.k8s.io');
      client.send(0, 'there and back\n');
      await client.hear(0, 'there and back');
    },
  }),
);

const empty = (): string => mkdtempSync(join(place, 'out-'));

test.serial(
  'CheckpointContainer',
  sweep({
    call: ({ id }) => daemon.runtime.CheckpointContainer({ container_id: id, location: join(empty(), 'a.tar') }),
  }),
);

const checkpoint = ({ pod, id }: Made, output_path = empty()) =>
  daemon.runtime.CheckpointPod({ pod_sandbox_id: pod.id, output_path, container_ids: [id] });

test.serial('CheckpointPod', sweep({ call: (made) => checkpoint(made) }));

interface Restored {
  readonly from: string;
  readonly config: Pod['config'];
}

test.serial('RestorePod', async (t) => {
  const original = await prepare();
  const from = join(place, 'restorable');
  mkdirSync(from);
  await checkpoint(original, from);
  await daemon.removePod(original.pod.id);
  const restore = (made: Restored) =>
    daemon.runtime.RestorePod({ checkpoint_path: made.from, config: made.config, container_configs: [config()] });
  await sweepSteps<Restored>(
    t,
    { daemon, steps },
    {
      name: t.title,
      left,
      withoutTrash: true,
      prepare: async () => {
        criu.behave('ok');
        return { from, config: podConfig(daemon, { hostname: original.pod.config.hostname ?? '' }) };
      },
      call: restore,
      converge: async (own, made, { step }) => {
        // one that was restored whole, and not told of, is removed as a kubelet removes what it does not know
        if (step.endsWith('unbroken')) await daemon.removeAllPods();
        const there = await restore(made).catch(async () => {
          await daemon.removeAllPods();
          return restore(made);
        });
        const id = there.restored_containers[0]?.container_id ?? '';
        await daemon.runtime.StartContainer({ container_id: id });
        own.is((await daemon.runtime.ListPodSandbox({})).items.length, 1, step);
        await daemon.removePod(there.pod_sandbox_id);
      },
    },
  );
});

endsWithoutResidue(test, daemon);
