import test from 'ava';
import type { ContainerConfig } from '../../../src/container/container.ts';
import { checkUser, checkUserNamespace, ociIds } from '../../../src/container/user-namespace.ts';
import { Failure, failureChain } from '../../../src/lib/failure.ts';
import type { UserNamespace } from '../../../src/sandbox/sandbox.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';
import { fakeHost } from '../../helpers/fake-host.ts';

const range = (hostId: number) => ({ containerId: 0, hostId, length: 1000 });
const ids = (hostId: number): UserNamespace => ({ uids: range(hostId), gids: range(hostId) });

const podConfig = (userns: UserNamespace | null) => {
  const config = sandboxConfig();
  const { security } = config;
  return { ...config, security: { ...security, namespaces: { ...security.namespaces, userns } } };
};

const pod = (userns: UserNamespace | null) =>
  ({ identity: { id: 'p', config: podConfig(userns) } }) as unknown as Parameters<typeof checkUserNamespace>[1];

const config = (namespaces: object, mounts: readonly object[] = []): ContainerConfig => {
  const base = containerConfig();
  const { security } = base;
  return {
    ...base,
    mounts: mounts as ContainerConfig['mounts'],
    security: { ...security, namespaces: { ...security.namespaces, ...namespaces } },
  };
};

test('a container repeats its pod or says nothing', (t) => {
  for (const pods of [ids(5), null]) {
    t.notThrows(() => checkUserNamespace(config({}), pod(pods)));
    t.notThrows(() => checkUserNamespace(config({ userns: pods && ids(5) }), pod(pods)));
  }
  t.notThrows(() => checkUserNamespace(config({}, [{ ids: ids(5), propagation: 'host-to-container' }]), pod(ids(5))));
});

for (const [what, pods, asked, message] of [
  ['other ids', ids(5), config({ userns: ids(6) }), /userns_options is not that of sandbox p/],
  ["the host's in a pod with one", ids(5), config({ userns: null }), /userns_options is not/],
  ["one in a pod with the host's", null, config({ userns: ids(5) }), /userns_options is not/],
  ["the host's pids", ids(5), config({ pid: 'node' }), /namespace_options.pid: NODE/],
  ['a mount by other ids', ids(5), config({}, [{ propagation: 'private', ids: ids(6) }]), /mounts\[0\].uidMappings/],
  ['a mount by ids in a pod without', null, config({}, [{ propagation: 'private', ids: ids(5) }]), /mounts\[0\].uidM/],
  ['mounts that come out', ids(5), config({}, [{ propagation: 'bidirectional' }]), /mounts\[0\].propagation/],
] as const) {
  test(`refused: ${what}`, (t) => {
    const error = t.throws(() => checkUserNamespace(asked, pod(pods)), { instanceOf: Failure, message });
    t.is(error?.kind, 'invalid-argument');
  });
}

test('users and groups must have an id outside', (t) => {
  const user = { uid: 999, gid: 0, groups: [5], home: '/' };
  t.notThrows(() => checkUser(user, ids(5)));
  t.notThrows(() => checkUser({ ...user, uid: 70_000 }, null));
  t.throws(() => checkUser({ ...user, uid: 1000 }, ids(5)), { message: /^user 1000 is not mapped .* ids 0 to 999$/ });
  t.throws(() => checkUser({ ...user, gid: 1000 }, ids(5)), { message: /^group 1000 is not mapped/ });
  t.throws(() => checkUser({ ...user, groups: [1, 4000] }, ids(5)), { message: /^group 4000 is not mapped/ });
});

test('the spec names the ids', (t) => {
  const line = [{ containerID: 0, hostID: 5, size: 1000 }];
  t.deepEqual(ociIds(ids(5)), { uidMappings: line, gidMappings: line });
  t.is(ociIds(null), null);
});

test('where the kernel cannot, the pod is refused and why is said; pods without are not asked', async (t) => {
  const host = fakeHost();
  host.refuseUserNamespaces('no idmapped mounts');
  const error = await t.throwsAsync(host.run({ config: podConfig(ids(5)), runtimeHandler: '' }), {
    instanceOf: Failure,
  });
  t.is(error?.kind, 'failed-precondition');
  t.regex(failureChain(error), /cannot have user namespaces on this node: no idmapped mounts/);
  await t.notThrowsAsync(host.run({ config: podConfig(null), runtimeHandler: '' }));
});
