// Calls that meet each other half-way: what one leaves must not be undone, or forgotten, by the other.
import test from 'ava';
import { Failure, failedPrecondition } from '../../../src/lib/failure.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';
import { fakeHost } from '../../helpers/fake-host.ts';

const input = { config: sandboxConfig(), runtimeHandler: '' };
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));

test('a monitor that comes up after the cgroup has failed is not left behind', async (t) => {
  const host = fakeHost();
  const { launch } = host.hands.monitor;
  host.hands.monitor.launch = async (id) => {
    await soon();
    return launch(id);
  };
  host.failAtCall(1); // sandbox record, cgroup
  await t.throwsAsync(host.run(input), { message: /cgroup.create/ });
  await soon();
  await soon();
  t.deepEqual([...host.resources], []);
});

test('a writable layer that is ready after the seccomp profile was refused is not left behind', async (t) => {
  const host = fakeHost();
  const sandboxId = await host.run(input);
  const before = [...host.resources];
  const { prepare } = host.hands.snapshots;
  host.hands.snapshots.prepare = async (id) => {
    await soon();
    return prepare(id);
  };
  host.refuseSeccomp(failedPrecondition('no such profile'));
  await t.throwsAsync(host.create({ sandboxId, config: containerConfig() }), { instanceOf: Failure, message: 'no such profile' });
  await soon();
  await soon();
  t.deepEqual([...host.resources], before);
});
