// Suites that run in a machine of hack/testbed: what the machine must be, and which files run there.
// Used by hack/run-suites.mjs, which runs and counts. Must not run a test itself.
import { spawnSync } from 'node:child_process';

/** Seconds in which a machine must be there: user-mode Linux is built once, 13 minutes of one CPU on a quiet machine. */
const makeLimit = 1800;
/** Seconds in which one that is made must have started and ended. */
const bootLimit = 300;

const driver = (name) => ({ PODWRIGHT_TEST_CGROUP_DRIVER: name });

/**
 * Suites by name: `options` go to hack/testbed, `env` to the tests. What runs are `files`, or all of `suites` with their
 * scripts. `tool` is a part of the test kit that no other suite needs. Where no machine can be had an `optional` suite is
 * skipped with the reason. `without`: files that the machine cannot run, and why.
 */
export const machines = {
  'vm-checkpoint': { tool: 'criu', options: ['-e', 'qemu', '-m', '4096'], files: ['test/vm/checkpoint.test.ts'] },
  'vm-selinux': {
    tool: 'secilc',
    options: ['-e', 'qemu', '-m', '4096', '--append', 'security=selinux'],
    files: ['test/vm/selinux.test.ts'],
  },
  'vm-power': {
    tool: 'dmsetup',
    options: ['-m', '3072'],
    files: ['power', 'power-flakey', 'disk-errors'].map((name) => `test/vm/${name}.test.ts`),
  },
  'vm-limits': {
    options: ['-m', '3072'],
    files: ['host-limits', 'host-keys', 'host-watches'].map((name) => `test/vm/${name}.test.ts`),
  },
  'vm-disk': { options: [], files: ['test/system/disk-limits.test.ts'] },
  'vm-qemu': {
    options: ['-e', 'qemu', '-c', '2', '-m', '2048'],
    files: ['test/vm/cpuset-hugetlb.test.ts', 'test/system/io-weight.test.ts'],
  },
  'vm-service': {
    options: ['-m', '4096', '--init', 'systemd'],
    env: driver('systemd'),
    files: ['test/vm/service.test.ts'],
  },
  'vm-v2': { tool: 'apparmor', options: ['-m', '4096'], env: driver('cgroupfs'), suites: ['system', 'conformance'] },
  'vm-systemd': {
    tool: 'apparmor',
    options: ['-m', '4096', '--init', 'systemd'],
    env: driver('systemd'),
    suites: ['system', 'conformance'],
  },
  'vm-smoke': {
    options: ['-m', '2048', '--boot-timeout', '120', '--timeout', '1200'],
    env: driver('cgroupfs'),
    files: ['limits', 'limits-effects', 'limits-v2', 'writable-cgroups'].map((name) => `test/system/${name}.test.ts`),
    optional: true,
  },
};

/** Names that stand for several suites. */
export const several = { vm: ['vm-v2', 'vm-systemd'] };

/** Why a machine with these options cannot be had here, null when it can: it is made, started and ended to see. */
export function whyNoMachine(options) {
  if (process.env['TESTBED'] !== undefined) return 'this is a machine of hack/testbed already';
  if (process.arch !== 'x64') return `hack/testbed makes no machine for ${process.arch}`;
  const engine = options.includes('-e') ? ['-e', options[options.indexOf('-e') + 1]] : [];
  return (
    attempt(makeLimit, ['prepare', ...engine]) ??
    attempt(bootLimit, ['run', ...options, '--timeout', '120', '--', 'true'])
  );
}

/** Runs hack/testbed for at most so many seconds; null when it succeeds, else its last words. */
function attempt(limit, words) {
  // timeout(1) ends the whole group: compilers too
  const args = ['--kill-after=30', String(limit), 'hack/testbed', ...words];
  const { status, stderr, error } = spawnSync('timeout', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status === 0) return null;
  if (status === 124 || status === 137) return `hack/testbed ${words[0]} took more than ${limit} s`;
  return (stderr ?? '').trim().split('\n').at(-1) || error?.message || `hack/testbed ${words[0]} ended with ${status}`;
}
