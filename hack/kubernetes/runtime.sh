# The runtimes below the cluster, podwright and containerd; sourced by hack/cluster, not run.
# shellcheck shell=bash disable=SC2154 # DIR, REPO and the rest are set there

STATE=$DIR/state # short: the sockets of monitors are below it, and sun_path has 108 bytes
BRIDGE=pwcluster0
POD_SUBNET=10.98.0.0/16

# socket_of RUNTIME
socket_of() {
  if [ "$1" = podwright ]; then echo "$STATE/podwright.sock"; else (eval "$("$KIT/peer.sh" env "$1")" && echo "$SOCK"); fi
}

podwright() { "$REPO/dist/podwright" --socket "$STATE/podwright.sock" "$@"; }

configure_podwright() {
  mkdir -p "$DIR/net.d" "$DIR/podwright.d"
  "$REPO/hack/critest.sh" --certs-dir "$DIR/certs.d"
  cat > "$DIR/net.d/10-bridge.conflist" << J
{
  "cniVersion": "1.0.0",
  "name": "podwright-cluster",
  "plugins": [
    {
      "type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "ipMasq": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": "$DIR/networks",
        "ranges": [[{"subnet": "$POD_SUBNET"}]], "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
J
  cat > "$DIR/podwright.toml" << T
[metrics]
address = "127.0.0.1:$((BASE_PORT + 464))"

[network]
bridge = "$BRIDGE"
subnet = "$POD_SUBNET"
conf_dir = "$DIR/net.d"
bin_dirs = ["$BIN/cni"]

[registry]
config_path = "$DIR/certs.d"
registries_conf = ""

[container]
seccomp_root = "$DIR/kubelet/seccomp"
T
}

start_runtime() {
  case $1 in
    podwright)
      [ -x "$REPO/dist/podwrightd" ] || die "no dist/podwrightd: run npm run build"
      configure_podwright
      start podwrightd "$REPO/dist/podwrightd" --root "$DIR/root" --state "$STATE" --config "$DIR/podwright.toml" --log-format json
      await podwrightd 60 podwright_ready ;;
    containerd)
      configure_podwright # for whoever moves the node
      "$KIT/peer.sh" start containerd ;;
  esac
}
podwright_ready() { podwright version > /dev/null 2>&1; }

# stop_runtime RUNTIME [SIGNAL] ends the daemon; its pods stay.
stop_runtime() {
  case $1 in
    podwright) stop podwrightd "${2:-TERM}" ;;
    containerd) "$KIT/peer.sh" stop containerd ;;
  esac
}

# end_runtime RUNTIME removes every pod that is left through the CRI, then the daemon and its state.
end_runtime() {
  local i
  case $1 in
    podwright)
      [ -d "$STATE" ] || return 0
      if [ -z "$(pid_of podwrightd)" ]; then start_runtime podwright; fi
      podwright shutdown 2>&1 | sed 's/^/  /' >&2
      for ((i = 0; i < 200; i++)); do [ -n "$(pid_of podwrightd)" ] || break; sleep 0.1; done
      stop podwrightd
      end_network ;;
    containerd)
      "$KIT/peer.sh" clean containerd
      "$KIT/peer.sh" net-clean ;;
  esac
}

# end_network removes the bridge and the rules of its network, which CNI keeps as long as the node lives.
end_network() {
  ip link del "$BRIDGE" 2> /dev/null || true
}
