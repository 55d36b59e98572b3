// Wrong values of containers.
import { isShared } from '../helpers/mount-table.ts';
import {
  absolutePath,
  anyPath,
  fine,
  goneId,
  hugeList,
  name,
  notNegative,
  objectId,
  type Rows,
  textMap,
  words,
  wrong,
} from './row.ts';

const kilobytes256 = Buffer.alloc(256 * 1024, 'n');

const ids = [{ container_id: 0, host_id: 1000, length: 65_536 }];

export const containerRows: Rows = {
  'CreateContainerRequest.pod_sandbox_id': objectId,
  'CreateContainerRequest.config': [wrong('missing', undefined)],
  'StartContainerRequest.container_id': objectId,
  'StopContainerRequest.container_id': goneId,
  'StopContainerRequest.timeout': notNegative,
  'RemoveContainerRequest.container_id': goneId,
  'ContainerStatusRequest.container_id': objectId,
  'ContainerStatsRequest.container_id': objectId,
  'ReopenContainerLogRequest.container_id': objectId,
  'UpdateContainerResourcesRequest.container_id': objectId,
  'UpdateContainerResourcesRequest.linux': [
    wrong('missing', undefined),
    wrong('missing beside windows', undefined, { beside: { windows: {} } }),
  ],
  'UpdateContainerResourcesRequest.annotations': textMap,
  'ExecSyncRequest.container_id': objectId,
  'ExecSyncRequest.cmd': [
    wrong('no word', []),
    wrong('no program', ['']),
    ...words,
    wrong('a program that is not there', ['/no/such/program'], { code: 'FAILED_PRECONDITION', host: true }),
    wrong('a directory', ['/tmp'], { code: 'FAILED_PRECONDITION', host: true }),
  ],
  'ExecSyncRequest.timeout': notNegative,

  'ContainerConfig.metadata': [wrong('missing', undefined)],
  'ContainerConfig.image': [wrong('missing', undefined)],
  'ContainerConfig.linux': [wrong('missing beside windows', undefined, { beside: { windows: {} } })],
  'ContainerMetadata.name': name,
  'ContainerMetadata.attempt': [fine('the largest', 4294967295, { at: /^CreateContainer/ })],
  'ContainerConfig.command': [
    wrong('no program', ['']),
    ...words,
    // whether it is there is seen when it is started
    fine('a program that is not there', ['/no/such/program']),
  ],
  'ContainerConfig.args': words,
  'ContainerConfig.working_dir': [...anyPath, fine('relative: it counts from the root', 'tmp', { host: true })],
  'ContainerConfig.labels': textMap,
  'ContainerConfig.annotations': textMap,
  'ContainerConfig.log_path': [
    wrong('absolute', '/x.log'),
    wrong('it leaves the log_directory', '../x.log'),
    wrong('it leaves the log_directory by a way round', 'a/../../x.log'),
    ...anyPath.filter(({ value }) => !String(value).startsWith('/')),
    wrong('a NUL byte', 'a\0b'),
    wrong('a name longer than NAME_MAX', 'n'.repeat(256)),
    wrong('longer than PATH_MAX', 'a/'.repeat(2100)),
  ],
  'ContainerConfig.envs': [
    fine('one key twice: the later one counts', [
      { key: 'A', value: Buffer.from('1') },
      { key: 'A', value: Buffer.from('2') },
    ]),
    wrong('64 Ki of them', hugeList({ key: 'A', value: Buffer.from('1') })),
  ],
  'KeyValue.key': [wrong('an equals sign', 'A=B'), ...name],
  'KeyValue.value': [
    wrong('not UTF-8', Buffer.from([0xff, 0xfe])),
    wrong('a NUL byte', Buffer.from('a\0b')),
    wrong('longer than MAX_ARG_STRLEN', kilobytes256),
    wrong('together with its key longer than MAX_ARG_STRLEN', kilobytes256.subarray(0, 131_070)),
    fine('line breaks', Buffer.from('a\nb')),
  ],

  'ContainerConfig.mounts': [wrong('64 Ki of them', hugeList({ container_path: '/mnt', host_path: '/tmp' }))],
  'Mount.container_path': [wrong('the root', '/'), wrong('the root by a way round', '/mnt/..'), ...absolutePath],
  'Mount.host_path': [
    ...absolutePath,
    wrong('nothing is there', '/no/such/path', { code: 'FAILED_PRECONDITION', host: true }),
    wrong('a file in the middle of it', '/etc/passwd/x', { code: 'FAILED_PRECONDITION', host: true }),
  ],
  'Mount.recursive_read_only': [
    wrong('without readonly', true),
    wrong('with propagation', true, { beside: { readonly: true, propagation: 'PROPAGATION_HOST_TO_CONTAINER' } }),
  ],
  'Mount.propagation': [
    wrong('back to a host whose mount is not shared', 'PROPAGATION_BIDIRECTIONAL', {
      code: isShared('/proc') ? 'OK' : ['INVALID_ARGUMENT', 'FAILED_PRECONDITION'],
      beside: { host_path: '/proc/sys' },
      host: true,
    }),
  ],
  'Mount.uidMappings': [
    wrong('without gidMappings', ids),
    wrong('the pod has none', ids, { beside: { gidMappings: ids } }),
  ],
  'Mount.gidMappings': [wrong('without uidMappings', ids)],
  'Mount.image_sub_path': [
    wrong('without an image', 'x'),
    ...anyPath.map((row) => ({ ...row, beside: { host_path: '', image: { image: 'x' } } })),
    // UNKNOWN with the prefix that the kubelet looks for
    wrong('it leaves the image', '../x', { code: 'UNKNOWN', beside: { host_path: '', image: { image: 'x' } } }),
  ],
  'Mount.image': [wrong('beside host_path', { image: 'x' })],
  'Mount.mount_options': [wrong('nobody knows it', ['podwright']), wrong('64 Ki of them', hugeList('noexec'))],
  'ContainerConfig.devices': [wrong('64 Ki of them', hugeList({ host_path: '/dev/null', permissions: 'rwm' }))],
  'Device.container_path': [wrong('relative', 'dev/x'), ...anyPath],
  'Device.host_path': [
    ...absolutePath,
    wrong('nothing is there', '/dev/no-such-device', { code: 'FAILED_PRECONDITION', host: true }),
    wrong('no device', '/etc/passwd', { host: true }),
  ],
  'Device.permissions': [
    wrong('none', ''),
    wrong('an unknown letter', 'rwx'),
    wrong('a letter twice', 'rr'),
    wrong('a line break', 'r\n'),
  ],
  'CDIDevice.name': [...name, wrong('not vendor/class=name', 'gpu0')],

  'ContainerFilter.id': [fine('it selects nothing', 'no such id')],
  'ContainerFilter.pod_sandbox_id': [fine('it selects nothing', 'no such id')],
  'ContainerFilter.label_selector': [fine('it selects nothing', { 'any\nkey': '' })],
  'ContainerStatsFilter.id': [fine('it selects nothing', 'no such id')],
  'ContainerStatsFilter.pod_sandbox_id': [fine('it selects nothing', 'no such id')],
  'ContainerStatsFilter.label_selector': [fine('it selects nothing', { 'any\nkey': '' })],

  'ExecRequest.container_id': objectId,
  'ExecRequest.cmd': [wrong('no word', []), ...words],
  'ExecRequest.stderr': [wrong('beside a terminal, which has one output only', true, { beside: { tty: true } })],
  'AttachRequest.container_id': objectId,
  'AttachRequest.stderr': [wrong('beside a terminal, which has one output only', true, { beside: { tty: true } })],
  'CheckpointContainerRequest.container_id': objectId,
  'CheckpointContainerRequest.location': absolutePath,
  'CheckpointContainerRequest.timeout': notNegative,
};
