# Keys, certificates and kubeconfigs of the cluster; sourced by hack/cluster, not run.
# shellcheck shell=bash disable=SC2154 # DIR, NODE_IP, NODE, API are set there

# issue NAME SUBJECT [EXTENSION...] makes NAME.key and NAME.crt, signed by our own authority.
issue() {
  local name=$1 subject=$2
  shift 2
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$DIR/pki/$name.key" -subj "$subject" 2> /dev/null |
    openssl x509 -req -days 30 -CA "$DIR/pki/ca.crt" -CAkey "$DIR/pki/ca.key" -set_serial "0x$(openssl rand -hex 8)" \
      -extfile <(printf '%s\n' 'extendedKeyUsage=clientAuth,serverAuth' "$@") -out "$DIR/pki/$name.crt" 2> /dev/null
}

# kubeconfig FILE NAME writes a kubeconfig by which whoever holds NAME's certificate reaches the API server.
kubeconfig() {
  cat > "$1" << Y
apiVersion: v1
kind: Config
clusters:
- {name: cluster, cluster: {server: "$API", certificate-authority: $DIR/pki/ca.crt}}
users:
- {name: $2, user: {client-certificate: $DIR/pki/$2.crt, client-key: $DIR/pki/$2.key}}
contexts:
- {name: cluster, context: {cluster: cluster, user: $2}}
current-context: cluster
Y
}

# pki makes all of it, once.
pki() {
  [ ! -e "$DIR/kubeconfig" ] || return 0
  mkdir -p "$DIR/pki"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=cluster-ca' \
    -keyout "$DIR/pki/ca.key" -out "$DIR/pki/ca.crt" 2> /dev/null
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$DIR/pki/sa.key" 2> /dev/null
  openssl pkey -in "$DIR/pki/sa.key" -pubout -out "$DIR/pki/sa.pub"
  issue apiserver /CN=kube-apiserver \
    "subjectAltName=IP:$NODE_IP,IP:127.0.0.1,IP:$SERVICE_IP,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default.svc"
  issue apiserver-kubelet-client /O=system:masters/CN=apiserver-kubelet-client
  issue admin /O=system:masters/CN=admin
  issue node "/O=system:nodes/CN=system:node:$NODE"
  issue kubelet "/CN=$NODE" "subjectAltName=IP:$NODE_IP,DNS:$NODE"
  issue controller-manager /CN=system:kube-controller-manager
  issue scheduler /CN=system:kube-scheduler
  local name
  for name in node controller-manager scheduler; do kubeconfig "$DIR/pki/$name.kubeconfig" "$name"; done
  kubeconfig "$DIR/kubeconfig.new" admin
  mv "$DIR/kubeconfig.new" "$DIR/kubeconfig"
}
