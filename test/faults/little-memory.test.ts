// Little memory for the daemon: what it can give back it gives back and goes on. That one that is ended for want of memory
// takes nothing with it is in test/system/own-limits.test.ts.
import test from 'ava';
import { legacy } from '../helpers/cgroups.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { mebi } from '../helpers/limits.ts';
import { pull } from '../helpers/pods.ts';
import { ref } from '../helpers/registry.ts';
import { ChildCgroup } from './child-cgroup.ts';

const daemon = useDaemon(test);
test.before('an image', () => pull(daemon));

const cgroup = new ChildCgroup('memory');
const serial = cgroup.missing === null ? test.serial : test.serial.skip;
const why = cgroup.missing === null ? '' : ` [${cgroup.missing}]`;

/** What is charged from now on may be so many bytes; what was before stays where it was. */
const limit = (bytes: number): void => cgroup.write(legacy ? 'memory.limit_in_bytes' : 'memory.max', String(bytes));
const lift = (): void => cgroup.write(legacy ? 'memory.limit_in_bytes' : 'memory.max', legacy ? '-1' : 'max');
/** How often the limit was met. */
const met = (): number =>
  Number(legacy ? cgroup.read('memory.failcnt') : (/^max (\d+)$/m.exec(cgroup.read('memory.events'))?.[1] ?? 0));

/** Far more than the daemon may have. */
const large = ref('bench/big:gzip');

serial(`a pull of more than the daemon may have in memory comes out right${why}`, async (t) => {
  const { pid } = daemon;
  cgroup.hold(pid);
  t.teardown(() => cgroup.remove());
  limit(48 * mebi);
  await pull(daemon, large);
  t.true(met() > 0, 'the limit was met');
  lift();
  t.is(daemon.pid, pid);
  await daemon.image.RemoveImage({ image: { image: large } });
});

endsWithoutResidue(test, daemon);
