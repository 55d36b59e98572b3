#!/bin/bash
# Build the test tools from Go modules into a cache outside the tree.
#
#   hack/testkit/install.sh            what CI needs: deps critools cni registry cribench runsc
#   hack/testkit/install.sh WHAT...    some of: deps (system packages, runc and crun among them)
#                                      critools cni registry cribench runsc (gVisor)
#                                      peers (containerd, shim, runc), crio, all (ci, peers, crio),
#                                      apparmor, criu, secilc, dmsetup (Debian's),
#                                      nri (plugins of the Node Resource Interface)
#   hack/testkit/install.sh --where    print the directory of the binaries
#
# The cache is $PODWRIGHT_TESTKIT_CACHE, else $XDG_CACHE_HOME/podwright-testkit,
# else ~/.cache/podwright-testkit. What is there at the pinned version is not
# built again. Debian 12 or later, root where packages are missing. Go 1.26 or later is fetched if there is none.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$HERE/lib.sh"

CRI_TOOLS=v1.36.0
CONTAINERD=v2.4.2
RUNC=v1.5.2
CNI=v1.9.1
REGISTRY=v3.1.2
CRIO=v1.36.1
GVISOR=v0.0.0-20260905035102-160fafc42237
CNI_PLUGINS='main/bridge main/loopback main/ptp main/host-device main/macvlan main/ipvlan ipam/host-local ipam/static meta/portmap meta/firewall meta/bandwidth meta/tuning meta/sbr meta/vrf'
[ "$(uname -m)" = x86_64 ] || say "only x86_64 is tried"

WORK=$(mktemp -d)
trap 'chmod -R u+w "$WORK"; rm -rf "$WORK"' EXIT
BIN=$TESTKIT_BIN NEW=$WORK/new
mkdir -p "$NEW"

# in_module MODULE VERSION [LINE...] makes an empty module that requires just
# that one, so that its own choice of versions holds, and enters it.
in_module() {
  local d
  d=$(mktemp -d -p "$WORK")
  cd "$d"
  { printf 'module testkit.invalid\n\ngo 1.26\n\nrequire %s %s\n' "$1" "$2"; shift 2; printf '%s\n' "$@"; } > go.mod
  export GOFLAGS="-buildvcs=false -trimpath -mod=mod" GOTOOLCHAIN="${GOTOOLCHAIN:-local}"
}

version_of() {
  case $1 in
    deps) echo - ;;
    critools) echo "$CRI_TOOLS" ;;
    cni) echo "$CNI-$(sha256sum <<< "$CNI_PLUGINS" | cut -c1-8)" ;;
    registry) echo "$REGISTRY" ;;
    cribench) tree_hash "$HERE/cribench" ;;
    peers) echo "$CONTAINERD-$RUNC" ;;
    crio) echo "$CRIO" ;;
    runsc) echo "$GVISOR" ;;
    nri) tree_hash "$HERE/nri-plugins" ;;
  esac
}

# what a tool leaves in $BIN
files_of() {
  case $1 in
    critools) echo crictl critest ;;
    cni) for p in $CNI_PLUGINS; do echo "cni/${p##*/}"; done ;;
    peers) echo containerd containerd-shim-runc-v2 runc ;;
    crio) echo crio pinns ;;
    nri) echo nri/template nri/device-injector ;;
    *) echo "$1" ;;
  esac
}

build_critools() {
  local m=sigs.k8s.io/cri-tools
  in_module $m "$CRI_TOOLS"
  CGO_ENABLED=0 go build -ldflags "-s -w" -o "$NEW/crictl" $m/cmd/crictl
  CGO_ENABLED=0 go test -c -o "$NEW/critest" $m/cmd/critest # a test binary
}
build_cni() {
  local m=github.com/containernetworking/plugins p
  in_module $m "$CNI"
  mkdir -p "$NEW/cni"
  for p in $CNI_PLUGINS; do
    CGO_ENABLED=0 go build -ldflags "-s -w" -o "$NEW/cni/${p##*/}" "$m/plugins/$p"
  done
}
build_registry() {
  local m=github.com/distribution/distribution/v3
  in_module $m "$REGISTRY"
  CGO_ENABLED=0 go build -ldflags "-s -w" -o "$NEW/registry" $m/cmd/registry
}
build_cribench() {
  cd "$HERE/cribench"
  CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath" go build -o "$NEW/cribench" .
}
build_nri() { # on the reference's stub, whose own plugins no module proxy serves
  cd "$HERE/nri-plugins"
  mkdir -p "$NEW/nri"
  CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath" go build -ldflags "-s -w" -o "$NEW/nri/" ./...
}
build_peers() {
  local c=github.com/containerd/containerd/v2 r=github.com/opencontainers/runc
  apt_need gcc libc6-dev pkg-config libseccomp-dev
  (
    in_module $c "$CONTAINERD"
    CGO_ENABLED=1 go build -tags "seccomp no_btrfs no_zfs" -ldflags "-s -w -X $c/version.Version=$CONTAINERD" -o "$NEW/containerd" $c/cmd/containerd
    # as its makers build it: static and without gRPC, which saves memory in each pod
    CGO_ENABLED=0 go build -tags "urfave_cli_no_docs no_grpc" -ldflags "-s -w" -o "$NEW/containerd-shim-runc-v2" $c/cmd/containerd-shim-runc-v2
  )
  in_module $r "$RUNC"
  CGO_ENABLED=1 go build -tags seccomp -ldflags "-s -w -X main.version=${RUNC#v}" -o "$NEW/runc" $r
}
build_crio() {
  local m=github.com/cri-o/cri-o x replace=()
  apt_need gcc libc6-dev pkg-config libseccomp-dev conmon
  # v1.36.1 requires release candidates of the k8s.io modules that not every
  # proxy has; the releases that followed them fit.
  for x in api apimachinery client-go component-base cri-api cri-client cri-streaming kubelet streaming; do
    replace+=("replace k8s.io/$x v0.36.0-rc.0 => k8s.io/$x v0.36.0")
  done
  in_module $m "$CRIO" "${replace[@]}"
  sed -i 's/^go 1\.26$/go 1.26.3/' go.mod
  CGO_ENABLED=1 go build -tags "containers_image_openpgp exclude_graphdriver_btrfs seccomp" -ldflags "-s -w" -o "$NEW/crio" $m/cmd/crio
  x=$(go list -m -f '{{.Dir}}' $m)/pinns/src
  gcc -std=gnu99 -O2 -D_GNU_SOURCE -w -o "$NEW/pinns" "$x"/*.c
}
build_runsc() { # gVisor's OCI runtime, as a second kind of runtime handler
  local m=gvisor.dev/gvisor
  in_module $m "$GVISOR"
  CGO_ENABLED=0 go build -ldflags "-s -w" -o "$NEW/runsc" $m/runsc
}

install() {
  local t=$1 v f have=1 s=$SECONDS
  if [ "$t" = deps ]; then
    apt_need gcc libc6-dev make dpkg-dev bzip2 curl ca-certificates python3 zstd jq iptables nftables iproute2 runc crun skopeo umoci
    apt_need libseccomp-dev busybox-static # for tests of crates: the reference compiler, a shell without libraries
    return
  fi
  if [ "$t" = criu ]; then # for tests in a machine of hack/testbed, which shows what is installed here
    apt_need criu tar iptables
    return
  fi
  if [ "$t" = apparmor ]; then # loads profiles, for the same
    apt_need apparmor
    return
  fi
  if [ "$t" = secilc ]; then # compiles a SELinux policy, for the same
    apt_need secilc attr
    return
  fi
  if [ "$t" = dmsetup ]; then # disks that lose their power, for the same
    apt_need dmsetup e2fsprogs
    return
  fi
  v=$(version_of "$t")
  [ -n "$v" ] || die "no tool $t (see --help)"
  for f in $(files_of "$t"); do [ -x "$BIN/$f" ] || have=; done
  if [ "$have" ] && stamped "$t" "$v"; then
    say "$t $v is there"
    return
  fi
  need_go
  say "building $t $v ..."
  ("build_$t") 2> >(grep -v '^go: downloading' >&2) || die "building $t failed"
  for f in $(files_of "$t"); do
    mkdir -p "$(dirname "$BIN/$f")"
    mv -f "$NEW/$f" "$BIN/$f.new" # one file system away from $WORK, maybe: so in two steps
    mv -f "$BIN/$f.new" "$BIN/$f"
  done
  stamp "$t" "$v"
  say "built $t $v in $((SECONDS - s)) s"
}

case ${1:-} in
  -h | --help) usage; exit ;;
  --where) echo "$BIN"; exit ;;
esac
what_ci_needs='deps critools cni registry cribench runsc' tools=()
[ $# -gt 0 ] || set -- ci
for t in "$@"; do
  case $t in
    # shellcheck disable=SC2206 # words
    ci) tools+=($what_ci_needs) ;;
    # shellcheck disable=SC2206
    all) tools+=($what_ci_needs peers crio) ;;
    *) tools+=("$t") ;;
  esac
done
lock install
mkdir -p "$BIN"
for t in "${tools[@]}"; do install "$t"; done
say "tools are in $BIN"
