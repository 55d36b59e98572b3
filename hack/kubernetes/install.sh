#!/bin/bash
# Build the programs of a Kubernetes node from Go modules into the cache of the test kit.
#
#   hack/kubernetes/install.sh            all that hack/cluster needs:
#                                      kubelet kubectl kube-apiserver etcd
#                                      kube-scheduler kube-controller-manager
#   hack/kubernetes/install.sh WHAT...    some of those, helm and kubeconform (for the chart), or all
#   hack/kubernetes/install.sh --where    print the directory of the binaries
#   hack/kubernetes/install.sh --missing  print what is not there at its pinned version
#
# What is there at the pinned version is not built again. The first time takes half an hour on
# two idle cores, most of them for the first program of Kubernetes, up to an hour on busy ones,
# and 12 GB of Go's caches. Go 1.26 or later; no root. The cache is that of hack/testkit/install.sh.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../testkit/lib.sh
. "$HERE/../testkit/lib.sh"

KUBERNETES=1.37.1 # its modules k8s.io/X are v0.37.1
ETCD=v3.7.3
HELM=v4.3.1
KUBECONFORM=v0.8.0
NODE='kubelet kubectl kube-apiserver etcd kube-scheduler kube-controller-manager'
BIN=$TESTKIT_BIN

version_of() {
  case $1 in
    kubelet | kubectl | kube-apiserver | kube-scheduler | kube-controller-manager) echo "v$KUBERNETES" ;;
    etcd) echo "$ETCD" ;;
    helm) echo "$HELM" ;;
    kubeconform) echo "$KUBECONFORM" ;;
    *) die "no program $1 (see --help)" ;;
  esac
}

present() { [ -x "$BIN/$1" ] && stamped "$1" "$(version_of "$1")"; }

# module MODULE VERSION makes and enters an empty module that requires just that one.
module() {
  mkdir -p "$WORK/${1//\//-}"
  cd "$WORK/${1//\//-}"
  printf 'module cluster.invalid\n\ngo 1.26.0\n\nrequire %s %s\n' "$1" "$2" > go.mod
}

# Kubernetes replaces its own modules by folders of its repository, which a module proxy does not have
# there: each is replaced by the released module of the same number instead.
kubernetes_module() {
  local mod staging=v0.${KUBERNETES#1.}
  module k8s.io/kubernetes "v$KUBERNETES"
  mod=$(go mod download -json "k8s.io/kubernetes@v$KUBERNETES" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
  {
    printf '\nreplace (\n'
    sed -n '/^replace/,/^)/s/^\t\(k8s\.io\/[^ ]*\) => .*/\1/p' "$mod" | sed "s|.*|\t& => & $staging|"
    printf ')\n'
  } >> go.mod
}

build() {
  local program=$1 package flags="-s -w" p
  case $program in
    etcd)
      module go.etcd.io/etcd/server/v3 "$ETCD"
      package=go.etcd.io/etcd/server/v3 ;;
    helm)
      module helm.sh/helm/v4 "$HELM"
      flags="$flags -X helm.sh/helm/v4/internal/version.version=$HELM"
      package=helm.sh/helm/v4/cmd/helm ;;
    kubeconform)
      module github.com/yannh/kubeconform "$KUBECONFORM"
      flags="$flags -X main.version=$KUBECONFORM"
      package=github.com/yannh/kubeconform/cmd/kubeconform ;;
    *)
      kubernetes_module
      for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        # else it says v0.0.0, and checks of version skew fail
        flags="$flags -X $p.gitVersion=v$KUBERNETES -X $p.gitMajor=1 -X $p.gitMinor=37 -X $p.gitTreeState=clean"
      done
      package=k8s.io/kubernetes/cmd/$program ;;
  esac
  CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath -mod=mod" GOTOOLCHAIN="${GOTOOLCHAIN:-local}" \
    go build -ldflags "$flags" -o "$WORK/$program" "$package"
}

install() {
  local program=$1 v start=$SECONDS
  v=$(version_of "$program")
  if present "$program"; then
    say "$program $v is there"
    return
  fi
  say "building $program $v ..."
  (build "$program") 2> >(grep -v '^go: downloading' >&2) || die "building $program failed"
  mv -f "$WORK/$program" "$BIN/$program.new" # one file system away from $WORK, maybe: so in two steps
  mv -f "$BIN/$program.new" "$BIN/$program"
  stamp "$program" "$v"
  say "built $program $v in $((SECONDS - start)) s"
}

case ${1:-} in
  -h | --help) usage; exit ;;
  --where) echo "$BIN"; exit ;;
  --missing)
    for program in $NODE; do present "$program" || echo "$program"; done
    exit ;;
esac
# shellcheck disable=SC2086 # a list of names
[ $# -gt 0 ] || set -- $NODE
# shellcheck disable=SC2086
[ "$*" != all ] || set -- $NODE helm kubeconform
for program in "$@"; do version_of "$program" > /dev/null; done
lock cluster
need_go
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
mkdir -p "$BIN"
for program in "$@"; do install "$program"; done
say "programs are in $BIN"
