#!/bin/bash
# Build into dist/ what is older than its sources.
#
#   hack/build.sh                 everything: bundle addon monitor
#   hack/build.sh WHAT...         some of: bundle addon monitor
#
# dist/podwrightd and dist/podwright start with the project's own Node runtime;
# dist/addon.node and dist/podwright-monitor lie beside them. CARGO_TARGET_DIR is honoured.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; exit ;; esac
cd "$(dirname "$0")/.."
[ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
NODE=node_modules/.bin/node
STATIC=$(uname -m)-unknown-linux-musl

say() { printf '[build] %s\n' "$*" >&2; }
die() { printf '[build] %s\n' "$*" >&2; exit 1; }

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
  : > "dist/.stamps/$what.new"
  "$@" || { rm -f "dist/.stamps/$what.new"; die "building $what failed"; }
  mv -f "dist/.stamps/$what.new" "dist/.stamps/$what"
  say "built $what in $((SECONDS - start)) s"
}

# put FILE NAME replaces dist/NAME in one step: the old one may be in use.
put() {
  cp "$1" "dist/.$2.new"
  mv -f "dist/.$2.new" "dist/$2"
}

bundle() {
  local name
  "$NODE" hack/build-bundle.mjs || return
  for name in podwrightd podwright; do
    cp "hack/launcher/$name" "dist/.$name.new"
    chmod 755 "dist/.$name.new"
    mv -f "dist/.$name.new" "dist/$name"
  done
}

target_dir() { (cd native && printf '%s' "${CARGO_TARGET_DIR:-$PWD/target}"); }

addon() {
  (cd native && cargo build --release --locked -q -p podwright-addon) || return
  put "$(target_dir)/release/libpodwright_addon.so" addon.node
}

# static_program CRATE builds a static program: with musl if Rust has that target, else with glibc.
static_program() {
  local target=$STATIC
  if ! [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
    target=$(uname -m)-unknown-linux-gnu
    export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
  fi
  (cd native && cargo build --profile monitor --locked -q --target "$target" -p "$1") || return
  put "$(target_dir)/$target/monitor/$1" "$1"
}

[ $# -gt 0 ] || set -- bundle addon monitor
mkdir -p dist/.stamps
exec 9> dist/.lock
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
      inputs=(src proto hack/build-bundle.mjs hack/launcher package.json package-lock.json)
      if stale "dist/.stamps/$what" "${inputs[@]}"; then timed "$what" bundle; fi
      ;;
    addon)
      if stale "dist/.stamps/$what" "${addon_inputs[@]}"; then timed "$what" addon; fi
      ;;
    monitor)
      if stale "dist/.stamps/$what" "${monitor_inputs[@]}"; then timed "$what" static_program podwright-monitor; fi
      ;;
    *) die "no part $what: bundle, addon or monitor" ;;
  esac
done
