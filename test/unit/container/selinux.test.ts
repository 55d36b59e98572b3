// A container's SELinux contexts in its spec, and which sources of its mounts get them.
import test from 'ava';
import { labelWish, podLabels, relabelRequest } from '../../../src/container/selinux.ts';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';

const files = { hosts: '/run/hosts', hostname: '/run/hostname', resolvConf: '/run/resolv.conf' };
const limits = { directories: ['/'], trees: ['/usr'] };
const labels = { process: 'u:r:container_t:s0:c1,c2', mount: 'u:object_r:f_t:s0:c1,c2' };
const mount = (hostPath: string, containerPath: string, selinuxRelabel: boolean) => ({
  containerPath,
  hostPath,
  readonly: false,
  selinuxRelabel,
  propagation: 'private' as const,
  recursiveReadOnly: false,
  image: null,
  imageSubPath: '',
  mountOptions: [],
});

test('the host’s pid and ipc namespaces are told, the pod’s options too', (t) => {
  const base = containerConfig();
  const sandbox = (security: object): Sandbox =>
    ({
      identity: { config: { ...sandboxConfig(), security: { ...sandboxConfig().security, ...security } } },
    }) as Sandbox;
  t.false(labelWish(base, sandbox({})).hostNamespaces);
  const inHost = {
    ...base,
    security: { ...base.security, namespaces: { ...base.security.namespaces, pid: 'node' as const } },
  };
  t.true(labelWish(inHost, sandbox({})).hostNamespaces);
  const namespaces = { ...sandboxConfig().security.namespaces, ipc: 'node' };
  const options = { user: '', role: '', type: 't', level: '' };
  t.like(labelWish(base, sandbox({ namespaces, selinux: options })), { hostNamespaces: true, podOptions: options });
});

test('sources that ask for it and the pod’s files get the container’s context', (t) => {
  const config = containerConfig({
    mounts: [mount('/a', '/a', true), mount('/b', '/b', false), mount('/kubelet/hosts', '/etc//hosts', true)],
  });
  t.deepEqual(relabelRequest({ identity: { config, selinux: labels }, files, limits }), {
    label: labels.mount,
    sources: ['/a', '/kubelet/hosts'],
    files: ['/run/hostname', '/run/resolv.conf'],
    refused: ['/'],
    refusedTrees: ['/usr'],
  });
});

test('without contexts nothing is labelled, and volumes of spc_t are left', (t) => {
  const config = containerConfig({ mounts: [mount('/a', '/a', true)] });
  const of = (selinux: typeof labels | undefined) =>
    relabelRequest({ identity: { config, ...(selinux ? { selinux } : {}) }, files, limits });
  t.is(of(undefined), null);
  t.is(of({ process: '', mount: '' }), null);
  t.deepEqual(of({ ...labels, process: 'u:r:spc_t:s0' })?.sources, []);
  t.deepEqual(of({ ...labels, process: '' })?.sources, ['/a']);
});

test('gVisor gets no contexts', (t) => {
  const of = (type: string) => podLabels({ identity: { selinux: labels, runtime: { type } } } as unknown as Sandbox);
  t.is(of('runsc'), null);
  t.is(of('oci'), labels);
});
