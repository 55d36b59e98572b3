// Mounts and targets of a container's request: what contradicts itself is refused by its name.
import test from 'ava';
import { decodeContainerConfig } from '../../../src/cri/convert/container.ts';
import { Failure } from '../../../src/lib/failure.ts';
import { criMessage } from '../../../src/proto/cri-codec.ts';

const codec = criMessage('ContainerConfig');
const containerOf = (config: object) => decodeContainerConfig(codec.deserialize(codec.serialize(config)) as never);

const box = { metadata: { name: 'c', attempt: 1 }, image: { image: 'busybox' } };
const secured = (security_context: object) => ({ ...box, linux: { security_context } });
const mount = { container_path: '/d', host_path: '/h' };

const cases: [string, object][] = [
  [
    'config.mounts[0].mount_options[1] "size=1" is not a mount option that can be given here',
    { ...box, mounts: [{ ...mount, mount_options: ['noexec', 'size=1'] }] },
  ],
  ['config.mounts[0].host_path is set beside image', { ...box, mounts: [{ ...mount, image: { image: 'x' } }] }],
  ['config.mounts[0].image.image is empty', { ...box, mounts: [{ container_path: '/d', image: {} }] }],
  ['config.mounts[0].image_sub_path is set without image', { ...box, mounts: [{ ...mount, image_sub_path: 'x' }] }],
  [
    'config.mounts[0].image_sub_path contains a NUL byte',
    { ...box, mounts: [{ container_path: '/d', image: { image: 'x' }, image_sub_path: 'a\0' }] },
  ],
  [
    'config.mounts[0].propagation of an image can only be private',
    {
      ...box,
      mounts: [{ container_path: '/d', image: { image: 'x' }, propagation: 'PROPAGATION_HOST_TO_CONTAINER' }],
    },
  ],
  [
    'config.linux.security_context.namespace_options.target_id is empty, but pid is TARGET',
    secured({ namespace_options: { pid: 'TARGET' } }),
  ],
  [
    'config.linux.security_context.namespace_options.target_id is set, but pid is not TARGET',
    secured({ namespace_options: { target_id: 'x' } }),
  ],
];

for (const [message, config] of cases) {
  test(`refused: ${message}`, (t) => {
    const error = t.throws(() => containerOf(config), { instanceOf: Failure });
    t.is(error?.kind, 'invalid-argument');
    t.is(error?.message, message);
  });
}
