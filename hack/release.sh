#!/bin/bash
# Make releases from dist/, which is brought up to date first (AS_BUILT=1 takes it as it is).
#
#   hack/release.sh tree DIR [--bindir PATH]   the release tree, below a directory that is not there yet
#
# The tree is what a host has as /opt/podwright/releases/<version>: bin, lib/podwright (with Node), the unit, man
# pages, completion, documents, a commented configuration, and RELEASE.json with the digest of each file. --bindir
# is where the unit finds the programs (/opt/podwright/current/bin).
# Every file bears SOURCE_DATE_EPOCH, or the time of the commit.
set -euo pipefail
start=$PWD
cd "$(dirname "$0")/.."
[ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
NODE=node_modules/.bin/node

usage() { sed -n '2,/^set -/{s/^# \{0,1\}//;/^set -/d;p}' "$0" >&2; exit 2; }

build() { [ -n "${AS_BUILT:-}" ] || hack/build.sh; }

# from_start PATH prints the path as it was meant where this was called.
from_start() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$start" "$1" ;; esac; }

tree() {
  local to
  to=$(from_start "$1")
  shift
  build
  "$NODE" hack/release/tree.ts "$to" "$@"
}

verb=${1:-}
[ $# -gt 0 ] && shift
case $verb in
  tree) [ $# -ge 1 ] || usage; tree "$@" ;;
  *) usage ;;
esac
