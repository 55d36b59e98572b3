#!/bin/bash
# Run a peer runtime on this machine, with its state in the cache.
#
#   hack/testkit/peer.sh config              write the configurations
#   hack/testkit/peer.sh start containerd    (or crio) and wait until it is ready
#   hack/testkit/peer.sh stop containerd     stop the daemon; its pods stay
#   hack/testkit/peer.sh clean containerd    remove all pods, stop, remove its state
#   hack/testkit/peer.sh net-clean           remove the bridge and what CNI left in iptables
#   hack/testkit/peer.sh cmd containerd      print the daemon's command line
#   hack/testkit/peer.sh env containerd      print SOCK, PID, CGROUP for `eval`
#
# PEER_IP_MASQ=false leaves its pods without masquerading.
#
# The daemon runs in its own child of the cpuacct (v1) or unified hierarchy, so
# that its CPU time can be told from the containers'. Needs: root, install.sh peers
# or crio, images.sh.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$HERE/lib.sh"
BIN=$TESTKIT_BIN ETC=$TESTKIT_CACHE/peers/etc RUN=$TESTKIT_CACHE/peers/run
BRIDGE=pwpeer0 SUBNET=10.77.0.0/16 NETWORK=podwright-peers
export PATH=$BIN:$PATH

sock() { echo "$RUN/$1/$1.sock"; }
pid_of() {
  local p
  p=$(cat "$RUN/$1/pid" 2> /dev/null) || return 0
  # the pid may be another program's by now
  if { tr '\0' ' ' < "/proc/$p/cmdline"; } 2> /dev/null | grep -qF "$BIN/$1 "; then echo "$p"; fi
}
cgroup_of() {
  if [ -d /sys/fs/cgroup/cpuacct ]; then echo "/sys/fs/cgroup/cpuacct/podwright-peer-$1"; else echo "/sys/fs/cgroup/podwright-peer-$1"; fi
}
known() {
  case $1 in containerd | crio) ;; *) die "no peer $1: containerd or crio" ;; esac
  [ -x "$BIN/$1" ] || die "no $1: run hack/testkit/install.sh $([ "$1" = crio ] && echo peers crio || echo peers)"
}

config() {
  mkdir -p "$ETC/cni" "$RUN"
  cat > "$ETC/cni/10-bridge.conflist" << J
{
  "cniVersion": "1.0.0",
  "name": "$NETWORK",
  "plugins": [
    {
      "type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "ipMasq": ${PEER_IP_MASQ:-true}, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": "$RUN/cni",
        "ranges": [[{"subnet": "$SUBNET"}]], "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
J
  "$HERE/../critest.sh" --certs-dir "$ETC/certs.d"
  # Everything not named here is containerd's default. Without CAP_SYS_RESOURCE
  # nobody may lower an oom_score_adj.
  local cap restrict=false
  cap=$(sed -n 's/^CapEff:\t*//p' /proc/self/status)
  (((0x$cap >> 24) & 1)) || restrict=true
  cat > "$ETC/containerd.toml" << T
version = 3
root = "$RUN/containerd/root"
state = "$RUN/containerd/state"
[grpc]
  address = "$(sock containerd)"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "$ETC/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = $restrict
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = "$BIN/runc"
  SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["$BIN/cni"]
  conf_dir = "$ETC/cni"
T
  echo '{"default": [{"type": "insecureAcceptAnything"}]}' > "$ETC/policy.json"
  {
    printf 'unqualified-search-registries = []\n[[registry]]\nlocation = "127.0.0.1:%s"\ninsecure = true\n' "$REGISTRY_PORT"
    # where cribench serves images of its own
    printf '[[registry]]\nlocation = "127.0.0.1:%s"\ninsecure = true\n' "$((REGISTRY_PORT + 1))"
    printf '[[registry]]\nprefix = "%s"\nlocation = "127.0.0.1:'"$REGISTRY_PORT"'"\ninsecure = true\n' registry.k8s.io k8s.gcr.io gcr.io
  } > "$ETC/registries.conf"
  cat > "$ETC/crio.conf" << T
[crio]
root = "$RUN/crio/root"
runroot = "$RUN/crio/runroot"
storage_driver = "overlay"
version_file = "$RUN/crio/version"
version_file_persist = "$RUN/crio/version-persist"
clean_shutdown_file = "$RUN/crio/clean.shutdown"
log_dir = "$RUN/crio/pod-logs"
[crio.api]
listen = "$(sock crio)"
[crio.runtime]
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
default_runtime = "runc"
pinns_path = "$BIN/pinns"
namespaces_dir = "$RUN/crio/ns"
container_exits_dir = "$RUN/crio/exits"
container_attach_socket_dir = "$RUN/crio/attach"
[crio.runtime.runtimes.runc]
runtime_path = "$BIN/runc"
runtime_root = "$RUN/crio/runc"
monitor_path = "/usr/bin/conmon"
monitor_cgroup = "pod"
[crio.image]
pause_image = "registry.k8s.io/pause:3.10.2"
signature_policy = "$ETC/policy.json"
signature_policy_dir = "$ETC/policies"
[crio.network]
network_dir = "$ETC/cni"
plugin_dirs = ["$BIN/cni"]
[crio.metrics]
enable_metrics = false
[crio.nri]
enable_nri = false
T
}

cmd() {
  case $1 in
    containerd) echo "$BIN/containerd --config $ETC/containerd.toml" ;;
    # registries.conf and storage.conf come by environment
    crio) echo "env CONTAINER_REGISTRIES_CONF=$ETC/registries.conf CONTAINERS_STORAGE_CONF=/dev/null $BIN/crio --config $ETC/crio.conf --config-dir $ETC/crio.conf.d" ;;
  esac
}

start() {
  local r=$1 d=$RUN/$1 cg i
  [ -z "$(pid_of "$r")" ] || { say "$r runs already"; return 0; }
  config
  cg=$(cgroup_of "$r")
  mkdir -p "$d" "$cg"
  # shellcheck disable=SC2046 # a command line
  (
    echo $BASHPID > "$cg/cgroup.procs"
    echo $BASHPID > "$d/pid"
    exec setsid $(cmd "$r") > "$d/log" 2>&1 < /dev/null 9>&-
  ) &
  for ((i = 0; i < 300; i++)); do
    if crictl -r "unix://$(sock "$r")" info 2> /dev/null | grep -q NetworkReady; then
      say "$r runs ($(pid_of "$r")): $(sock "$r")"
      return 0
    fi
    kill -0 "$(cat "$d/pid")" 2> /dev/null || break
    sleep 0.2
  done
  tail -5 "$d/log" >&2
  die "$r did not start; see $d/log"
}

stop() {
  local p i
  p=$(pid_of "$1")
  if [ -n "$p" ]; then
    kill "$p" 2> /dev/null || true
    for ((i = 0; i < 100; i++)); do kill -0 "$p" 2> /dev/null || break; sleep 0.1; done
    # a daemon busy with a call may not heed SIGTERM: it must not outlive its state
    if kill -9 "$p" 2> /dev/null; then say "$1 ($p) had to be killed"; fi
  fi
  rm -f "$RUN/$1/pid"
}

# strays kills what the daemon left: its shims or conmons, known by our paths in
# their command lines, and their children.
strays() {
  local d c
  for d in /proc/[0-9]*; do
    case $({ tr '\0' ' ' < "$d/cmdline"; } 2> /dev/null) in
      *containerd-shim*"$RUN/$1/"* | *conmon*"$RUN/$1/"*)
        for c in $(cat "$d"/task/*/children 2> /dev/null); do kill -9 "$c" 2> /dev/null || true; done
        kill -9 "${d#/proc/}" 2> /dev/null || true ;;
    esac
  done
}

clean() {
  local r=$1 s i pods
  s=unix://$(sock "$r")
  if [ -n "$(pid_of "$r")" ]; then
    # a call has two seconds by default, and one that fails leaves network namespaces
    for ((i = 0; i < 3; i++)); do
      crictl -t 60s -r "$s" pods -q | xargs -r -n 20 timeout 120 crictl -t 60s -r "$s" rmp -f > /dev/null 2>&1 && break
    done
    pods=$(crictl -t 60s -r "$s" pods -q | wc -l) || pods="it is not known how many"
    [ "$pods" = 0 ] || say "$pods pods of $r could not be removed: their network namespaces are left"
  fi
  stop "$r"
  strays "$r"
  # mounts left under the state, deepest first
  for ((i = 0; i < 10; i++)); do
    awk -v d="$RUN/$r/" 'index($5, d) == 1 {print $5}' /proc/self/mountinfo | sort -r | xargs -r -n 1 umount -l 2> /dev/null || true
    rm -rf --one-file-system "${RUN:?}/$r" 2> /dev/null && break
    sleep 0.3
  done
  [ ! -d "$RUN/$r" ] || say "something is left in $RUN/$r"
  # what was killed leaves its cgroup when it has ended
  for ((i = 0; i < 20; i++)); do
    [ -d "$(cgroup_of "$r")" ] || return 0
    if rmdir "$(cgroup_of "$r")" 2> /dev/null; then return 0; fi
    sleep 0.1
  done
  say "left: $(cgroup_of "$r")"
}

# net_clean removes the bridge, and of the CNI- chains those of our network.
net_clean() {
  local v chains c
  ip link del $BRIDGE 2> /dev/null || true
  rm -rf "$RUN/cni"
  for v in iptables ip6tables; do
    command -v "$v" > /dev/null || continue
    chains=$("$v-save" -t nat 2> /dev/null | sed -n "s/^-A \(CNI-[^ ]*\) .*$NETWORK.*/\1/p; s/^-A .*$NETWORK.*-j \(CNI-[^ ]*\).*/\1/p" | sort -u)
    # rules of other chains that are ours first, then the chains
    "$v-save" -t nat 2> /dev/null | sed -n "/$NETWORK/s/^-A //p" | while read -r rule; do
      eval "$v -w -t nat -D $rule" 2> /dev/null || true
    done
    for c in $chains; do
      case $c in CNI-HOSTPORT-*) continue ;; esac # shared with other networks
      "$v" -w -t nat -F "$c" 2> /dev/null || true
      "$v" -w -t nat -X "$c" 2> /dev/null || true
    done
    # the shared chains go when nothing is in them, with what jumps to them
    for c in CNI-HOSTPORT-DNAT CNI-HOSTPORT-MASQ CNI-HOSTPORT-SETMARK; do
      "$v" -w -t nat -S "$c" > /dev/null 2>&1 || continue
      [ "$c" = CNI-HOSTPORT-DNAT ] && "$v" -w -t nat -S "$c" | grep -q '^-A' && break
      "$v-save" -t nat | sed -n "/-j $c\$/s/^-A //p" | while read -r rule; do eval "$v -w -t nat -D $rule" || true; done
      "$v" -w -t nat -F "$c" && "$v" -w -t nat -X "$c" || true
    done
  done
}

case ${1:-} in
  config) config ;;
  cmd | start | stop | clean) known "${2:?a peer}"; "$1" "$2" ;;
  env) echo "SOCK=$(sock "${2:?a peer}") PID=$(pid_of "$2") CGROUP=$(cgroup_of "$2")" ;;
  net-clean) net_clean ;;
  *) usage >&2; exit 2 ;;
esac
