// Wrong values of images and of what a registry is told.
import { anything, fine, line, type Row, type Rows, textMap, wrong } from './row.ts';

const unreadable: readonly Row[] = [
  wrong('upper case', 'registry.invalid/Upper/case:1', { host: true }),
  wrong('a space', 'busy box', { host: true }),
  wrong('no repository', ':tag', { host: true }),
  wrong('a digest that is none', 'busybox@sha256:beef', { host: true }),
  wrong('a path', '../../etc/passwd', { host: true }),
  wrong('a host of 300 letters', `${'h'.repeat(300)}.invalid/x`, { host: true }),
];

const secret: readonly Row[] = [wrong('a NUL byte', 'a\0b')];

export const imageRows: Rows = {
  'PullImageRequest.image': [wrong('missing', undefined)],
  'ImageStatusRequest.image': [wrong('missing', undefined)],
  'RemoveImageRequest.image': [wrong('missing', undefined)],
  'ImageSpec.image': [
    wrong('a NUL byte', 'busy\0box'),
    wrong('a line break', 'busy\nbox'),
    wrong('256 kB', 'b'.repeat(256 * 1024)),
    wrong('empty', '', { at: /^(?!ListImages|StreamImages)/ }),
    fine('empty: all images', '', { at: /^ListImages/ }),
    ...unreadable,
    wrong('it was not pulled', 'registry.invalid/not/pulled:1', {
      code: 'NOT_FOUND',
      at: /^CreateContainer .*config\.image\.image$/,
      host: true,
    }),
    fine('it is not there', 'registry.invalid/not/pulled:1', { at: /^(ImageStatus|RemoveImage|ListImages) / }),
  ],
  'ImageSpec.user_specified_image': line.map((row) => ({ ...row, at: /^(PullImage|CreateContainer) / })),
  'ImageSpec.runtime_handler': [...line, wrong('nobody has configured it', 'kata')],
  'ImageSpec.annotations': textMap.map((row) => ({ ...row, at: /^(PullImage|CreateContainer) / })),

  'AuthConfig.username': secret,
  'AuthConfig.password': secret,
  'AuthConfig.auth': [
    wrong('not base64', '***', { host: true }),
    wrong('base64 without a colon', Buffer.from('user').toString('base64'), { host: true }),
  ],
  'AuthConfig.server_address': line,
  'AuthConfig.identity_token': secret,
  'AuthConfig.registry_token': [...secret, wrong('a line break: it would be a header', 'a\r\nX-Y: z', { host: true })],

  // the kubelet's call must succeed; what is no network is told in the log
  'NetworkConfig.pod_cidr': anything('it is told in the log only'),
};
