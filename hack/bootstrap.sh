#!/bin/bash
# Install what building and running podwright needs, and nothing that is there already.
#
#   hack/bootstrap.sh         everything for a build and a run
#   hack/bootstrap.sh check   and what `npm run check` needs besides
#   hack/bootstrap.sh ARCH    and what a build for amd64 or arm64 needs on a machine that is the other, and
#                             programs of it to run here (qemu-ARCH; the kernel is told nothing of it)
#
# Debian 12 or later (or any system where the tools are there). Says what it does,
# changes nothing on a machine that has it all, and then takes a fraction of a second.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; exit ;; esac
cd "$(dirname "$0")/.."

RUST_MINIMUM=90 # of 1.x: native/Cargo.toml, rust-version
say() { printf '[bootstrap] %s\n' "$*" >&2; }
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
die() { printf '[bootstrap] %s\n' "$*" >&2; exit 1; }

# apt_need COMMAND=PACKAGE... installs the packages whose command (or file) is missing.
apt_need() {
  local pair missing=()
  for pair in "$@"; do
    case ${pair%%=*} in
      /*) [ -e "${pair%%=*}" ] || missing+=("${pair#*=}") ;;
      *) command -v "${pair%%=*}" > /dev/null || missing+=("${pair#*=}") ;;
    esac
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get > /dev/null || die "install these first: ${missing[*]}"
  [ "$(id -u)" = 0 ] || die "run as root, or first: apt-get install -y ${missing[*]}"
  say "installing system packages: ${missing[*]}"
  apt-get -o DPkg::Lock::Timeout=300 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    "${missing[@]}" > /dev/null
}

# rust_minor prints x of the cargo 1.x that would build native/, or 0.
rust_minor() {
  local version
  version=$(cargo --version 2> /dev/null) || { echo 0; return; }
  [[ $version =~ ^cargo\ 1\.([0-9]+) ]] && echo "${BASH_REMATCH[1]}" || echo 0
}

rustup_line='curl --proto =https --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal'

# rustup from its own site, else from the distribution (Debian 13 has it).
need_rustup() {
  ! command -v rustup > /dev/null || return 0
  say 'installing rustup'
  if curl --proto =https --tlsv1.2 -sSf --connect-timeout 15 https://sh.rustup.rs -o "$TMP/rustup.sh"; then
    sh "$TMP/rustup.sh" -y -q --profile minimal --default-toolchain none --no-modify-path > /dev/null 2>&1 || return 1
    PATH=$HOME/.cargo/bin:$PATH
  elif LC_ALL=C apt-cache policy rustup 2> /dev/null | grep -q 'Candidate: [0-9]'; then
    apt_need rustup=rustup
  fi
  command -v rustup > /dev/null
}

need_rust() {
  [ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
  [ "$(rust_minor)" -lt $RUST_MINIMUM ] || return 0
  local found
  found=$(cargo --version 2> /dev/null || echo 'no cargo')
  need_rustup || die "Rust 1.$RUST_MINIMUM or later is needed ($found) and rustup could not be installed. Run:
  $rustup_line"
  say "installing a Rust toolchain ($found)"
  rustup toolchain install stable --profile minimal > /dev/null 2>&1 && rustup default stable > /dev/null 2>&1 ||
    die 'rustup could not install a toolchain. Run: rustup toolchain install stable && rustup default stable'
  hash -r
  [ "$(rust_minor)" -ge $RUST_MINIMUM ] || die "cargo in PATH is $(cargo --version 2>&1), and 1.$RUST_MINIMUM is needed. Run:
  $rustup_line"
}

# The monitor is static: with musl where that target can be had, else with glibc (hack/build.sh).
need_static_target() {
  local target
  target=$(uname -m)-unknown-linux-musl
  [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] && return
  command -v rustup > /dev/null || { say "no rustup, so no $target: the monitor will be linked with static glibc"; return; }
  say "adding the Rust target $target"
  rustup target add "$target" > /dev/null 2>&1 || say "no $target here: the monitor will be linked with static glibc"
}

# need_other RUST DEBIAN: cross compiler, its libraries, an emulator of programs, and the targets of Rust.
need_other() {
  local rust=$1 libc target
  [ "$(uname -m)" != "$rust" ] || return 0
  apt_need "$rust-linux-gnu-gcc=gcc-${rust/_/-}-linux-gnu" "/usr/$rust-linux-gnu/include/stdio.h=libc6-dev-$2-cross" \
    "/usr/$rust-linux-gnu/lib/libstdc++.so.6=libstdc++6-$2-cross" "qemu-$rust=qemu-user"
  for libc in gnu musl; do
    target=$rust-unknown-linux-$libc
    [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || continue
    say "adding the Rust target $target"
    rustup target add "$target" > /dev/null 2>&1 || die "run: rustup target add $target"
  done
}

need_node_modules() {
  command -v npm > /dev/null || die "npm is needed; run: apt-get install -y npm"
  if ! node hack/node-modules-current.mjs; then
    say "installing the npm packages (npm ci)"
    npm ci --no-audit --no-fund --loglevel=error >&2
  fi
  node_modules/.bin/node --version > /dev/null 2>&1 ||
    die "the Node runtime of node_modules does not start: its install script may have been held back. Run:
  npm rebuild node"
}

apt_need gcc=gcc /usr/include/stdio.h=libc6-dev curl=curl /etc/ssl/certs/ca-certificates.crt=ca-certificates \
  iptables-restore=iptables ip=iproute2 flock=util-linux
need_rust
need_static_target
need_node_modules
case ${1:-} in
  check)
    for part in clippy rustfmt; do
      cargo "${part/rustfmt/fmt}" --version > /dev/null 2>&1 || {
        say "adding the Rust component $part"
        rustup component add "$part" > /dev/null 2>&1 || die "run: rustup component add $part"
      }
    done
    ;;
  amd64) need_other x86_64 amd64 ;;
  arm64) need_other aarch64 arm64 ;;
esac
