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

GO=1.26.8
# of the toolchain as module proxies have it, for `sha256sum`
declare -A GO_ZIP=(
  [x86_64]='30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7 amd64'
  [aarch64]='02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99 arm64'
)

# need_go makes `go` a Go of at least 1.26: the machine's, or one that is fetched into the cache.
need_go() {
  local v
  [ -x /usr/local/go/bin/go ] && ! command -v go > /dev/null && PATH=$PATH:/usr/local/go/bin
  if command -v go > /dev/null; then
    v=$(GOTOOLCHAIN=local go env GOVERSION)
    case $v in
      go1.2[6-9]* | go1.[3-9][0-9]* | go[2-9]*) return 0 ;;
    esac
    say "$v is older than 1.26"
  fi
  [ -x "$TESTKIT_CACHE/go-$GO/bin/go" ] || fetch_go || exit
  PATH=$TESTKIT_CACHE/go-$GO/bin:$PATH
  export GOTOOLCHAIN=local
}

# fetch_go puts Go into the cache: from where Go's modules come from ($GOPROXY). In a shell of its own, with its own lock
# and its own leftovers: callers hold different locks.
fetch_go() (
  local sum arch proxy zip=$TESTKIT_CACHE/go-$GO.zip.$BASHPID to=$TESTKIT_CACHE/go-$GO
  read -r sum arch <<< "${GO_ZIP[$(uname -m)]:-}"
  [ -n "$arch" ] || die "Go 1.26 or later is needed; install it: https://go.dev/dl"
  apt_need curl ca-certificates python3
  proxy=${GOPROXY:-https://proxy.golang.org}
  proxy=${proxy%%[,|]*}
  case $proxy in
    http*) ;;
    direct) proxy=https://proxy.golang.org ;;
    *) die "Go 1.26 or later is needed, and GOPROXY is $proxy; install it: https://go.dev/dl" ;;
  esac
  mkdir -p "$TESTKIT_CACHE"
  exec 8> "$TESTKIT_CACHE/.lock-go"
  flock 8
  [ ! -x "$to/bin/go" ] || exit 0
  trap 'rm -rf "$zip" "$to.new"' EXIT
  say "fetching Go $GO ..."
  curl -fsSL --retry 3 -m 900 -o "$zip" "$proxy/golang.org/toolchain/@v/v0.0.1-go$GO.linux-$arch.zip" ||
    die "Go $GO could not be fetched from $proxy; install Go 1.26 or later: https://go.dev/dl"
  echo "$sum  $zip" | sha256sum -c --status || die "what $proxy sent is not Go $GO"
  rm -rf "$to" "$to.new"
  # such archives keep no modes
  python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])' "$zip" "$to.new" &&
    chmod +x "$to.new"/golang.org/*/bin/* "$to.new"/golang.org/*/pkg/tool/*/* &&
    mv -T "$to.new/golang.org/toolchain@v0.0.1-go$GO.linux-$arch" "$to" || die "Go $GO could not be put into $TESTKIT_CACHE"
)

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
