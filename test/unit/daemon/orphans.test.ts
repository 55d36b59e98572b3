// Ends of what has no record: one that fails keeps no other from being tried, and what leads to it stays.
import test from 'ava';
import { orphanEnds, type OrphanParts } from '../../../src/daemon/orphans.ts';
import { unavailable } from '../../../src/lib/failure.ts';

type Fails = Partial<Record<'shutdown' | 'endUnknown' | 'kill' | 'unpin', true>>;

/** A host that notes what is done to it. `hangs`: there is a monitor that does not answer; `alive`: one is connected; `below`: a cgroup of a kubelet's. */
function host(fails: Fails, { hangs = false, alive = true, below = [] as readonly string[] } = {}) {
  const done: string[] = [];
  const act = (name: keyof Fails, what: string): void => {
    done.push(what);
    if (fails[name]) throw unavailable(`no ${name}`);
  };
  const parts: OrphanParts = {
    pods: {
      files: {
        removeBundle: async (id) => void done.push(`bundle ${id}`),
        removeSandboxFiles: async (id) => void done.push(`files ${id}`),
      },
      requests: {
        removeContainer: async (_, id) => void done.push(`container ${id}`),
        isAlive: () => alive,
        shutdown: async (id) => act('shutdown', `shutdown ${id}`),
        endUnknown: async (id) => {
          act('endUnknown', `end ${id}`);
          return hangs;
        },
      },
      releasePorts: {
        cgroups: {
          kill: async (path) => act('kill', `kill ${path}`),
          remove: async (paths) => void done.push(`remove ${paths.join(' ')}`),
        },
        netnsPin: (id) => id,
        unpinNetns: async (path) => act('unpin', `unpin ${path}`),
      },
      createPorts: { cgroupPathOf: (parent, id) => `${parent}/${id}` },
      runPorts: { cgroupPathOf: (_, id) => ({ path: `/ours/${id}`, owned: true }) },
      sandboxes: { get: () => undefined },
    },
    images: { storage: { snapshots: { remove: async (id) => void done.push(`snapshot ${id}`) } } },
  };
  return { done, ends: orphanEnds(parts, () => below) };
}

test('a sandbox: monitor, processes, namespace, files; wherever a kubelet wanted its cgroup', async (t) => {
  const { done, ends } = host({}, { below: ['/kubepods/s'] });
  await ends.endOrphan('s');
  t.deepEqual(done, [
    'shutdown s',
    'kill /ours/s',
    'kill /kubepods/s',
    'remove /ours/s /kubepods/s',
    'unpin s',
    'files s',
  ]);
});

test('a monitor that hangs is ended by force', async (t) => {
  const { done, ends } = host({ shutdown: true }, { hangs: true });
  await ends.endOrphan('s');
  t.deepEqual(done, ['shutdown s', 'end s', 'kill /ours/s', 'remove /ours/s', 'unpin s', 'files s']);
});

test('what fails is told, the rest goes on, and what it is found by stays', async (t) => {
  const rest = ['kill /ours/s', 'remove /ours/s', 'unpin s'];
  const silent = host({ shutdown: true });
  await t.throwsAsync(silent.ends.endOrphan('s'), { message: /end its monitor: no shutdown$/ });
  t.deepEqual(silent.done, ['shutdown s', 'end s', ...rest]);
  const stuck = host({ shutdown: true, endUnknown: true }, { hangs: true });
  await t.throwsAsync(stuck.ends.endOrphan('s'), { message: /end its monitor: no endUnknown$/ });
  t.deepEqual(stuck.done, ['shutdown s', 'end s', ...rest]);
  const both = host({ kill: true, unpin: true });
  await t.throwsAsync(both.ends.endOrphan('s'), { message: /end its processes: no kill; .*namespace: no unpin$/ });
  t.deepEqual(both.done, ['shutdown s', 'kill /ours/s', 'unpin s'], 'a cgroup with processes in it stays as well');
});

test('a container is removed by its monitor, and by its name when that has gone', async (t) => {
  const by = host({}, { below: ['/kubepods/c'] });
  await by.ends.forgetContainer('s', 'c');
  t.deepEqual(by.done, ['container c', 'bundle c']);
  const without = host({}, { alive: false, below: ['/kubepods/c'] });
  await without.ends.forgetContainer('s', 'c');
  t.deepEqual(without.done, ['kill /kubepods/c', 'remove /kubepods/c', 'bundle c']);
});

test('what a container writes to goes when its processes have ended, and not before', async (t) => {
  const { done, ends } = host({}, { below: ['/kubepods/c'] });
  await ends.removeSnapshot('c');
  await ends.removeBundle('c');
  const ended = ['kill /kubepods/c', 'remove /kubepods/c'];
  t.deepEqual(done, [...ended, 'snapshot c', ...ended, 'bundle c']);
  const stuck = host({ kill: true }, { below: ['/kubepods/c'] });
  await t.throwsAsync(stuck.ends.removeSnapshot('c'), { message: /no kill/ });
  await t.throwsAsync(stuck.ends.removeBundle('c'), { message: /no kill/ });
  t.deepEqual(stuck.done, ['kill /kubepods/c', 'kill /kubepods/c']);
});
