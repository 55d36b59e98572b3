// The runtimes whose daemons are killed: how each is started, what it is called at, and where its belongings lie.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { criClient, type CriClient } from '../helpers/cri-client.ts';
import { TestDaemon } from '../helpers/daemon.ts';
import { until } from '../helpers/until.ts';

const run = promisify(execFile);
const kit = join(import.meta.dirname, '../../hack/testkit');
const startMs = 120_000;

/** One runtime under test. */
export interface Runtime {
  readonly name: string;
  /** A directory for logs of pods. */
  readonly dir: string;
  /** Words by which command lines of its own processes, and its mounts, are known. */
  readonly places: readonly string[];
  /** Where files named after pods' addresses lie. */
  readonly addresses: string;
  /** The bridge that pods hang on. */
  readonly bridge: string;
  /** Directories that hold one entry for each pod or container. */
  readonly perPod: readonly string[];
  readonly client: () => CriClient;
  /** Starts the daemon and waits until it serves and has a network. */
  readonly start: () => Promise<void>;
  /** SIGKILL of the daemon alone; resolves when it is gone. */
  readonly kill: () => Promise<void>;
  readonly version: () => Promise<string>;
  /** Ends and removes all of it. */
  readonly clean: () => Promise<void>;
}

async function versionOf(client: CriClient): Promise<string> {
  const { runtime_name, runtime_version } = await client.runtime.Version({});
  return `${runtime_name} ${runtime_version.replace(/^v/, '')}`;
}

/** podwright, from dist/, with its own bridge. */
export function podwright(): Runtime {
  const daemon = new TestDaemon();
  const client = { runtime: undefined, image: undefined, close: () => undefined } as unknown as CriClient;
  return {
    name: 'podwright',
    dir: daemon.dir,
    places: [daemon.dir],
    addresses: join(daemon.root, 'networks'),
    bridge: daemon.bridge,
    perPod: ['root/sandboxes', 'root/containers', 'root/snapshots', 'state/sandboxes', 'state/containers'].map((each) =>
      join(daemon.dir, each),
    ),
    client: () => ({ ...client, runtime: daemon.runtime, image: daemon.image }),
    start: () => daemon.start(),
    kill: () => daemon.kill9(),
    version: () => versionOf({ ...client, runtime: daemon.runtime, image: daemon.image }),
    clean: () => daemon.destroy(),
  };
}

/** One that hack/testkit/peer.sh runs. */
export function peer(name: 'containerd' | 'crio'): Runtime {
  const cache =
    process.env['PODWRIGHT_TESTKIT_CACHE'] ??
    join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'podwright-testkit');
  const own = join(cache, 'peers/run', name);
  const script = (...args: string[]): Promise<unknown> => run(join(kit, 'peer.sh'), args, { timeout: 180_000 });
  const perPod = {
    containerd: ['state/io.containerd.runtime.v2.task/k8s.io', 'root/io.containerd.grpc.v1.cri/sandboxes'],
    crio: ['runroot/overlay-containers', 'root/overlay-containers'],
  }[name];
  let client: CriClient | null = null;
  let ours = false;
  const running = async (): Promise<boolean> => /PID=\d/.test((await run(join(kit, 'peer.sh'), ['env', name])).stdout);
  const live = (): CriClient => (client ??= criClient(join(own, `${name}.sock`)));
  const forget = (): void => {
    client?.close();
    client = null;
  };
  return {
    name,
    dir: own,
    places: [own],
    addresses: join(cache, 'peers/run/cni'),
    bridge: 'pwpeer0',
    perPod: perPod.map((each) => join(own, each)),
    client: live,
    start: async () => {
      forget();
      if (!ours && (await running())) throw new Error(`${name} of the test kit runs already: somebody else needs it`);
      ours = true;
      await script('start', name);
      await until(
        'it serves',
        () =>
          live()
            .runtime.ListPodSandbox({})
            .catch(() => null),
        startMs,
      );
    },
    kill: async () => {
      // not by a script: it would come too late
      const pid = Number(readFileSync(join(own, 'pid'), 'utf8'));
      process.kill(pid, 'SIGKILL');
      await until(`${name} is gone`, () => {
        try {
          process.kill(pid, 0);
          return false;
        } catch {
          return true;
        }
      });
      forget();
    },
    version: () => versionOf(live()),
    clean: async () => {
      forget();
      if (!ours) return;
      await script('clean', name);
      await script('net-clean');
    },
  };
}
