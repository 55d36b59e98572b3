#!/bin/bash
# Make releases from dist/, which is brought up to date first (AS_BUILT=1 takes it as it is).
#
#   hack/release.sh tree DIR [--bindir PATH]   the release tree, below a directory that is not there yet
#   hack/release.sh tarball OUT                the tree as .tar.gz, below podwright-<version>-linux-<arch>/
#   hack/release.sh deb OUT                    the tree as a Debian package, below /usr
#   hack/release.sh sbom                       the bill of materials (CycloneDX) to standard output; it is in the tree too
#   hack/release.sh check [PART...]            build the commit twice, in two places, and compare: bundle addon monitor
#   hack/release.sh --arch ARCH VERB ...       the same for amd64 or arm64, whichever this machine is
#
# The tree is what a host has as /opt/podwright/releases/<version>: bin, lib/podwright (with Node), the unit, man
# pages, completion, documents, a commented configuration, and RELEASE.json with the digest of each file. --bindir
# is where the unit finds the programs (/opt/podwright/current/bin).
# Every file bears SOURCE_DATE_EPOCH, or the time of the commit: equal parts make equal archives.
set -euo pipefail
start=$PWD
cd "$(dirname "$0")/.."
[ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
NODE=node_modules/.bin/node

usage() { sed -n '2,/^set -/{s/^# \{0,1\}//;/^set -/d;p}' "$0" >&2; exit 2; }

# what it is for: nothing for this machine
arch=()
if [ "${1:-}" = --arch ]; then
  case ${2:-} in
    amd64 | arm64) arch=(--arch "$2") ;;
    *) usage ;;
  esac
  shift 2
fi

build() { [ -n "${AS_BUILT:-}" ] || hack/build.sh "${arch[@]}"; }

# from_start PATH prints the path as it was meant where this was called.
from_start() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$start" "$1" ;; esac; }

tree() {
  local to
  to=$(from_start "$1")
  shift
  build
  "$NODE" hack/release/tree.ts "$to" "${arch[@]}" "$@"
}

# The commands' work directory is removed however they end.
work=
cleanup() { [ -z "$work" ] || rm -rf "$work"; }
trap cleanup EXIT
in_work() { work=$(mktemp -d "${TMPDIR:-/tmp}/podwright-release-XXXXXX"); }

fact() { sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$2/RELEASE.json"; }

tarball() {
  local out name epoch
  out=$(from_start "$1")
  in_work
  tree "$work/tree"
  epoch=$(fact epoch "$work/tree")
  name=podwright-$(fact version "$work/tree")-linux-$(fact arch "$work/tree")
  mv "$work/tree" "$work/$name"
  tar -C "$work" --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$name" |
    gzip -n "-${GZIP_LEVEL:-6}" > "$work/out"
  mv "$work/out" "$out"
}

deb() {
  local out
  out=$(from_start "$1")
  in_work
  tree "$work/tree" --bindir /usr/bin
  hack/release/package.sh "$work/tree" "$work/out.deb"
  mv "$work/out.deb" "$out"
}

# built_at DIR PART... unpacks the commit there and builds it. What a build may know of its place is mapped away.
built_at() {
  local dir=$1 flags
  shift
  mkdir -p "$dir"
  git archive HEAD | tar -x -C "$dir"
  # not a link: esbuild names modules by where they really are
  cp -al node_modules "$dir/node_modules" 2> /dev/null || { rm -rf "$dir/node_modules"; cp -a node_modules "$dir/node_modules"; }
  flags="--remap-path-prefix=$dir=/podwright --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
  (cd "$dir" && env -u CARGO_TARGET_DIR RUSTFLAGS="$flags" hack/build.sh "${arch[@]}" "$@")
}

check() {
  local file other failed=0
  [ $# -gt 0 ] || set -- bundle addon monitor
  in_work
  built_at "$work/one" "$@"
  built_at "$work/a/longer/way/two" "$@"
  for file in "$work"/one/dist*/*; do
    other=$work/a/longer/way/two${file#"$work/one"}
    if cmp "$file" "$other"; then
      printf '%s  %s\n' "$(sha256sum < "$file" | cut -c 1-64)" "${file##*/}"
    else
      failed=1
    fi
  done
  [ $failed = 0 ] || { echo '[release] the builds differ' >&2; return 1; }
}

verb=${1:-}
[ $# -gt 0 ] && shift
case $verb in
  tree) [ $# -ge 1 ] || usage; tree "$@" ;;
  tarball) [ $# = 1 ] || usage; tarball "$1" ;;
  deb) [ $# = 1 ] || usage; deb "$1" ;;
  sbom) [ $# = 0 ] || usage; "$NODE" hack/release/print-sbom.ts "${arch[@]}" ;;
  check) check "$@" ;;
  -h | --help) (usage) 2>&1 || exit 0 ;;
  *) usage ;;
esac
