#!/bin/bash
# All of critest in a machine of hack/testbed, under a peer runtime or under podwright:
# what passes there must pass here.
#
#   hack/testbed run -- hack/vm/critest.sh containerd|podwright [critest flags]
#   hack/testbed run --rw DIR -- hack/vm/critest.sh compare DIR
#
# Ends with the names of what failed, then of what was skipped and why, and critest's
# count. "compare" runs it under containerd, then under podwright, writes both reports
# and COMPARED.md into DIR (which is the host's), and fails when a spec passes under
# containerd alone. Needs hack/testkit/install.sh apparmor (for containerd with "peers")
# and hack/testkit/images.sh, outside.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ -n "${TESTBED:-}" ] || { echo 'this is for a machine of hack/testbed' >&2; exit 2; }
what=${1:?containerd, podwright or compare}
shift
dir=''
if [ "$what" = compare ]; then
  dir=$(realpath -e "${1:?a directory that the host sees}")
  shift
fi
# critest loads its AppArmor profiles with sudo; who runs this is root already
bin=$(mktemp -d /tmp/critest-sudo-XXXXXX)
printf '#!/bin/sh\nexec "$@"\n' > "$bin/sudo"
chmod 755 "$bin/sudo"
export PATH=$PATH:/usr/sbin:/sbin:$bin
rc=0
peers_run=${PODWRIGHT_TESTKIT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/podwright-testkit}/peers/run

# under RUNTIME [critest flags] leaves the report's directory in $out.
under() {
  local runtime=$1
  shift
  case $runtime in
    podwright)
      out=test-results/critest
      test/conformance/critest.sh all "$@" || rc=$?
      ;;
    containerd)
      out=/tmp/critest-containerd
      hack/testkit/images.sh serve >&2
      # its state must be on a disk: an overlay is no upper layer of another
      mkdir -p "$peers_run" /.scratch/peers
      mountpoint -q "$peers_run" || mount --bind /.scratch/peers "$peers_run"
      # in this kernel the bridge plugin's DEL fails over an nftables table that it never made; nothing here needs it
      export PEER_IP_MASQ=false
      hack/testkit/peer.sh start containerd >&2
      eval "$(hack/testkit/peer.sh env containerd)"
      hack/critest.sh "$SOCK" -o "$out" -ginkgo.randomize-all "$@" || rc=$?
      hack/testkit/peer.sh clean containerd >&2
      ;;
    *) echo "no runtime $runtime" >&2; exit 2 ;;
  esac
  # of podwright the failed ones are printed already
  sed -n '/^## skipped/,/^## all/p' "$out/SUMMARY.md" | grep -v '^## all' || true
}

if [ -z "$dir" ]; then
  under "$what" "$@"
  exit "$rc"
fi
# what fails here is judged by what passes there
for runtime in containerd podwright; do
  echo "== $runtime"
  under "$runtime" "$@"
  cp "$out/report.json" "$dir/$runtime.json"
done
hack/testkit/critest-compare.py containerd "$dir/containerd.json" podwright "$dir/podwright.json" "$dir/COMPARED.md"
