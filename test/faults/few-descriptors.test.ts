// Too few file descriptors: each call says so or comes out right, and all goes on when there are more, without a restart.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { pull } from '../helpers/pods.ts';
import { endsWell, livePod, pullUnder, Scarcity, type Shortage } from './shortage.ts';

const daemon = useDaemon(test);
test.before('an image', () => pull(daemon));

const setLimit = (soft: number): void =>
  void execFileSync('prlimit', ['--pid', String(daemon.pid), `--nofile=${soft}:`]);

const descriptors: Shortage = {
  limit: (more) => setLimit(readdirSync(`/proc/${daemon.pid}/fd`).length + more),
  lift: () => setLimit(1024),
  reason: /too many open files.*RLIMIT_NOFILE/,
};

/** From fewer than are open, to as many as the greediest verb needs. */
const heights = Array.from({ length: 16 }, (_, n) => n - 3);

test.serial('each verb of a pod, and a pull, with few descriptors', async (t) => {
  t.timeout(9 * 60_000);
  const { pid } = daemon;
  const scarcity = new Scarcity(t, descriptors);
  for (const more of heights) {
    await livePod(daemon, scarcity, more);
    if (more % 3 === 0) await pullUnder(daemon, scarcity, more);
  }
  t.log(scarcity.failures);
  for (const verb of ['RunPodSandbox', 'CreateContainer', 'ContainerStats', 'RemovePodSandbox', 'PullImage'])
    t.true((scarcity.failures[verb] ?? 0) > 0, `${verb} met the limit`);
  await endsWell(t, daemon, pid);
});

endsWithoutResidue(test, daemon);
