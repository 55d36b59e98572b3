# The node of the cluster and the programs of Kubernetes on it; sourced by hack/cluster, not run.
# shellcheck shell=bash disable=SC2154 # DIR, BIN and the rest are set there

# hierarchies prints where this host's cgroup hierarchies are mounted.
hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/mounts; }

# make_node gives the node an address (the kubelet refuses loopback's) and the kubelet a cgroup to be its root.
make_node() {
  local h
  if ! [ -e "/sys/class/net/$NODE_LINK" ]; then
    ip link add "$NODE_LINK" type bridge # not every kernel has type dummy
    ip address add "$NODE_IP/32" dev "$NODE_LINK"
    ip link set "$NODE_LINK" up
  fi
  for h in $(hierarchies); do
    mkdir -p "$h/$CGROUP"
    # in cpuset of v1 a new group is empty, and nothing can be in it
    if [ -e "$h/cpuset.cpus" ] && [ -e "$h/$CGROUP/cpuset.cpus" ] && [ -z "$(cat "$h/$CGROUP/cpuset.cpus")" ]; then
      cat "$h/cpuset.cpus" > "$h/$CGROUP/cpuset.cpus"
      cat "$h/cpuset.mems" > "$h/$CGROUP/cpuset.mems"
    fi
  done
}

# end_node removes what make_node and the kubelet made, once nothing runs any more; dies when something is in the way.
end_node() {
  local h left
  awk -v d="$DIR/" 'index($5, d) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r h; do umount "$h" || true; done
  left=$(awk -v d="$DIR/" 'index($5, d) == 1 {print $5}' /proc/self/mountinfo)
  [ -z "$left" ] || die "still mounted: $left"
  for h in $(hierarchies); do
    [ -d "$h/$CGROUP" ] || continue
    find "$h/$CGROUP" -depth -type d -exec rmdir {} \; 2> /dev/null || true
    [ ! -d "$h/$CGROUP" ] || die "processes are left in $h/$CGROUP: $(find "$h/$CGROUP" -name cgroup.procs -exec cat {} + | paste -sd' ')"
  done
  [ ! -e "/sys/class/net/$NODE_LINK" ] || ip link del "$NODE_LINK"
  rm -rf --one-file-system "$DIR"
}

answers() { curl -fsS -m 5 -o /dev/null "$@" 2> /dev/null; }
etcd_ready() { answers "http://127.0.0.1:$((BASE_PORT + 379))/health"; }
api_ready() { answers --cacert "$DIR/pki/ca.crt" --cert "$DIR/pki/admin.crt" --key "$DIR/pki/admin.key" "$API/readyz"; }
node_ready() {
  [ -n "$(pid_of kubelet)" ] &&
    [ "$(kube get node "$NODE" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}' 2> /dev/null)" = True ]
}
# without its service account and the authority's certificate a namespace takes no pods
account_there() { kube get serviceaccount/default configmap/kube-root-ca.crt > /dev/null 2>&1; }

# start_control_plane starts what does not run of it.
start_control_plane() {
  local client=http://127.0.0.1:$((BASE_PORT + 379)) peer=http://127.0.0.1:$((BASE_PORT + 380)) pki=$DIR/pki
  # the data of a test cluster need not outlive the power
  start etcd "$BIN/etcd" --data-dir="$DIR/etcd" --unsafe-no-fsync --listen-client-urls="$client" --advertise-client-urls="$client" \
    --listen-peer-urls="$peer" --initial-advertise-peer-urls="$peer" --initial-cluster="default=$peer"
  await etcd 60 etcd_ready
  start kube-apiserver "$BIN/kube-apiserver" --etcd-servers="$client" --bind-address="$NODE_IP" --secure-port=$((BASE_PORT + 443)) \
    --advertise-address="$NODE_IP" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --client-ca-file="$pki/ca.crt" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --kubelet-client-certificate="$pki/apiserver-kubelet-client.crt" --kubelet-client-key="$pki/apiserver-kubelet-client.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/sa.pub" \
    --service-account-signing-key-file="$pki/sa.key" --service-cluster-ip-range="$SERVICE_NET" --allow-privileged=true \
    ${GATES:+--feature-gates="$GATES"}
  await kube-apiserver 120 api_ready
  start kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig="$pki/controller-manager.kubeconfig" \
    --authentication-kubeconfig="$pki/controller-manager.kubeconfig" --authorization-kubeconfig="$pki/controller-manager.kubeconfig" \
    --bind-address=127.0.0.1 --secure-port=$((BASE_PORT + 257)) --leader-elect=false --use-service-account-credentials \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt"
  start kube-scheduler "$BIN/kube-scheduler" --kubeconfig="$pki/scheduler.kubeconfig" \
    --authentication-kubeconfig="$pki/scheduler.kubeconfig" --authorization-kubeconfig="$pki/scheduler.kubeconfig" \
    --bind-address=127.0.0.1 --secure-port=$((BASE_PORT + 259)) --leader-elect=false
}

# yaml_gates prints a kubelet's featureGates of A=true,B=true.
yaml_gates() { [ -z "$1" ] || { echo 'featureGates:' && tr , '\n' <<< "$1" | sed 's/^\(.*\)=\(.*\)$/  \1: \2/'; }; }

configure_kubelet() {
  mkdir -p "$DIR/manifests" "$DIR/kubelet.d" "$DIR/pods"
  {
    cat << Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
healthzBindAddress: 127.0.0.1
healthzPort: $((BASE_PORT + 248))
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $DIR/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $DIR/pki/kubelet.crt
tlsPrivateKeyFile: $DIR/pki/kubelet.key
staticPodPath: $DIR/manifests
fileCheckFrequency: 2s
podLogsDir: $DIR/pods
containerRuntimeEndpoint: unix://$(socket_of "$(cat "$DIR/runtime")")
cgroupRoot: /$CGROUP
failCgroupV1: false # hosts of both kinds
failSwapOn: false
enforceNodeAllocatable: [pods]
makeIPTablesUtilChains: false
serializeImagePulls: false
maxPods: 250
syncFrequency: 10s
nodeStatusUpdateFrequency: 5s
# this machine's disk is not ours to watch over
evictionHard: {memory.available: 50Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%, imagefs.inodesFree: 0%}
containerLogMaxSize: 1Mi
containerLogMaxFiles: 3
containerLogMonitorInterval: 3s
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
Y
    yaml_gates "$(cat "$DIR/gates" 2> /dev/null || true)"
  } > "$DIR/kubelet.yaml"
}

start_kubelet() {
  configure_kubelet
  start kubelet "$BIN/kubelet" --config="$DIR/kubelet.yaml" --config-dir="$DIR/kubelet.d" --root-dir="$DIR/kubelet" \
    --kubeconfig="$DIR/pki/node.kubeconfig" --hostname-override="$NODE" --node-ip="$NODE_IP" --v=2
  await kubelet 60 answers "http://127.0.0.1:$((BASE_PORT + 248))/healthz"
}

# drain has everything deleted that makes pods, and then the pods, each with its grace.
drain() {
  say "ending the pods"
  rm -f "$DIR/manifests"/*
  kube delete deployments,statefulsets,daemonsets,replicasets,jobs,cronjobs --all -A --wait=false --cascade=background > /dev/null || true
  kube delete pods --all -A --timeout=120s > /dev/null || say "some pods did not end in time: they are removed by force"
}

# nothing_left dies when the host still holds something of the cluster.
nothing_left() {
  local left=() process line h link
  for process in /proc/[0-9]*; do
    line=$({ tr '\0' ' ' < "$process/cmdline"; } 2> /dev/null) || continue
    case $line in *"$DIR/"*) [ "${process#/proc/}" = $$ ] || left+=("process ${process#/proc/}: ${line:0:120}") ;; esac
  done
  for link in "$NODE_LINK" "$BRIDGE"; do [ ! -e "/sys/class/net/$link" ] || left+=("interface $link"); done
  while read -r line; do left+=("rule $line"); done < <({ iptables-save && ip6tables-save; } 2> /dev/null | grep -e "$BRIDGE" -e "${POD_SUBNET%.*.*}\." || true)
  while read -r line; do left+=("mount $line"); done < <(awk -v d="$DIR/" 'index($5, d) == 1 {print $5}' /proc/self/mountinfo)
  for h in $(hierarchies); do [ ! -d "$h/$CGROUP" ] || left+=("cgroup $h/$CGROUP"); done
  [ ! -e "$DIR" ] || left+=("directory $DIR")
  [ ${#left[@]} -eq 0 ] || { printf 'left: %s\n' "${left[@]}" >&2; die "the cluster left something"; }
}
