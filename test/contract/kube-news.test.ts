// What the daemon wires to the API server: each kind of news from where it happens in the rooms to an event.
import test from 'ava';
import type { CallContext, ImageVerbs, PullImage } from '../../src/cri/verbs.ts';
import { type KubeLink, type KubeParts, linkKube } from '../../src/daemon/kube.ts';
import { internal } from '../../src/lib/failure.ts';
import type { OomKill } from '../../src/lib/oom.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { containerOf, sandboxOf } from '../helpers/builders.ts';
import { FakeApi } from '../helpers/fake-api.ts';
import { until } from '../helpers/until.ts';

const sandbox = sandboxOf();
const container = containerOf({ status: { startedAt: 1n } });
const pod = { namespace: 'default', name: 'web', uid: 'uid-1' };

/** A daemon's rooms, and an API server that takes events. */
class Room {
  readonly api = new FakeApi();
  readonly pull = Promise.withResolvers<never>();
  kill: (kill: OomKill) => void = () => undefined;
  swept: string[] = [];
  sweep: (what: string) => void = () => undefined;
  used = 0;
  link: KubeLink | null = null;

  async start(): Promise<KubeLink> {
    await this.api.start();
    this.api.handler = () => ({ status: 201, body: { kind: 'Event' } });
    const parts = {
      config: {
        kubernetes: {
          kubeconfig: this.api.kubeconfig(),
          nodeName: 'n-1',
          events: true,
          condition: false,
          runtimeClasses: false,
          slowPullMs: 1,
        },
        node: { runtimes: {} },
      },
      pods: {
        sandboxes: { get: () => sandbox, list: () => [sandbox] },
        containers: { get: () => container, list: () => [container] },
        createPorts: { diskLimits: () => [1000] },
        ooms: {
          subscribe: (listener: (kill: OomKill) => void) => {
            this.kill = listener;
            return () => undefined;
          },
        },
      },
      images: {
        progress: () => [],
        storage: { snapshots: { usage: async () => ({ bytes: this.used, inodes: 1, at: 1n }) } },
      },
      cgroups: { stats: async () => [null, null] },
      metrics: createMetrics({ version: '1', node: '2', onError: () => undefined }),
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      recovery: {
        done: Promise.resolve(),
        swept: () => this.swept,
        onSwept: (listener: (what: string) => void) => {
          this.sweep = listener;
          return () => undefined;
        },
      },
    } as unknown as KubeParts;
    this.link = linkKube(parts, 5);
    return this.link;
  }

  /** The event of a reason, once it has come. */
  event(reason: string): Promise<Record<string, unknown>> {
    return until(`an event ${reason}`, () =>
      this.api.asked
        .map(({ body }) => (body ?? {}) as Record<string, unknown>)
        .find((one) => one['kind'] === 'Event' && one['reason'] === reason),
    );
  }

  async end(): Promise<void> {
    await this.link?.stop();
    await this.api.end();
  }
}

async function withRoom(act: (room: Room) => Promise<void>): Promise<void> {
  const room = new Room();
  try {
    await act(room);
  } finally {
    await room.end();
  }
}

test('an OOM kill', (t) =>
  withRoom(async (room) => {
    (await room.start()).start();
    const { id, sandboxId } = container.identity;
    const limits = { limit: 'own', limitBytes: 1, kills: 1, newKills: 1 } as const;
    room.kill({ sandboxId, containerId: id, main: true, at: 1n, ...limits });
    t.like((await room.event('OOMKilling'))['involvedObject'], pod);
  }));

test('a writable layer at its limit', (t) =>
  withRoom(async (room) => {
    room.used = 1000;
    (await room.start()).start();
    t.like((await room.event('DiskQuotaReached'))['involvedObject'], pod);
  }));

test('what the start took away', (t) =>
  withRoom(async (room) => {
    room.swept = ['writable layer c9 without a container'];
    (await room.start()).start();
    t.regex(String((await room.event('LeftoversSwept'))['message']), /writable layer c9/);
    room.api.asked.length = 0;
    room.sweep('sandbox s7 without a record');
    const later = String((await room.event('LeftoversSwept'))['message']);
    t.regex(later, /sandbox s7/, 'what comes off when it is tried again too');
    t.notRegex(later, /c9/);
  }));

test('a pull that is slow, and fails in the end', (t) =>
  withRoom(async (room) => {
    const link = await room.start();
    const verbs = link.images({ pullImage: () => room.pull.promise } as unknown as ImageVerbs);
    link.start();
    const asked = { image: { image: 'r.example/a:1' }, credentials: null, pod } as unknown as PullImage;
    const pulled = verbs.pullImage(asked, {} as CallContext);
    t.like((await room.event('ImagePullSlow'))['involvedObject'], pod);
    room.pull.reject(internal('the disk is gone'));
    await t.throwsAsync(pulled, { message: 'the disk is gone' });
    t.regex(String((await room.event('ImagePullFailed'))['message']), /r\.example\/a:1.*the disk is gone/);
  }));
