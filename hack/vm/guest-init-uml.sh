#!/bin/bash
# Process 1 of hack/testbed's user-mode Linux machines: runs on the host's tree (hostfs,
# read-only), puts an overlay on it and hands over to guest.sh there.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
for w in $(</proc/cmdline); do case $w in tb.*) eval "${w#tb.}" ;; esac; done
. $state/boot.conf
fail() { echo "TESTBED-BOOT-FAILED: $*"; echo o >/proc/sysrq-trigger; sleep 5; }
mount -t tmpfs -o size=90%,mode=755 over $state/mnt || fail "no tmpfs"
cd $state/mnt; mkdir up work root
mount -t overlay -o lowerdir=/,upperdir=$PWD/up,workdir=$PWD/work over root || fail "no overlay"
cd root; mkdir -p .host .scratch .testbed proc sys dev tmp run
mount -t hostfs -o ro,/ none .host
for p in proc sys dev run; do mount -t tmpfs -o size=4k,mode=555 none .host/$p; done
for p in $keep; do mkdir -p .testbed/keep$p; mount --bind .$p .testbed/keep$p || fail "cannot keep $p"; done
mount -t tmpfs -o mode=1777,size=75% tmp tmp
mount -t tmpfs -o mode=755 run run
for p in $keep; do mkdir -p .$p; mount --move .testbed/keep$p .$p; done
for p in $rw; do
  [ -d /$p ] || fail "--rw needs a folder with uml: $p"
  mkdir -p .$p; mount -t hostfs -o $p none .$p || fail "cannot mount $p"
done
cp $state/guest.sh .testbed/guest.sh
mount -t sysfs sys sys; mount -n --move /proc proc; mount -t devtmpfs dev dev
mkdir -p .$state .$xdir
mount -t hostfs -o $state none .$state; mkdir -p run/testbed; mount -t hostfs -o sync,$xdir none run/testbed || fail "no $xdir"
mount -n --move . /; exec chroot . /bin/bash /.testbed/guest.sh init
fail "no switch of the root"
