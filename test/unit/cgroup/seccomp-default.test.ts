import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { defaultCapabilities } from '../../../src/oci/capabilities.ts';
import { defaultSeccompProfile, type LinuxSeccomp } from '../../../src/oci/seccomp-default.ts';

const golden = (name: string): URL => new URL(`../../../native/crates/seccomp/tests/${name}`, import.meta.url);

const allowed = (profile: LinuxSeccomp, name: string): boolean =>
  profile.syscalls.some(
    (rule) => rule.action === 'SCMP_ACT_ALLOW' && rule.args === undefined && rule.names.includes(name),
  );

test('the profiles the compiler is tested with are these', (t) => {
  const profiles = {
    'default-x64.json': defaultSeccompProfile(defaultCapabilities, 'x64'),
    'admin-arm64.json': defaultSeccompProfile([...defaultCapabilities, 'CAP_SYS_ADMIN'], 'arm64'),
  };
  for (const [name, profile] of Object.entries(profiles)) {
    const text = `${JSON.stringify(profile, null, 1)}\n`;
    // PODWRIGHT_GOLDEN=write renews the files after a wanted change.
    if (process.env['PODWRIGHT_GOLDEN'] === 'write') writeFileSync(golden(name), text);
    t.is(readFileSync(golden(name), 'utf8'), text, name);
  }
});

test('a capability brings its calls and no others', (t) => {
  const none = defaultSeccompProfile([], 'x64');
  for (const name of ['mount', 'reboot', 'chroot', 'bpf', 'clone', 'clone3', 'unshare', 'init_module', 'keyctl'])
    t.false(allowed(none, name), name);
  for (const name of ['read', 'ptrace', 'arch_prctl']) t.true(allowed(none, name), name);
  t.true(allowed(defaultSeccompProfile(['CAP_SYS_CHROOT'], 'x64'), 'chroot'));
  t.true(allowed(defaultSeccompProfile(['CAP_BPF'], 'x64'), 'bpf'));
  t.false(allowed(defaultSeccompProfile(['CAP_BPF'], 'x64'), 'mount'));
  t.false(allowed(defaultSeccompProfile(['CAP_SYS_ADMIN'], 'x64'), 'keyctl'));
});

test('clone is free only for CAP_SYS_ADMIN; clone3 is unknown to the others', (t) => {
  const rules = (profile: LinuxSeccomp, name: string) => profile.syscalls.filter((rule) => rule.names.includes(name));
  const plain = defaultSeccompProfile(defaultCapabilities, 'x64');
  t.deepEqual(
    rules(plain, 'clone3').map((r) => [r.action, r.errnoRet]),
    [['SCMP_ACT_ERRNO', 38]],
  );
  t.deepEqual(
    rules(plain, 'clone').map((r) => r.args?.length),
    [1],
  );
  const admin = defaultSeccompProfile(['CAP_SYS_ADMIN'], 'x64');
  t.true(allowed(admin, 'clone') && allowed(admin, 'clone3'));
  t.is(rules(admin, 'clone').length, 1);
});

test('equal sets of capabilities give equal profiles', (t) => {
  const one = defaultSeccompProfile(['CAP_SYS_TIME', 'CAP_BPF', 'CAP_CHOWN'], 'x64');
  const other = defaultSeccompProfile(['CAP_KILL', 'CAP_BPF', 'CAP_SYS_TIME', 'CAP_BPF'], 'x64');
  t.is(JSON.stringify(one), JSON.stringify(other));
});

test('machines differ in their own calls and architectures', (t) => {
  const arm = defaultSeccompProfile([], 'arm64');
  t.deepEqual(arm.architectures, ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
  t.true(allowed(arm, 'set_tls'));
  t.false(allowed(arm, 'arch_prctl'));
});
