#!/bin/sh
# Makes src/proto/generated from proto/: JSON descriptors (of which src/proto/reflected.ts makes codecs) and typed stubs
# (types only).
# Usage: hack/proto.sh [output directory]; without one the committed files are replaced.
set -eu
case ${1:-} in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; exit ;; esac
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"
out=${1:-src/proto/generated}

rm -rf "$out"
mkdir -p "$out"
node hack/proto-descriptor.mjs proto/runtime/v1/api.proto "$out/runtime.json" --keep-case
node hack/proto-descriptor.mjs proto/monitor.proto "$out/monitor.json"
node hack/proto-descriptor.mjs proto/podwright/v1/admin.proto "$out/admin.json"
node hack/proto-descriptor.mjs proto/nri/v1alpha1/api.proto "$out/nri.json"
node hack/proto-descriptor.mjs proto/nri/ttrpc.proto "$out/ttrpc.json"

# The options must say what src/proto/*-codec.ts decodes to: 64-bit integers as decimal strings
# (a Number cannot hold unix nanoseconds), enums as names, absent fields as their defaults.
types() {
  proto-loader-gen-types --longs=String --enums=String --defaults --oneofs --importFileExtension=.ts "$@" >/dev/null
}
types --outDir="$out/monitor" --includeDirs=proto -- monitor.proto
types --keepCase --grpcLib=@grpc/grpc-js --outDir="$out/cri" --includeDirs=proto/runtime/v1 -- api.proto
types --grpcLib=@grpc/grpc-js --outDir="$out/admin" --includeDirs=proto/podwright/v1 -- admin.proto
types --outDir="$out/nri" --includeDirs=proto/nri/v1alpha1 -- api.proto
types --outDir="$out/ttrpc" --includeDirs=proto/nri -- ttrpc.proto
