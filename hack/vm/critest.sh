#!/bin/bash
# All of critest in a machine of hack/testbed, under a peer runtime or under podwright:
# what passes there must pass here.
#
#   hack/testbed run -- hack/vm/critest.sh containerd|podwright [critest flags]
#
# Ends with the names of what failed, then of what was skipped and why, and critest's
# count. Needs hack/testkit/install.sh (for containerd with "peers") and
# hack/testkit/images.sh, outside.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ -n "${TESTBED:-}" ] || { echo 'this is for a machine of hack/testbed' >&2; exit 2; }
runtime=${1:?containerd or podwright}
shift
# critest loads its AppArmor profiles with sudo; who runs this is root already
bin=$(mktemp -d /tmp/critest-sudo-XXXXXX)
printf '#!/bin/sh\nexec "$@"\n' > "$bin/sudo"
chmod 755 "$bin/sudo"
export PATH=$PATH:/usr/sbin:/sbin:$bin
out=test-results/critest
rc=0
case $runtime in
  podwright) test/conformance/critest.sh all "$@" || rc=$? ;;
  containerd)
    hack/testkit/images.sh serve >&2
    # its state must be on a disk: an overlay is no upper layer of another
    run=${PODWRIGHT_TESTKIT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/podwright-testkit}/peers/run
    mkdir -p "$run" /.scratch/peers
    mount --bind /.scratch/peers "$run"
    # in this kernel the bridge plugin's DEL fails over an nftables table that it never made; nothing here needs it
    export PEER_IP_MASQ=false
    hack/testkit/peer.sh start containerd >&2
    eval "$(hack/testkit/peer.sh env containerd)"
    out=/tmp/critest-containerd
    hack/critest.sh "$SOCK" -o "$out" "$@" || rc=$?
    ;;
  *) echo "no runtime $runtime" >&2; exit 2 ;;
esac
# of podwright the failed ones are printed already
sed -n '/^## skipped/,/^## all/p' "$out/SUMMARY.md" | grep -v '^## all' || true
exit "$rc"
