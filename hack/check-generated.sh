#!/bin/sh
# Fails when a generated file is not what its source says: src/proto/generated and docs/status.md. (docs/config.md and the
# chart are checks of hack/check.sh, docs/metrics.md is a unit test's.)
set -eu
case ${1:-} in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; exit ;; esac
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

hack/proto.sh "$fresh/generated"
diff -r "$fresh/generated" src/proto/generated || { echo 'src/proto/generated is stale: run hack/proto.sh' >&2; exit 1; }
node hack/status.mjs "$fresh/status.md"
diff "$fresh/status.md" docs/status.md || { echo 'docs/status.md is stale: run node hack/status.mjs' >&2; exit 1; }
