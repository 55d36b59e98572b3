#!/bin/bash
# Run tests after bringing the machine and the build up to date.
#
#   hack/test.sh            all suites
#   hack/test.sh SUITE...   some of: unit contract system faults conformance vm-smoke
#                           and, by name only: vm-checkpoint vm-selinux vm-disk vm-power
#                           vm-limits vm-qemu vm-service vm cluster arm64
#
# Those with vm run in a machine of their own (hack/testbed). vm is system and conformance
# in cgroup v2, with cgroupfs as driver (vm-v2) and with systemd (vm-systemd), an hour or
# more each; vm-smoke is a few files of it, skipped where no machine can be had. cluster is
# a Kubernetes node (hack/cluster), whose programs are built first: half an hour to an hour.
# arm64 builds for that architecture and tests it by emulation, pods in a machine too (docs/releases.md).
#
# unit needs nothing; contract, system, faults and conformance work on the real
# kernel as root. conformance builds the test kit first (hack/testkit). Ends with
# one line, "N passed, N failed" and ", N skipped" when any were; the reason of each
# skip is printed before. The full output is in test-results/.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; exit ;; esac
cd "$(dirname "$0")/.."
[ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
[ $# -gt 0 ] && [ "$1" != all ] || set -- unit contract system faults conformance vm-smoke
hack/bootstrap.sh
export PATH=$PWD/node_modules/.bin:$PATH
hack/build.sh
exec node hack/run-suites.mjs "$@"
