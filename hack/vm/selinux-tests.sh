#!/bin/bash
# Runs the monitor's SELinux tests in a machine of hack/testbed whose kernel enforces the policy of
# test/helpers/selinux-policy.ts. A minute or two, and no daemon: hack/test.sh vm-selinux goes through one.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH=$PWD/node_modules/.bin:$PATH:$HOME/.cargo/bin
hack/testkit/install.sh secilc
work=$PWD/native/target/selinux-tests
mkdir -p "$work"
node --input-type=module -e "
  import { policySource } from '$PWD/test/helpers/selinux-policy.ts';
  process.stdout.write(policySource);" >"$work/policy.cil"
secilc -M true -c 33 -o "$work/policy.bin" -f /dev/null "$work/policy.cil"
binary=$(cargo test -q --manifest-path native/Cargo.toml -p podwright-monitor --target "$(uname -m)-unknown-linux-musl" \
  --features host-tests --test selinux --no-run --message-format=json |
  sed -n 's/.*"executable":"\([^"]*deps\/selinux-[^"]*\)".*/\1/p')
hack/testbed run -e qemu -m 3072 --append security=selinux -- sh -ec "
  mount -t selinuxfs selinuxfs /sys/fs/selinux
  cat $work/policy.bin >/sys/fs/selinux/load
  echo 1 >/sys/fs/selinux/enforce
  export TMPDIR=/var/lib/testbed # a tmpfs of this kernel has no idmapped mounts
  $binary --ignored --test-threads=1"
