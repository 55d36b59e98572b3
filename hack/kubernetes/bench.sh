# How long the pods of a Deployment take from apply to all Ready; sourced by hack/cluster, not run.
# shellcheck shell=bash disable=SC2154 # BIN and the rest are set there

# deployment NAME REPLICAS prints one of pods that sleep. Their image is there: a kubelet that asks the registry for each pod
# makes five requests a second (registryPullQPS) and lets those beyond wait ten, whatever the runtime.
deployment() {
  cat << Y
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1, namespace: default}
spec:
  replicas: $2
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: "127.0.0.1:$REGISTRY_PORT/bench/tools:latest"
          imagePullPolicy: IfNotPresent
          command: [sleep, "3600"]
Y
}

# all_ready NAME REPLICAS waits until they are, and then prints how long it took since apply, in milliseconds.
all_ready() {
  local begun
  begun=$(date +%s%N)
  deployment "$1" "$2" | kube apply -f - > /dev/null
  kube wait "deployment/$1" --for=jsonpath='{.status.readyReplicas}'="$2" --timeout=600s > /dev/null
  echo $((($(date +%s%N) - begun) / 1000000))
}

# gone NAME deletes the Deployment and waits until its pods are gone; prints how long that took, in milliseconds.
gone() {
  local begun
  begun=$(date +%s%N)
  kube delete deployment "$1" --wait=false > /dev/null
  kube wait pod -l "app=$1" --for=delete --timeout=300s > /dev/null
  echo $((($(date +%s%N) - begun) / 1000000))
}

bench() {
  local pods=${1:-30} rounds=${2:-3} round runtime ready ended
  [ ! -e "$DIR" ] || die "a cluster is there: hack/cluster down first"
  for ((round = 1; round <= rounds; round++)); do
    for runtime in podwright containerd; do
      up --runtime "$runtime"
      all_ready warm 1 > /dev/null # the image is there, all caches are warm
      gone warm > /dev/null
      ready=$(all_ready pods "$pods")
      ended=$(gone pods)
      printf 'round %s, %-10s  %s pods Ready %6s ms after apply, gone %6s ms after delete; load %s\n' \
        "$round" "$runtime" "$pods" "$ready" "$ended" "$(cut -d' ' -f1 /proc/loadavg)"
      down
    done
  done
}
