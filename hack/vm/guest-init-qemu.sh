#!/bin/sh
# /init of the RAM disk of hack/testbed's QEMU machines: mounts the host's tree (virtio-fs),
# puts an overlay on it and hands over to guest.sh there.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
fail() { echo "TESTBED-BOOT-FAILED: $*"; sleep 1; poweroff -f; }
for m in $(cat /mod/list); do insmod /mod/$m 2>/dev/null; done
for w in $(cat /proc/cmdline); do case $w in tb.*) eval "${w#tb.}" ;; esac; done
mount -t virtiofs host /host || fail "no virtio-fs"
. /host$state/boot.conf
mount -t tmpfs -o size=90%,mode=755 over /over
mkdir /over/up /over/work
mount -t overlay -o lowerdir=/host,upperdir=/over/up,workdir=/over/work over /root || fail "no overlay"
cd /root; mkdir -p .host .scratch .testbed proc sys dev tmp run lib/modules
mount --move /host .host
for p in proc sys dev run; do mount -t tmpfs -o size=4k,mode=555 none .host/$p; done
for p in $keep; do mkdir -p .testbed/keep$p; mount --bind .$p .testbed/keep$p || fail "cannot keep $p"; done
mount -t tmpfs -o mode=1777,size=75% tmp tmp
mount -t tmpfs -o mode=755 run run
for p in $keep; do mkdir -p .$p; mount --move .testbed/keep$p .$p; done
for p in $state $rw; do
  if [ -d .host$p ]; then mkdir -p .$p; else mkdir -p .${p%/*}; touch .$p; fi
  mount --bind .host$p .$p || fail "cannot bind $p"
done
mount --bind .host$kernel/lib/modules lib/modules
mount -o remount,bind,ro .host
cp .$state/guest.sh .testbed/guest.sh
mount --move /proc proc; mount --move /sys sys; mount --move /dev dev
cd /root; exec switch_root /root /bin/bash /.testbed/guest.sh init
