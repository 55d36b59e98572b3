// UpdatePodSandboxResources of a real daemon: kept, told, and still there after a kill.
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { fails, runPod } from '../helpers/pods.ts';

const daemon = useDaemon(test);

interface Told {
  readonly overhead: { readonly memoryLimitBytes: number } | null;
  readonly resources: { readonly memoryLimitBytes: number; readonly cpuShares: number } | null;
}

async function told(id: string): Promise<Told> {
  const { info } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: id, verbose: true });
  return JSON.parse(info['info'] ?? '{}') as Told;
}

test.serial('resources of a pod follow the kubelet and survive the daemon', async (t) => {
  const linux = { overhead: { memory_limit_in_bytes: '1000000' }, resources: { memory_limit_in_bytes: '2000000' } };
  const pod = await runPod(daemon, { linux });
  t.like(await told(pod.id), { overhead: { memoryLimitBytes: 1000000 }, resources: { memoryLimitBytes: 2000000 } });
  await daemon.runtime.UpdatePodSandboxResources({
    pod_sandbox_id: pod.id,
    resources: { memory_limit_in_bytes: '3000000', cpu_shares: '512' },
  });
  const expected = {
    overhead: { memoryLimitBytes: 1000000 },
    resources: { memoryLimitBytes: 3000000, cpuShares: 512 },
  };
  t.like(await told(pod.id), expected);
  await daemon.crash();
  t.like(await told(pod.id), expected);
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: pod.id });
  await fails(t, daemon.runtime.UpdatePodSandboxResources({ pod_sandbox_id: pod.id }), { code: 'FAILED_PRECONDITION' });
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: pod.id });
  await fails(t, daemon.runtime.UpdatePodSandboxResources({ pod_sandbox_id: pod.id }), { code: 'NOT_FOUND' });
});

test.serial('an id that is missing or a limit that is none is refused by name', async (t) => {
  const refused = { code: 'INVALID_ARGUMENT' } as const;
  await fails(t, daemon.runtime.UpdatePodSandboxResources({}), { ...refused, message: /pod_sandbox_id/ });
  const pod = await runPod(daemon);
  const wrong = { pod_sandbox_id: pod.id, overhead: { cpu_shares: '-1' } };
  await fails(t, daemon.runtime.UpdatePodSandboxResources(wrong), { ...refused, message: /overhead\.cpu_shares/ });
});

endsWithoutResidue(test, daemon);
