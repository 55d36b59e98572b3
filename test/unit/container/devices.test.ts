// Devices in a container's spec, by what the node's settings say of them.
import test from 'ava';
import { planContainer, type PlanContainerInput } from '../../../src/container/plan.ts';
import type { SandboxId } from '../../../src/lib/id.ts';
import { devicesAnnotation } from '../../../src/oci/devices.ts';
import { noBase } from '../../../src/oci/base-spec.ts';
import { noEdits } from '../../../src/oci/edits.ts';
import type { Sandbox } from '../../../src/sandbox/sandbox.ts';
import { containerConfig, sandboxConfig } from '../../helpers/builders.ts';
import { image } from '../../helpers/fake-host.ts';

const sandbox = { identity: { id: 's' as SandboxId, config: sandboxConfig() } } as unknown as Sandbox;
const device = { hostPath: '/dev/fuse', containerPath: '/dev/fuse', permissions: 'rw' };
const base = containerConfig({ devices: [device] });

function devicesOf(security: object, host: Partial<PlanContainerInput['host']>) {
  const config = { ...base, security: { ...base.security, ...security } };
  const limits = {
    capabilities: [],
    defaultCapabilities: [],
    rlimits: {},
    ownCgroupNamespace: true,
    noWritableCgroups: null,
  };
  const { annotations, linux } = planContainer({
    id: 'c',
    config,
    sandbox,
    image: image.config,
    user: { uid: 5, gid: 6, groups: [6], home: '/' },
    cgroupPath: '/c',
    netns: null,
    files: { hosts: '/h', hostname: '/n', resolvConf: '/r' },
    hostname: 'h',
    mounts: [],
    edits: noEdits,
    base: noBase,
    hooks: () => [],
    apparmor: '',
    selinux: undefined,
    host: { ...limits, privilegedDevices: true, ownedDevices: false, ...host },
  });
  return { asked: JSON.parse(annotations[devicesAnnotation] ?? '[]') as object[], rules: linux.resources.devices };
}

const everything = { hostPath: '/dev', containerPath: '/dev', permissions: 'rwm' };

test('a privileged container has all devices of the host, unless the node says otherwise', (t) => {
  t.deepEqual(devicesOf({}, {}).asked, [device]);
  const all = devicesOf({ privileged: true }, {});
  t.deepEqual(all.asked, [everything, device]);
  t.deepEqual(all.rules, [{ allow: true, access: 'rwm' }]);
  const few = devicesOf({ privileged: true }, { privilegedDevices: false });
  t.deepEqual(few.asked, [device]);
  t.like(few.rules[0], { allow: false });
});

test('devices belong to whom the container asks to run as, if the node says so', (t) => {
  const host = { ownedDevices: true };
  t.deepEqual(devicesOf({ runAsUser: 1000 }, {}).asked, [device]);
  t.deepEqual(devicesOf({ runAsUser: 1000, runAsGroup: 7 }, host).asked, [{ ...device, uid: 1000, gid: 7 }]);
  t.deepEqual(devicesOf({ runAsUser: 1000 }, host).asked, [{ ...device, uid: 1000 }]);
  t.deepEqual(devicesOf({}, host).asked, [device], "an image's user is no wish");
  t.deepEqual(devicesOf({ privileged: true, runAsUser: 1 }, host).asked[0], everything, 'not those of the host');
});
