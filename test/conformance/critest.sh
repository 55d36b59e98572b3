#!/bin/bash
# The conformance specs of critest that this release serves, against a daemon of its own.
# Ends with critest's count. The whole suite, in random order, is run by `test/conformance/critest.sh all`, other specs by
# `CRITEST_FOCUS=REGEXP test/conformance/critest.sh focus`.
set -euo pipefail
cd "$(dirname "$0")/../.."
focus='PodSandbox|basic operations|Image|Networking|Multiple Containers|Idempotence|Runtime info|log|Streaming'
[ "${1:-}" != focus ] || focus=$CRITEST_FOCUS
flags=(-ginkgo.focus "$focus")
[ "${1:-}" != all ] || flags=(-ginkgo.randomize-all)

hack/testkit/images.sh serve >&2
dir=$(mktemp -d /tmp/pwt-critest-XXXXXX)
socket=$dir/state/podwright.sock
tool=("${PODWRIGHT_DIST:-dist}/podwright" --socket "$socket")
hack/critest.sh --certs-dir "$dir/certs.d"

"${PODWRIGHT_DIST:-dist}/podwrightd" --root "$dir/root" --state "$dir/state" --network-default bridge \
  --network-bridge pw-critest --network-subnet 10.198.0.0/16 --cni-conf-dir "$dir/net.d" \
  --registry-config-path "$dir/certs.d" --metrics-address 127.0.0.1:0 --log-format json > "$dir/log" 2>&1 &
daemon=$!

finish() {
  "${tool[@]}" shutdown >&2 || { echo "the daemon did not shut down; its log is in $dir/log" >&2; return 1; }
  wait "$daemon" || true
  local left
  left=$(find "$dir/root/sandboxes" "$dir/root/containers" "$dir/state/netns" -mindepth 1 2> /dev/null; ip -o link show pw-critest 2> /dev/null || true)
  if [ -n "$left" ]; then
    echo "critest left on the host: $left" >&2
    return 1
  fi
  rm -rf "$dir"
}

for _ in $(seq 200); do
  "${tool[@]}" status > /dev/null 2>&1 && break
  kill -0 "$daemon" || { cat "$dir/log" >&2; exit 1; }
  sleep 0.1
done

rc=0
hack/critest.sh "$socket" -o test-results/critest "${flags[@]}" || rc=$?
[ "$rc" = 0 ] || sed -n '/^## failed/,/^## all/p' test-results/critest/SUMMARY.md
finish || rc=1
exit "$rc"
