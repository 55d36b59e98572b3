// Wrong values of security contexts.
import { absolutePath, fine, hugeList, line, type Row, type Rows, wrong } from './row.ts';

const ids: readonly Row[] = [
  wrong('negative', ['-1']),
  wrong('2^32 - 1, which means "leave it"', ['4294967295']),
  wrong('2^53', ['9007199254740992']),
  wrong('64 Ki of them', hugeList('1')),
];

const capabilities: readonly Row[] = [
  wrong('an unknown name', ['NO_SUCH_THING']),
  wrong('an empty name', ['']),
  wrong('a NUL byte', ['SYS\0ADMIN']),
  wrong('64 Ki of them', hugeList('CHOWN')),
  fine('with or without CAP_, in any case', ['cap_chown', 'KILL']),
];

const seccompPath: readonly Row[] = [
  wrong('an unknown word', 'default'),
  wrong('localhost without a path', 'localhost/'),
  wrong('a NUL byte', 'localhost//a\0b'),
  wrong('a relative path', 'localhost/profile.json'),
];

const mapping = { container_id: 0, host_id: 1000, length: 100_000 };
const mappings: readonly Row[] = [
  wrong('none', [], { beside: { mode: 'POD' } }),
  wrong('of one kind only', [mapping], { beside: { mode: 'POD' } }),
  wrong('two', [mapping, { ...mapping, container_id: 100_000 }], { beside: { mode: 'POD' } }),
  wrong("with the host's user namespace", [mapping], { beside: { mode: 'NODE' } }),
];

const labelPart = [...line, wrong('a colon', 'a:b:c'), wrong('a quote', 'a"b'), wrong('a blank', 'a b')];

export const securityRows: Rows = {
  'Int64Value.value': [
    wrong('negative', '-1'),
    wrong('2^32 - 1, which means "leave it" to chown(2)', '4294967295'),
    wrong('2^53, which a number does not hold', '9007199254740993'),
    wrong('the least int64', '-9223372036854775808'),
  ],
  'LinuxSandboxSecurityContext.run_as_group': [wrong('without run_as_user', { value: '1' })],
  'LinuxContainerSecurityContext.run_as_group': [wrong('without run_as_user or run_as_username', { value: '1' })],
  'LinuxContainerSecurityContext.run_as_username': [
    ...line,
    wrong('beside run_as_user', 'root', { beside: { run_as_user: { value: '1' } } }),
    wrong('the image does not know it', 'nobody-of-that-name', { code: 'FAILED_PRECONDITION', host: true }),
  ],
  'LinuxSandboxSecurityContext.supplemental_groups': ids,
  'LinuxContainerSecurityContext.supplemental_groups': ids,
  'LinuxContainerSecurityContext.privileged': [
    wrong('in a pod that is not', true, { code: 'FAILED_PRECONDITION', at: /^CreateContainer/ }),
  ],
  'LinuxContainerSecurityContext.masked_paths': [
    wrong('a relative one', ['proc']),
    wrong('an empty one', ['']),
    wrong('a NUL byte', ['/a\0b']),
    wrong('64 Ki of them', hugeList('/proc/acpi')),
    fine('nothing is there', ['/no/such/path']),
  ],
  'LinuxContainerSecurityContext.readonly_paths': [
    wrong('a relative one', ['proc']),
    wrong('an empty one', ['']),
    wrong('a NUL byte', ['/a\0b']),
    wrong('64 Ki of them', hugeList('/proc/bus')),
    fine('nothing is there', ['/no/such/path']),
  ],
  'LinuxSandboxSecurityContext.seccomp_profile_path': seccompPath,
  'LinuxContainerSecurityContext.seccomp_profile_path': seccompPath,
  'LinuxContainerSecurityContext.apparmor_profile': [
    wrong('an unknown word', 'default'),
    wrong('localhost without a name', 'localhost/'),
    wrong('a NUL byte', 'localhost/a\0b'),
    wrong('no such profile', 'localhost/no-such-profile', { code: 'FAILED_PRECONDITION', host: true }),
  ],
  'SELinuxOption.user': labelPart,
  'SELinuxOption.role': labelPart,
  'SELinuxOption.type': labelPart,
  'SELinuxOption.level': [
    ...labelPart,
    wrong('categories without a sensitivity', 'c1,c2'),
    wrong('an option behind it', 's0:c1,c2",uid=0'),
    wrong('a comma at its end', 's0:c1,'),
  ],
  'SecurityProfile.localhost_ref': [
    wrong('beside another type', '/profile.json', { beside: { profile_type: 'Unconfined' } }),
    ...absolutePath.map((row) => ({ ...row, beside: { profile_type: 'Localhost' }, at: /\.seccomp\./ })),
    ...[wrong('empty', ''), ...line].map((row) => ({
      ...row,
      beside: { profile_type: 'Localhost' },
      at: /\.apparmor\./,
    })),
    wrong('no such profile', 'no-such-profile', {
      beside: { profile_type: 'Localhost' },
      code: 'FAILED_PRECONDITION',
      at: /^CreateContainer.*\.apparmor\./,
      host: true,
    }),
    wrong('nothing is there', '/no/such/profile.json', {
      beside: { profile_type: 'Localhost' },
      code: 'FAILED_PRECONDITION',
      // a sandbox has no process that it could be put on
      at: /^CreateContainer.*\.seccomp\./,
      host: true,
    }),
  ],
  'Capability.add_capabilities': capabilities,
  'Capability.drop_capabilities': capabilities,
  'Capability.add_ambient_capabilities': capabilities,

  'NamespaceOption.network': [wrong("a container's own", 'CONTAINER'), wrong('of another container', 'TARGET')],
  'NamespaceOption.ipc': [wrong("a container's own", 'CONTAINER'), wrong('of another container', 'TARGET')],
  'NamespaceOption.target_id': [wrong('without TARGET', 'f'.repeat(64))],
  'UserNamespace.mode': [wrong("a container's own", 'CONTAINER'), wrong('of another container', 'TARGET')],
  'UserNamespace.uids': mappings,
  'UserNamespace.gids': mappings,
  'IDMapping.container_id': [wrong('id 0 is not mapped', 1, { beside: { host_id: 1000, length: 10 } })],
  'IDMapping.host_id': [wrong('ends above the largest id', 0xffff_fff0, { beside: { length: 16 } })],
  'IDMapping.length': [wrong('none', 0), wrong('more than there are', 0xffff_ffff, { beside: { host_id: 1 } })],
};
