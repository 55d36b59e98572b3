// The crates' tests for arm64 under qemu-user: how cargo links and runs them, and which of them cannot run there.
// Used by hack/run-suites.mjs. Must not run anything.

/** Tests by module path that ask the emulator (7.2) for what it has not, each with what that is. */
const cannot = {
  'paths::tests::links_never_lead_out': 'no openat2',
  'paths::tests::missing_parts_are_made_inside': 'no openat2',
  'relabel::tests::the_hosts_own_directories_are_refused_by_any_name': 'no openat2',
  'terminal::tests::only_the_multiplexer_of_a_devpts_is_one': 'no openat2',
  'tool::tests::wrong_words_are_refused': 'a vfork is not told of an exec that failed',
  'traffic::tests::a_host_without_pods_is_asked_nothing': 'no netlink of conntrack',
  'fs_info::tests::the_file_system_of_proc_is_proc': 'no mount from statx',
};

const target = 'CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU';

const skipped = Object.keys(cannot).flatMap((name) => ['--skip', name]);

/** Settings for env(1), arguments of cargo test, and what these leave out. */
export const emulated = {
  env: [`${target}_LINKER=aarch64-linux-gnu-gcc`, `${target}_RUNNER=qemu-aarch64 -L /usr/aarch64-linux-gnu`],
  tests: ['--workspace', '--lib', '--bins', '--target', 'aarch64-unknown-linux-gnu', '--', ...skipped],
  cannot,
};
