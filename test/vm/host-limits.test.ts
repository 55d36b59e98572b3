// Limits of the whole host: namespaces, mounts, threads, open files. Each call says what has run out or comes out right, a call
// that fails leaves nothing, and the same daemon goes on when there is more. hack/test.sh vm-limits runs it.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { endsWell, livePod, pullUnder, Scarcity, type Shortage } from '../faults/shortage.ts';
import { endsWithoutResidue, settle, useDaemon } from '../helpers/daemon.ts';
import { HostLimit, liftHostLimits, whyNoHostLimits } from '../helpers/host-limits.ts';
import {
  containerConfig,
  create,
  exec,
  fails,
  podConfig,
  pull,
  runPod,
  start,
  statusOf,
  tools,
} from '../helpers/pods.ts';
import { podResidue } from '../helpers/residue.ts';

const real = whyNoHostLimits === null ? test.serial : test.serial.skip;
const title = (what: string): string => (whyNoHostLimits === null ? what : `${what} [${whyNoHostLimits}]`);
const daemon = useDaemon(test);
test.before('an image', () => pull(daemon));
test.afterEach.always('the limits are as they were, and a test that failed leaves the next alone', async (t) => {
  liftHostLimits();
  if (!t.passed && daemon.running) await daemon.removeAllPods();
});

/** None at all. */
const none = -Infinity;

const ids = [{ container_id: 0, host_id: 400_000, length: 65_536 }];

/** Pods that differ in the namespaces they have. */
const kinds = {
  'a pod': {},
  'a pod that shares its pids': { pid: 'POD' },
  'a pod with a user namespace': { userns_options: { mode: 'POD', uids: ids, gids: ids } },
} as const;
type Kind = keyof typeof kinds;

const asked = (kind: Kind) => ({ linux: { security_context: { namespace_options: kinds[kind] } } });

/** A namespace of the kind, for unshare(1). */
const unshare = {
  net: ['--net'],
  mnt: ['--mount'],
  ipc: ['--ipc'],
  uts: ['--uts'],
  pid: ['--pid', '--fork'],
  cgroup: ['--cgroup'],
  user: ['--user'],
} as const;
type Namespace = keyof typeof unshare;

function namespaces(name: Namespace): Shortage {
  const limit = new HostLimit(`user.max_${name}_namespaces`);
  const lack = String.raw`: no space left on device \(errno 28\); there are no more`;
  const some = String.raw`\b${name}\b.*${lack} namespaces \(user\.max_\*_namespaces\)$`;
  // what is mounted nowhere yet has a mount namespace of its own
  const detached = String.raw`${lack} mount namespaces \(user\.max_mnt_namespaces\)$`;
  return {
    limit: (more) => limit.set(more === none ? 0 : limit.count(['unshare', ...unshare[name], 'true']) + more),
    lift: () => limit.lift(),
    reason: new RegExp(name === 'mnt' ? `${some}|${detached}` : some),
  };
}

function mounts(): Shortage {
  const limit = new HostLimit('fs.mount-max');
  const at = join(daemon.dir, 'mount');
  mkdirSync(at, { recursive: true });
  const command = ['sh', '-c', `mount --bind ${at} ${at} && umount ${at}`];
  const seen = () => readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length;
  return {
    limit: (more) => limit.set(more === none ? 1 : limit.count(command, seen() - 2) + more),
    lift: () => limit.lift(),
    reason: /no space left on device \(errno 28\); there are no more mounts \(fs\.mount-max\)$/,
  };
}

function threads(): Shortage {
  const limit = new HostLimit('kernel.threads-max');
  const present = () => Number(/\/(\d+) /.exec(readFileSync('/proc/loadavg', 'utf8'))?.[1]);
  return {
    limit: (more) => limit.set(present() + more),
    lift: () => limit.lift(),
    reason: /(errno 11|EAGAIN|temporarily unavailable|a thread cannot be started).*kernel\.threads-max/,
  };
}

const [run, make] = ['RunPodSandbox', 'CreateContainer'];

interface Life {
  readonly shortage: Shortage;
  readonly heights: readonly number[];
  /** Verbs that must have met the limit. */
  readonly meet: readonly string[];
  readonly kind?: Kind;
}

/** A call that fails has taken everything back, while there is still no more. */
async function leavesNothing(t: ExecutionContext, { shortage, meet, kind = 'a pod' }: Life): Promise<void> {
  const refused = async (call: () => Promise<unknown>): Promise<void> => {
    const before = new Set(await podResidue(daemon));
    shortage.limit(none);
    t.log(await fails(t, call(), { code: 'RESOURCE_EXHAUSTED', message: shortage.reason }));
    const left = () => podResidue(daemon).then((list) => list.filter((one) => !before.has(one)));
    t.deepEqual(await settle(left), []);
    shortage.lift();
  };
  const wish = asked(kind);
  if (meet.includes(run)) await refused(() => runPod(daemon, wish));
  const pod = await runPod(daemon, wish);
  if (meet.includes(make)) await refused(() => create(daemon, pod, containerConfig(wish)));
  await start(daemon, pod, containerConfig(wish));
  await daemon.removePod(pod.id);
}

/** Lives of pods at heights of a limit. */
async function lives(t: ExecutionContext, life: Life): Promise<void> {
  const { shortage, heights, meet, kind = 'a pod' } = life;
  t.timeout(20 * 60_000);
  const { pid } = daemon;
  await leavesNothing(t, life);
  const scarcity = new Scarcity(t, shortage, asked(kind));
  for (const more of heights) await livePod(daemon, scarcity, more);
  await pullUnder(daemon, scarcity, heights[0] as number);
  t.log(scarcity.failures);
  for (const verb of meet) t.true((scarcity.failures[verb] ?? 0) > 0, `${verb} met the limit`);
  await endsWell(t, daemon, pid);
}

for (const [kind, table] of [
  ['a pod', { net: [run], ipc: [run], uts: [run], mnt: [run, make], pid: [make], cgroup: [make] }],
  ['a pod that shares its pids', { mnt: [run, make], pid: [run] }],
  [
    'a pod with a user namespace',
    { user: [run], net: [run], ipc: [run], uts: [run], mnt: [run, make], pid: [make], cgroup: [make] },
  ],
] as const) {
  for (const [name, meet] of Object.entries(table) as [Namespace, readonly string[]][]) {
    real(title(`${name} namespaces, ${kind}`), (t) =>
      lives(t, { shortage: namespaces(name), heights: [none, 0, 1], meet, kind }),
    );
  }
}

for (const kind of Object.keys(kinds) as Kind[]) {
  real(title(`mounts, ${kind}`), (t) =>
    lives(t, { shortage: mounts(), heights: [none, 0, 1, 4, 12], meet: [run, make], kind }),
  );
}

real(title('threads and processes'), async (t) => {
  t.timeout(20 * 60_000);
  const { pid } = daemon;
  const scarcity = new Scarcity(t, threads());
  for (let more = -1; more < 9; more += 1) {
    await livePod(daemon, scarcity, more);
    if (more % 3 === 0) await pullUnder(daemon, scarcity, more);
  }
  t.log(scarcity.failures);
  for (const verb of [run, 'PullImage']) t.true((scarcity.failures[verb] ?? 0) > 0, `${verb} met the limit`);
  await endsWell(t, daemon, pid);
});

const openFiles = { code: 'RESOURCE_EXHAUSTED', message: /too many open files in system.*fs\.file-max/ } as const;

real(title('open files: the daemon has CAP_SYS_ADMIN and is exempt, programs of containers are not'), async (t) => {
  const { pid } = daemon;
  const limit = new HostLimit('fs.file-max');
  const [present = 0] = readFileSync('/proc/sys/fs/file-nr', 'utf8').split(/\s/).map(Number);
  const few = (): void => limit.set(Math.floor(present / 2));
  await daemon.image.RemoveImage({ image: { image: tools } });
  few();
  await pull(daemon);
  const pod = await runPod(daemon);
  const id = await create(daemon, pod, containerConfig());
  t.log(await fails(t, daemon.runtime.StartContainer({ container_id: id }), openFiles));
  // it was on its way to its program: the kubelet makes another
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_EXITED');
  limit.lift();
  const other = await start(daemon, pod, containerConfig());
  few();
  await fails(t, exec(daemon, other, 'true'), openFiles);
  limit.lift();
  t.is((await exec(daemon, other, 'true')).code, 0);
  await daemon.removePod(pod.id);
  await endsWell(t, daemon, pid);
});

for (const kind of ['a pod', 'a pod with a user namespace'] as const) {
  // twice fs.file-max, and nobody is exempt (unix_create1 of the kernel)
  real(title(`unix sockets, ${kind}`), async (t) => {
    const { pid } = daemon;
    const limit = new HostLimit('fs.file-max');
    const wish = asked(kind);
    const config = podConfig(daemon, wish);
    limit.set(1);
    t.log(await fails(t, daemon.runtime.RunPodSandbox({ config }), openFiles));
    limit.lift();
    const pod = { id: (await daemon.runtime.RunPodSandbox({ config })).pod_sandbox_id, config };
    const container = containerConfig(wish);
    limit.set(1);
    t.log(await fails(t, create(daemon, pod, container), openFiles));
    limit.lift();
    const id = await create(daemon, pod, container);
    await daemon.runtime.StartContainer({ container_id: id });
    await daemon.removePod(pod.id);
    await endsWell(t, daemon, pid);
  });
}

real(title('a daemon that starts without namespaces and mounts'), async (t) => {
  const limits = [
    ...Object.keys(unshare).map((name) => new HostLimit(`user.max_${name}_namespaces`)),
    new HostLimit('fs.mount-max'),
  ];
  for (const limit of limits) limit.set(1);
  await daemon.restart();
  const { pid } = daemon;
  const user = asked('a pod with a user namespace');
  const features = async () => (await daemon.runtime.Status({ verbose: true })).runtime_handlers[0]?.features;
  t.false((await features())?.user_namespaces);
  for (const wish of [asked('a pod'), user])
    await fails(t, runPod(daemon, wish), { code: 'RESOURCE_EXHAUSTED', message: /user\.max_\*_namespaces/ });
  t.deepEqual(await daemon.leftOfPods(), []);
  for (const limit of limits) limit.lift();
  for (const wish of [asked('a pod'), user]) {
    const pod = await runPod(daemon, wish);
    await start(daemon, pod, containerConfig(wish));
    await daemon.removePod(pod.id);
  }
  t.true((await features())?.user_namespaces, 'a pod had one');
  await endsWell(t, daemon, pid);
});

if (whyNoHostLimits === null) endsWithoutResidue(test, daemon);
