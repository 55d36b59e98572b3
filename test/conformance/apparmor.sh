#!/bin/bash
# The AppArmor specs of critest. They need a kernel that has AppArmor switched on, and apparmor_parser:
#
#   hack/testbed run -- test/conformance/apparmor.sh
#
# Elsewhere its nine specs are skipped, and it says what is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
skip() { echo "skipped: $1"; echo '0 passed, 0 failed, 9 skipped'; exit 0; }
[ "$(cat /sys/module/apparmor/parameters/enabled 2> /dev/null)" = Y ] || skip "this kernel has AppArmor off"
PATH=$PATH:/usr/sbin:/sbin
command -v apparmor_parser > /dev/null || skip "no apparmor_parser: hack/testkit/install.sh apparmor"
mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
# critest loads its profiles with sudo; who runs this is root already
bin=$(mktemp -d /tmp/pwt-sudo-XXXXXX)
trap 'rm -rf "$bin"' EXIT
printf '#!/bin/sh\nexec "$@"\n' > "$bin/sudo"
chmod 755 "$bin/sudo"
CRITEST_FOCUS=AppArmor PATH=$PATH:$bin test/conformance/critest.sh focus
