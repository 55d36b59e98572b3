#!/bin/bash
# The release for arm64 in an emulated machine whose kernel is Debian's for arm64: pods for real, by guest.ts beside this.
# Takes some minutes, longer on a busy machine. The machine's packages (kernel, C library, iptables, busybox) are downloaded
# once into the cache of hack/testbed, and never installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(uname -m)" != aarch64 ] || { echo 'skipped: this machine is one'; echo '0 passed, 0 failed, 1 skipped'; exit 0; }
PATH=$PATH:/usr/sbin:/sbin
CACHE=${PODWRIGHT_TESTBED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/podwright-testbed} HERE=hack/vm
die() { echo "machine: $*" >&2; exit 1; }
. hack/vm/prepare.sh
declare -A package=([qemu-system-aarch64]=qemu-system-arm [depmod]=kmod [cpio]=cpio [mkfs.ext4]=e2fsprogs)
for program in "${!package[@]}"; do have "$program" || apt_install "${package[$program]}"; done

work=$(mktemp -d /tmp/pwa-machine-XXXXXX)
trap 'rm -rf "$work"' EXIT
store=$CACHE/arm64

# An apt of its own: nothing installed, and arm64 its only architecture.
apt() {
  local tool=$1
  shift
  "$tool" -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root -o Dir::State="$store" \
    -o Dir::State::lists="$store/lists" -o Dir::State::status="$store/status" -o Dir::Cache="$store" "$@"
}
if [ ! -e "$store/ok" ]; then
  rm -rf "$store"
  mkdir -p "$store"/lists/partial "$store"/archives/partial
  : > "$store/status"
  {
    apt apt-get update
    kernel=$(apt apt-cache depends linux-image-cloud-arm64 | awk '/Depends: linux-image/ {print $2; exit}')
    (cd "$store/archives" && apt apt-get download "$kernel")
    apt apt-get install -y --download-only --no-install-recommends busybox-static iptables kmod libstdc++6
  } > "$work/apt.log" 2>&1 || { cat "$work/apt.log"; die 'Debian gives no packages for arm64'; }
  rm -rf "$store/lists"
  : > "$store/ok"
fi

root=$work/root
mkdir -p "$root"/usr/{bin,sbin,lib} "$root"/{proc,sys,dev,run,tmp,opt,work}
for name in bin sbin lib; do ln -s "usr/$name" "$root/$name"; done
for deb in "$store"/archives/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"; done
mv "$root"/boot/vmlinuz-* "$work/kernel"
rm -rf "$root/boot" "$root/usr/share"
version=$(ls "$root/lib/modules")
depmod -b "$root" "$version"
ln -s busybox "$root/bin/sh"
# in a package alternatives would point at it
for name in iptables ip6tables; do
  for verb in '' -save -restore; do ln -sf xtables-nft-multi "$root/usr/sbin/$name$verb"; done
done
AS_BUILT=1 hack/release.sh --arch arm64 tree "$root/opt/podwright"
aarch64-linux-gnu-strip "$root/opt/podwright/lib/podwright/node" # a third less to read
node_modules/.bin/esbuild test/arm64/guest.ts --bundle --platform=node --format=esm --log-level=warning \
  --banner:js="import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" \
  --outfile="$root/guest/guest.mjs"
cat > "$root/init" << 'END'
#!/bin/sh
b=/bin/busybox PATH=/usr/bin:/usr/sbin
export PATH
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev; $b mount -t cgroup2 cgroup /sys/fs/cgroup
$b mkdir -p /dev/pts /dev/shm; $b mount -t devpts pts /dev/pts
for at in /dev/shm /run /tmp; do $b mount -t tmpfs tmp $at; done
$b ip link set lo up
/opt/podwright/lib/podwright/node /guest/guest.mjs
$b poweroff -f
END
chmod 755 "$root/init"

# the few modules it takes to reach the disk
first=$work/first
mkdir -p "$first"/{bin,mod,proc,dev,root}
cp "$root/bin/busybox" "$first/bin/"
for module in virtio_pci virtio_blk; do
  modprobe -d "$root" -S "$version" --show-depends "$module" | awk '$1 == "insmod" {print $2}'
done | awk '!seen[$0]++' | while read -r file; do cp "$file" "$first/mod/" && basename "$file"; done > "$first/mod/list"
cat > "$first/init" << 'END'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t devtmpfs dev /dev
for m in $($b cat /mod/list); do $b insmod "/mod/$m"; done
until [ -b /dev/vda ]; do $b sleep 0.1; done
$b mount -t ext4 /dev/vda /root && exec $b switch_root /root /init
END
chmod 755 "$first/init"
(cd "$first" && find . | cpio -o -H newc --quiet) > "$work/first.cpio"
mkfs.ext4 -q -d "$root" "$work/disk" 1500M

timeout "${MACHINE_TIMEOUT:-3000}" qemu-system-aarch64 -machine virt -cpu neoverse-n1 -accel tcg,thread=multi -m 1536 -nodefaults \
  -display none -no-reboot -kernel "$work/kernel" -initrd "$work/first.cpio" -serial stdio < /dev/null \
  -append 'console=ttyAMA0 panic=-1 quiet loglevel=1 rcupdate.rcu_expedited=1 cgroup_no_v1=all' \
  -drive file="$work/disk",if=none,id=disk,format=raw,cache=unsafe -device virtio-blk-pci,drive=disk | tr -d '\r' | tee "$work/console"
grep -q '^[0-9]* passed, 0 failed$' "$work/console"
