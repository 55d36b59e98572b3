#!/bin/bash
# Make the test images and serve them from a registry on loopback.
#
#   hack/testkit/images.sh           make what is missing, start the registry, push
#   hack/testkit/images.sh serve     only start the registry
#   hack/testkit/images.sh stop      stop it
#   hack/testkit/images.sh status    say whether it runs and which images it has
#   hack/testkit/images.sh ref NAME  the reference of an image: images.sh ref demo
#
# NO_BIG=1 leaves out the 1.2 GB image of the pull benchmark, NO_EVIL=1 the
# defective ones. The registry is 127.0.0.1:${PODWRIGHT_REGISTRY_PORT:-5000}, plain
# HTTP. State is in the cache (see install.sh): images/ and registry/.
# images/images.json lists every image with its digests, images/files/ has
# images as OCI layouts and archives.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$HERE/lib.sh"
KIT=$HERE/imagekit IMAGES=$TESTKIT_CACHE/images STORE=$TESTKIT_CACHE/registry

# The layers of bench/big: each line is one layer, of these Debian packages' files.
BIG_LAYERS='
01-perl     libc6 libstdc++6 perl-base perl-modules-5.36 libperl5.36
02-gcc      gcc-12 cpp-12 g++-12 libgcc-12-dev libstdc++-12-dev libc6-dev
03-llvm     libllvm14 libclang-cpp14
04-golang   golang-1.19-go
05-python   libpython3.11-minimal python3.11-minimal libpython3.11-stdlib libpython3.11-dev vim-runtime
06-openjdk  openjdk-17-jre-headless
07-misc     git libicu72 libgo21
'

registry_pid() {
  local p
  p=$(cat "$STORE/pid" 2> /dev/null) || return 1
  # the pid may be another program's by now
  { tr "\0" " " < "/proc/$p/cmdline"; } 2> /dev/null | grep -q "registry serve" && echo "$p"
}
answers() { curl -fs -m 20 -o /dev/null "$REGISTRY_URL/v2/"; }

serve() {
  local p i
  if p=$(registry_pid); then
    if answers; then return; fi
    say "registry $p does not answer at $REGISTRY_URL: starting it again"
    stop
  fi
  if answers; then
    say "something else serves a registry at $REGISTRY_URL: using it"
    return
  fi
  [ -x "$TESTKIT_BIN/registry" ] || die "no registry: run hack/testkit/install.sh registry"
  mkdir -p "$STORE/data"
  cat > "$STORE/config.yml" <<Y
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $STORE/data}
  delete: {enabled: true}
http: {addr: 127.0.0.1:$REGISTRY_PORT}
Y
  # nothing that its caller has open may stay open as long as it runs: a lock would never be free again
  (
    for i in /proc/"$BASHPID"/fd/*; do
      i=${i##*/}
      [ "$i" -le 2 ] || eval "exec $i>&-"
    done
    OTEL_TRACES_EXPORTER=none exec setsid "$TESTKIT_BIN/registry" serve "$STORE/config.yml" \
      > "$STORE/log" 2>&1 < /dev/null
  ) &
  p=$!
  echo "$p" > "$STORE/pid"
  for ((i = 0; i < 200; i++)); do
    if answers; then
      say "registry $p serves $REGISTRY_URL"
      return
    fi
    kill -0 "$p" 2> /dev/null || break
    sleep 0.1
  done
  tail -5 "$STORE/log" >&2
  die "the registry did not start"
}

stop() {
  local p i
  if p=$(registry_pid); then
    kill "$p" 2> /dev/null || true
    for ((i = 0; i < 50; i++)); do kill -0 "$p" 2> /dev/null || break; sleep 0.1; done
    kill -9 "$p" 2> /dev/null || true
  fi
  rm -f "$STORE/pid"
}

# missing prints the images of images.json that the registry does not have.
missing() {
  [ -s "$IMAGES/images.json" ] || { echo "(nothing pushed yet)"; return; }
  local a=application/vnd c
  while read -r repo tag digest; do
    c=$(curl -s -m 10 -o /dev/null -w '%header{docker-content-digest}' -I \
      -H "Accept: $a.oci.image.index.v1+json, $a.oci.image.manifest.v1+json, $a.docker.distribution.manifest.list.v2+json, $a.docker.distribution.manifest.v2+json" \
      "$REGISTRY_URL/v2/$repo/manifests/$tag") || true
    [ "$c" = "$digest" ] || echo "$repo:$tag"
  done < <(jq -r '.[] | . as $i | .tags[] | "\($i.repo) \(.) \($i.digest)"' "$IMAGES/images.json")
}

# big unpacks the packages of each layer that has not been made yet.
big() {
  local name pkgs d deb
  mkdir -p "$IMAGES/big"
  while read -r name pkgs; do
    [ -n "$name" ] || continue
    [ -e "$IMAGES/blobs/big-$name.tar.gz.json" ] && [ -e "$IMAGES/blobs/big-$name.tar.zst.json" ] && { mkdir -p "$IMAGES/big/$name"; continue; }
    [ -e "$IMAGES/big/.$name" ] && continue
    say "big image: downloading layer $name"
    d=$(mktemp -d)
    # shellcheck disable=SC2086 # a list of packages
    (cd "$d" && { apt-get -o APT::Sandbox::User=root -qq download $pkgs || {
      apt-get -o DPkg::Lock::Timeout=300 -qq update && apt-get -o APT::Sandbox::User=root -qq download $pkgs
    }; })
    rm -rf "${IMAGES:?}/big/$name"
    mkdir -p "$IMAGES/big/$name"
    for deb in "$d"/*.deb; do dpkg-deb -x "$deb" "$IMAGES/big/$name"; done
    rm -rf "$d"
    : > "$IMAGES/big/.$name"
  done <<< "$BIG_LAYERS"
}

all() {
  local v opts=(-cache "$IMAGES" -registry "$REGISTRY_URL") s=$SECONDS left
  serve
  v=$(tree_hash "$KIT")${NO_BIG:+-nobig}${NO_EVIL:+-noevil}
  if stamped images "$v" || { [ -n "${NO_BIG:-}${NO_EVIL:-}" ] && stamped images "$(tree_hash "$KIT")"; }; then
    left=$(missing)
    [ -n "$left" ] || { say "all images are there"; return; }
  fi
  mkdir -p "$IMAGES"
  # The images follow from their inputs alone, so that they can be made again at
  # any time; but from one gcc to the next a digest may change.
  if ! [ -x "$IMAGES/busybox" ] || ! stamped busybox "$(sha256sum < "$KIT/busybox.sh" | cut -c1-16)"; then
    say "building busybox from Debian's source ..."
    "$KIT/busybox.sh" "$IMAGES/busybox"
    stamp busybox "$(sha256sum < "$KIT/busybox.sh" | cut -c1-16)"
  fi
  if ! stamped guest "$(tree_hash "$KIT/guest")"; then
    say "building the guest programs"
    "$KIT/guest/build.sh" "$IMAGES/guest"
    stamp guest "$(tree_hash "$KIT/guest")"
  fi
  if ! [ -x "$TESTKIT_BIN/imagekit" ] || ! stamped imagekit "$(tree_hash "$KIT")"; then
    need_go
    mkdir -p "$TESTKIT_BIN"
    (cd "$KIT" && CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath" go build -o "$TESTKIT_BIN/imagekit" .)
    stamp imagekit "$(tree_hash "$KIT")"
  fi
  if [ -z "${NO_BIG:-}" ]; then
    big
    opts+=(-big "$IMAGES/big")
  fi
  [ -z "${NO_EVIL:-}" ] || opts+=(-evil=false)
  say "making and pushing the images (the first time takes minutes)"
  nice -n 5 "$TESTKIT_BIN/imagekit" "${opts[@]}"
  if [ -z "${NO_BIG:-}" ]; then rm -rf "$IMAGES/big"; fi # its layers are made
  stamp images "$v"
  say "images are served at $REGISTRY_URL ($((SECONDS - s)) s)"
}

case ${1:-all} in
  -h | --help) usage ;;
  serve) lock images; serve ;;
  stop) lock images; stop ;;
  status)
    answers || { echo "no registry at $REGISTRY_URL"; exit 1; }
    echo "registry ${REGISTRY_URL#http://} (pid $(registry_pid || echo "of another"))"
    [ -s "$IMAGES/images.json" ] && jq -r '.[] | "\(.repo)\t\(.tags | join(","))\t\(.digest)"' "$IMAGES/images.json"
    left=$(missing)
    [ -z "$left" ] || { echo "missing: ${left//$'\n'/ }"; exit 1; } ;;
  ref)
    jq -er --arg n "${2:?name}" '[.[] | select(.repo == $n or (.repo | endswith("/" + $n)))][0] | "127.0.0.1:'"$REGISTRY_PORT"'/\(.repo):\(.tags[0])"' "$IMAGES/images.json" ;;
  all) lock images; all ;;
  *) usage >&2; exit 2 ;;
esac
