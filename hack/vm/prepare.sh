# What a machine of hack/testbed needs before its first boot: packages, a kernel,
# and for QEMU an initial RAM disk. Sourced by hack/testbed; uses CACHE, HERE, engine.
# shellcheck shell=bash disable=SC2154 # the variables of a machine are set by hack/testbed

VIRTIOFSD=${TESTBED_VIRTIOFSD:-/usr/lib/qemu/virtiofsd}

# A machine's programs may be where only root's PATH looks.
have() { command -v "$1" >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }

apt_update() {
  [ -e "$CACHE/.apt-updated" ] || timeout 300 apt-get update -q >>"$CACHE/apt.log" 2>&1 || return
  touch "$CACHE/.apt-updated"
}

apt_install() {
  echo "testbed: installing $*" >&2
  [ "$(id -u)" = 0 ] || die "run as root, or install these first: $*"
  # lists of an older day may name packages that are gone
  apt_update && apt_get_install "$@" || { rm -f "$CACHE/.apt-updated"; apt_update && apt_get_install "$@"; } \
    || die "apt-get install failed, see $CACHE/apt.log"
}

apt_get_install() {
  DEBIAN_FRONTEND=noninteractive timeout 900 apt-get -o DPkg::Lock::Timeout=300 \
    install -q -y --no-install-recommends "$@" >>"$CACHE/apt.log" 2>&1
}

# Debian packages, only where a command is missing.
install_packages() {
  local need=() command
  local -A of=([mkfs.ext4]=e2fsprogs [iptables]=iptables [nft]=nftables [ip]=iproute2 [flock]=util-linux)
  if [ "$engine" = qemu ]; then
    of+=([qemu-system-x86_64]=qemu-system-x86 [busybox]=busybox-static [lz4]=lz4 [depmod]=kmod [cpio]=cpio)
    [ -x "$VIRTIOFSD" ] || need+=(qemu-system-common)
  elif [ ! -e "$CACHE/kernel/uml/ok" ]; then
    of+=([gcc]=gcc [make]=make [flex]=flex [bison]=bison [bc]=bc [xz]=xz-utils)
  fi
  for command in "${!of[@]}"; do have "$command" || need+=("${of[$command]}"); done
  [ ${#need[@]} -eq 0 ] || apt_install "${need[@]}"
}

# A Debian kernel, downloaded and unpacked, never installed: that would run hooks.
# Leaves vmlinux and lib/modules/VERSION in $CACHE/kernel/FLAVOUR.
prepare_kernel() {
  local k=$CACHE/kernel/$1 meta=linux-image-amd64 package version compressed offset
  [ -e "$k/ok" ] && return
  [ "$1" = cloud ] && meta=linux-image-cloud-amd64
  rm -rf "$k"; mkdir -p "$k/deb"
  package=$(kernel_package $meta)
  [ -n "$package" ] || { rm -f "$CACHE/.apt-updated"; apt_update; package=$(kernel_package $meta); }
  [ -n "$package" ] || die "no Debian kernel package found"
  note "downloading $package"
  (cd "$k/deb" && timeout 600 apt-get download -q "$package") >>"$CACHE/apt.log" 2>&1 \
    || die "cannot download $package, see $CACHE/apt.log"
  dpkg -x "$k"/deb/linux-image-*.deb "$k" || die "cannot unpack $package"
  version=$(basename "$k"/lib/modules/*)
  # Uncompressed and booted through its PVH entry: spares the emulated CPU the
  # decompression. Debian's amd64 kernels are LZ4 (cloud) or XZ (generic).
  compressed=$k/boot/vmlinuz-$version
  for offset in $(LC_ALL=C grep -abo $'\x02\x21\x4c\x18' "$compressed" | cut -d: -f1); do
    tail -c +$((offset + 1)) "$compressed" | lz4 -dcf >"$k/vmlinux" 2>/dev/null
    is_elf "$k/vmlinux" && break
  done
  is_elf "$k/vmlinux" || cp "$compressed" "$k/vmlinux"
  PATH=$PATH:/usr/sbin:/sbin depmod -b "$k" "$version" || die "depmod failed"
  rm -rf "${k:?}/usr" "$k/deb"
  echo "$version" >"$k/ok"
}

kernel_package() { apt-cache depends "$1" 2>/dev/null | awk '/Depends: linux-image/{print $2; exit}'; }
is_elf() { [ -e "$1" ] && [ "$(head -c 4 "$1" | tail -c 3)" = ELF ]; }

# User-mode Linux from Debian's kernel source, once for a configuration, everything built in. Kept: the binary alone.
prepare_uml() {
  local k=$CACHE/kernel/uml source=$CACHE/umlsrc
  [ -x "$k/linux" ] && [ -e "$k/ok" ] && cmp -s "$HERE/uml.config" "$k/config" && return
  mkdir -p "$k"
  echo "testbed: building user-mode Linux (some minutes; log: $CACHE/uml-build.log)" >&2
  [ -e /usr/src/linux-source-6.12.tar.xz ] || apt_install linux-source-6.12
  rm -rf "$source"; mkdir -p "$source"
  if ! (set -e; build_uml "$source" "$k") >"$CACHE/uml-build.log" 2>&1 </dev/null; then
    rm -f "$k/ok"
    die "the build failed, see $CACHE/uml-build.log"
  fi
  rm -rf "$source"
}

build_uml() {
  cd "$1"
  tar xJf /usr/src/linux-source-6.12.tar.xz --strip-components=1
  make ARCH=um defconfig
  grep -v '^#' "$HERE/uml.config" | tr -s ' ' '\n' | sed -n \
    's/^-\(..*\)/# CONFIG_\1 is not set/p;t;s/^\(..*\)/CONFIG_\1=y/p' >testbed.config
  echo 'CONFIG_LOCALVERSION="-testbed"' >>testbed.config
  scripts/kconfig/merge_config.sh -m .config testbed.config
  make ARCH=um olddefconfig
  # in the group of who asked: a limit on that one ends the compilers too
  timeout --foreground 7200 make ARCH=um -j"$(nproc)" linux
  strip -o "$2/linux" linux
  cp "$HERE/uml.config" "$2/config"
  make -s ARCH=um kernelrelease >"$2/ok"
}

# Initial RAM disk for QEMU: busybox, the few modules it takes to reach the root, /init.
prepare_initrd() {
  local k=$CACHE/kernel/$1 i=$CACHE/initrd.$1 version module file
  version=$(cat "$k/ok")
  [ "$i.cpio" -nt "$HERE/guest-init-qemu.sh" ] && [ "$i.cpio" -nt "$HERE/prepare.sh" ] && [ "$i.cpio" -nt "$k/ok" ] && return
  rm -rf "$i"; mkdir -p "$i"/{bin,mod,proc,sys,dev,host,over,root}
  cp "$(command -v busybox)" "$i/bin/busybox"; ln -s busybox "$i/bin/sh"
  : >"$i/mod/list"
  for module in virtio_pci virtio_mmio virtio_console virtio_blk virtiofs overlay virtio_net; do
    # dependencies first; every module once
    modprobe -d "$k" -S "$version" --show-depends "$module" 2>/dev/null | awk '$1=="insmod"{print $2}'
  done | awk '!s[$0]++' | while read -r file; do
    file=$(readlink -f "$file"); cp "$file" "$i/mod/" && basename "$file" >>"$i/mod/list"
  done
  install -m 755 "$HERE/guest-init-qemu.sh" "$i/init"
  (cd "$i" && find . | cpio -o -H newc --quiet) >"$i.cpio.tmp" && mv "$i.cpio.tmp" "$i.cpio" \
    || die "cannot build the initial RAM disk"
}

# prepare FLAVOUR makes what is missing for $engine; one at a time of an engine for all who share the cache.
prepare() {
  mkdir -p "$CACHE/vm" "$CACHE/kernel" || die "cannot make $CACHE"
  exec 9>"$CACHE/lock-$engine"; flock -w 2400 9 || die "another testbed is preparing for too long"
  install_packages; PATH=$PATH:/usr/sbin:/sbin
  if [ "$engine" = uml ]; then prepare_uml; else prepare_kernel "$1"; prepare_initrd "$1"; fi
  exec 9>&-
}
