// Too few processes and threads: each call says so or comes out right, and all goes on when there may be more.
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { pull } from '../helpers/pods.ts';
import { ChildCgroup } from './child-cgroup.ts';
import { endsWell, livePod, pullUnder, Scarcity, type Shortage } from './shortage.ts';

const daemon = useDaemon(test);
test.before('an image', () => pull(daemon));

const cgroup = new ChildCgroup('pids');
const serial = cgroup.missing === null ? test.serial : test.serial.skip;
const why = cgroup.missing === null ? '' : ` [${cgroup.missing}]`;

const processes: Shortage = {
  limit: (more) => cgroup.write('pids.max', String(Number(cgroup.read('pids.current')) + more)),
  lift: () => cgroup.write('pids.max', 'max'),
  reason: /(errno 11|EAGAIN|temporarily unavailable|a thread cannot be started).*pids cgroup/,
};

/** From fewer than there are, to as many as the greediest verb needs. */
const heights = Array.from({ length: 10 }, (_, n) => n - 1);

serial(`each verb of a pod, and a pull, with few processes${why}`, async (t) => {
  t.timeout(9 * 60_000);
  const { pid } = daemon;
  cgroup.hold(pid);
  t.teardown(() => cgroup.remove());
  const scarcity = new Scarcity(t, processes);
  for (const more of heights) {
    await livePod(daemon, scarcity, more);
    if (more % 2 === 0) await pullUnder(daemon, scarcity, more);
  }
  t.log(scarcity.failures);
  for (const verb of ['RunPodSandbox', 'PullImage'])
    t.true((scarcity.failures[verb] ?? 0) > 0, `${verb} met the limit`);
  await endsWell(t, daemon, pid);
});

endsWithoutResidue(test, daemon);
