import test from 'ava';
import type { Container } from '../../../src/container/container.ts';
import { type DiskParts, watchDisks } from '../../../src/daemon/disk-news.ts';
import type { News } from '../../../src/kube/news.ts';
import { internal } from '../../../src/lib/failure.ts';
import { containerOf, sandboxOf } from '../../helpers/builders.ts';
import { until } from '../../helpers/until.ts';

const limit = 1000;

/** A node whose containers use so much; one whose layer cannot be read throws. */
class Node {
  readonly used = new Map<string, number | Error>();
  readonly containers = new Map<string, Container>();
  readonly news: News[] = [];
  readonly unread: string[] = [];
  looks = 0;
  readonly parts: DiskParts = {
    pods: {
      sandboxes: { get: () => sandboxOf() },
      containers: { get: (id) => this.containers.get(id), list: () => [...this.containers.values()] },
      createPorts: { diskLimits: () => [limit] },
    },
    images: {
      storage: {
        snapshots: {
          usage: async (id) => {
            this.looks += 1;
            const used = this.used.get(id) ?? 0;
            if (used instanceof Error) throw used;
            return { bytes: used, inodes: 1, at: 1n };
          },
        },
      },
    },
    tell: (news) => void this.news.push(news),
    onError: (_, id) => void this.unread.push(id),
  };

  has(id: string, used: number | Error): void {
    this.containers.set(id, containerOf({ id, status: { startedAt: 1n } }));
    this.used.set(id, used);
  }

  /** Waits until every container has been looked at twice more. */
  async rounds(): Promise<void> {
    const enough = this.looks + 2 * this.containers.size;
    await until('more looks', () => this.looks >= enough + this.containers.size);
  }

  get full(): string[] {
    return this.news.flatMap((news) => (news.type === 'disk-full' ? [news.container] : []));
  }
}

test('a layer that cannot be read keeps nobody from the news of the others, and is told of once', async (t) => {
  const node = new Node();
  node.has('a', internal('no such layer'));
  node.has('b', limit);
  const end = watchDisks(node.parts, 1);
  t.teardown(end);
  await node.rounds();
  t.deepEqual(node.full, ['b']);
  t.deepEqual(node.unread, ['a']);
  node.has('a', 1);
  await node.rounds();
  node.has('a', internal('again no such layer'));
  await node.rounds();
  t.deepEqual(node.unread, ['a', 'a'], 'once more after it could be read');
});

test('one that goes while it is looked at is no trouble', async (t) => {
  const node = new Node();
  node.has('b', 1);
  node.has('a', 1);
  const usage = node.parts.images.storage.snapshots.usage.bind(null);
  const parts: DiskParts = {
    ...node.parts,
    images: {
      storage: {
        snapshots: {
          usage: async (id) => {
            if (id === 'a') {
              node.containers.delete('a');
              throw internal('no such layer');
            }
            return usage(id);
          },
        },
      },
    },
  };
  const end = watchDisks(parts, 1);
  t.teardown(end);
  await node.rounds();
  t.deepEqual([node.unread, node.full], [[], []]);
});

test('a full layer is told once until it has room again', async (t) => {
  const node = new Node();
  node.has('a', limit);
  const end = watchDisks(node.parts, 1);
  t.teardown(end);
  await node.rounds();
  node.used.set('a', limit * 0.95);
  await node.rounds();
  node.used.set('a', limit);
  await node.rounds();
  t.deepEqual(node.full, ['a'], 'it never had room');
  node.used.set('a', limit * 0.5);
  await node.rounds();
  node.used.set('a', limit);
  await node.rounds();
  t.deepEqual(node.full, ['a', 'a']);
});
