// The seccomp compiler through the real addon.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import test from 'ava';
import type { LinuxSeccomp } from '../../src/oci/seccomp-default.ts';
import { defaultSeccompProfile } from '../../src/oci/seccomp-default.ts';
import { NativeError } from '../../src/native/errors.ts';
import { loadNative } from '../../src/native/load.ts';

const addon = process.env['PODWRIGHT_ADDON'] ?? resolve('dist/addon.node');
const cannotRun = existsSync(addon) ? null : `no addon at ${addon}: run hack/build.sh`;
const real = cannotRun === null ? test : test.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} (${cannotRun})`);

const machine = process.arch === 'arm64' ? 'arm64' : 'x64';
const compile = (profile: unknown) => loadNative(addon).seccompCompile({ profileJson: JSON.stringify(profile) });

real(title('the default profile compiles to a short program'), (t) => {
  const { bpf, flags, instructions } = compile(defaultSeccompProfile([], machine));
  t.is(Buffer.from(bpf, 'base64').length, instructions * 8);
  t.true(instructions > 50 && instructions < 400, String(instructions));
  t.is(flags, 4, 'SECCOMP_FILTER_FLAG_SPEC_ALLOW');
});

real(title('equal texts give equal programs, others do not'), (t) => {
  const one = compile(defaultSeccompProfile([], machine));
  t.deepEqual(compile(defaultSeccompProfile([], machine)), one);
  t.notDeepEqual(compile(defaultSeccompProfile(['CAP_SYS_ADMIN'], machine)), one);
});

real(title('values of 64 bits pass'), (t) => {
  const text =
    '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]}]}';
  const { bpf } = loadNative(addon).seccompCompile({ profileJson: text });
  t.true(Buffer.from(bpf, 'base64').includes(Buffer.from('ffffffff', 'hex')));
});

real(title('a bad profile is named'), (t) => {
  const profile = (rule: object): LinuxSeccomp =>
    ({
      defaultAction: 'SCMP_ACT_ALLOW',
      architectures: [],
      syscalls: [{ names: ['read'], action: 'SCMP_ACT_LOG', ...rule }],
    }) as LinuxSeccomp;
  const table: [unknown, RegExp][] = [
    [{}, /defaultAction/],
    [profile({ action: 'SCMP_ACT_WAVE' }), /SCMP_ACT_WAVE/],
    [profile({ args: [{ index: 9, value: 0, op: 'SCMP_CMP_EQ' }] }), /index "9"/],
    [profile({ args: [{ index: 0, value: 0, op: 'EQ' }] }), /op "EQ"/],
    [profile({ names: Array.from({ length: 5000 }, () => 'read') }), /5000 system call names/],
    [profile({ includes: { caps: ['CAP_BPF'] } }), /includes/],
    [{ ...profile({}), architectures: ['SCMP_ARCH_PDP11'] }, /PDP11/],
  ];
  for (const [bad, message] of table) {
    const error = t.throws(() => compile(bad), { instanceOf: NativeError, message });
    t.is(error?.syscall, 'seccomp-profile');
  }
});
