#!/bin/bash
# Run tests after bringing the machine and the build up to date.
#
#   hack/test.sh            all suites
#   hack/test.sh SUITE...   some of: unit contract system faults conformance
#                           and, in a machine of its own (hack/testbed): vm-checkpoint vm-disk
#
# unit needs nothing; contract, system, faults and conformance work on the real
# kernel as root. conformance builds the test kit first (hack/testkit). Ends with
# one line, "N passed, N failed" and ", N skipped" when any were; the reason of each
# skip is printed before. The full output is in test-results/.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
[ $# -gt 0 ] && [ "$1" != all ] || set -- unit contract system faults conformance
hack/bootstrap.sh
export PATH=$PWD/node_modules/.bin:$PATH
hack/build.sh
exec node hack/run-suites.mjs "$@"
