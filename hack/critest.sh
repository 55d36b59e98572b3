#!/bin/bash
# Run critest against a CRI socket.
#
#   hack/critest.sh SOCKET [-o DIR] [-v] [critest flags]
#   hack/critest.sh --certs-dir DIR
#
# The first form leaves log, report.json, junit.xml and SUMMARY.md in DIR and
# ends with one line, "critest: N passed, N failed, N skipped"; its exit status is
# critest's. Any other flags go to critest (-ginkgo.focus 'regexp', -ginkgo.v).
# -v shows critest's output as it comes.
#
# The second writes hosts.toml files into DIR by which the registries that
# critest names (registry.k8s.io, k8s.gcr.io, gcr.io) are looked up at the test
# registry: give DIR to the runtime as its registry config_path.
#
# Both need hack/testkit/install.sh and hack/testkit/images.sh first.
set -euo pipefail
HERE=$(cd "$(dirname "$0")/testkit" && pwd)
# shellcheck source=testkit/lib.sh
. "$HERE/lib.sh"

certs_dir() {
  local h
  for h in registry.k8s.io k8s.gcr.io gcr.io; do
    mkdir -p "$1/$h"
    printf 'server = "https://%s"\n\n[host."%s"]\n  capabilities = ["pull", "resolve"]\n' "$h" "$REGISTRY_URL" > "$1/$h/hosts.toml"
  done
  mkdir -p "$1/127.0.0.1_${REGISTRY_PORT}_"
  printf 'server = "%s"\n' "$REGISTRY_URL" > "$1/127.0.0.1_${REGISTRY_PORT}_/hosts.toml"
}

# critest names one image by the digest that only its makers' image has. This
# makes a copy of the binary that has our image's digest, of the same length.
local_critest() {
  local theirs=9700f9a2f5bf2c45f2f605a0bd3bce7cf37420ec9d3ed50ac2758413308766bf ours to
  ours=$(jq -er '.[] | select(.repo | endswith("/test-image-digest")) | .digest' "$TESTKIT_CACHE/images/images.json") ||
    die "no images: run hack/testkit/images.sh"
  ours=${ours#sha256:}
  to=$TESTKIT_BIN/critest-${ours:0:12}
  if ! [ "$to" -nt "$TESTKIT_BIN/critest" ]; then
    LC_ALL=C grep -q "$theirs" "$TESTKIT_BIN/critest" || die "critest no longer has the digest that $0 replaces"
    LC_ALL=C sed "s/$theirs/$ours/g" "$TESTKIT_BIN/critest" > "$to.$$"
    chmod +x "$to.$$"
    mv -f "$to.$$" "$to"
  fi
  echo "$to"
}

case ${1:-} in
  '' | -h | --help) usage; exit ;;
  --certs-dir) certs_dir "${2:?a directory}"; exit ;;
esac

sock=unix://${1#unix://} out='' verbose=''
shift
args=()
while [ $# -gt 0 ]; do
  case $1 in
    -o) out=${2:?a directory}; shift ;;
    -v) verbose=1 ;;
    *) args+=("$1") ;;
  esac
  shift
done
out=${out:-$TESTKIT_CACHE/results/critest}
[ -x "$TESTKIT_BIN/critest" ] || die "no critest: run hack/testkit/install.sh"
[ -S "${sock#unix://}" ] || die "no socket ${sock#unix://}"
curl -fs -m 20 -o /dev/null "$REGISTRY_URL/v2/" || die "no registry at $REGISTRY_URL: run hack/testkit/images.sh"
bin=$(local_critest)
mkdir -p "$out"
rm -f "$out/report.json" "$out/junit.xml" "$out/SUMMARY.md"

start=$SECONDS rc=0
run() {
  "$bin" -runtime-endpoint "$sock" -image-endpoint "$sock" -ginkgo.no-color \
    -ginkgo.json-report "$out/report.json" -ginkgo.junit-report "$out/junit.xml" \
    ${args[@]+"${args[@]}"} 2>&1
}
if [ -n "$verbose" ]; then run | tee "$out/log" || rc=$?; else run > "$out/log" || rc=$?; fi
if ! [ -s "$out/report.json" ]; then
  tail -20 "$out/log" >&2
  die "critest made no report (status $rc); its output is $out/log"
fi
python3 "$HERE/critest-report.py" "$out/report.json" "$out/SUMMARY.md"
say "$((SECONDS - start)) s; report in $out"
exit "$rc"
