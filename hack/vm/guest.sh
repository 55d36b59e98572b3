#!/bin/bash
# Second stage of a machine of hack/testbed, in the overlay: sets the machine up, then is its agent,
# which reads "run ID", "kill ID", "fresh" and "off" lines from a serial port.
#   guest.sh init    as process 1    guest.sh agent    as a unit of systemd
for w in $(</proc/cmdline); do case $w in tb.*) eval "${w#tb.}" ;; esac; done
. "$state/boot.conf"
if [ "$engine" = uml ]; then x=/run/testbed disk=/dev/ubda; else x=$state/x disk=/dev/vda; fi
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root

setup() {
  local c d
  mkdir -p /dev/pts /dev/shm /dev/mqueue /dev/hugepages /run/lock
  mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
  mount -t tmpfs -o mode=1777 shm /dev/shm
  mount -t mqueue mqueue /dev/mqueue
  [ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
  for d in 0:stdin 1:stdout 2:stderr; do ln -sf /proc/self/fd/${d%:*} /dev/${d#*:}; done
  mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
  mount -t securityfs security /sys/kernel/security 2>/dev/null
  mount -t bpf bpf /sys/fs/bpf 2>/dev/null
  mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
  mount -t hugetlbfs hugetlbfs /dev/hugepages 2>/dev/null
  if [ -b $disk ]; then
    mount -t ext4 -o noatime,nobarrier $disk /.scratch && for d in containerd containers docker kubelet crio podwright testbed; do
      mkdir -p /.scratch/$d /var/lib/$d && mount --bind /.scratch/$d /var/lib/$d
    done
  fi
  mount --make-rshared /
  hostname testbed; ip link set lo up 2>/dev/null
  echo "127.0.0.1 localhost testbed" >/etc/hosts
  echo 1 >/proc/sys/net/ipv4/ip_forward
  calm
  if [ -n "$net" ] && [ -e /sys/class/net/eth0 ]; then
    ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2
    echo nameserver 10.0.2.3 >/etc/resolv.conf
  fi
}

# User-mode Linux 6.12 panics when a process ends that has mapped an io_uring, as Node's do: they go without.
calm() { [ "$engine" != uml ] || echo 2 >/proc/sys/kernel/io_uring_disabled; }

if [ "$1" = init ]; then
  if [ "$init" = systemd ]; then
    # systemd mounts its own file systems; give it the agent as a unit and
    # nothing else to do.
    u=/etc/systemd/system; mkdir -p $u
    printf '%s\n' '[Unit]' 'Requires=testbed-agent.service dbus.socket' 'After=basic.target' \
      'Wants=systemd-journald.service' 'AllowIsolate=yes' >$u/testbed.target
    printf '%s\n' '[Unit]' 'After=basic.target dbus.socket' 'Requires=basic.target' '[Service]' \
      'ExecStart=/bin/bash /.testbed/guest.sh agent' 'Delegate=yes' 'TasksMax=infinity' \
      'KillMode=mixed' 'TimeoutStopSec=2' >$u/testbed-agent.service
    for s in systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
      systemd-udev-trigger.service systemd-timesyncd.service systemd-sysusers.service \
      systemd-hwdb-update.service ldconfig.service systemd-journal-catalog-update.service \
      systemd-update-done.service systemd-update-utmp.service systemd-binfmt.service \
      systemd-random-seed.service systemd-journal-flush.service systemd-modules-load.service \
      kmod-static-nodes.service systemd-machine-id-commit.service systemd-pstore.service \
      systemd-firstboot.service systemd-repart.service systemd-remount-fs.service \
      systemd-boot-system-token.service systemd-tmpfiles-setup-dev.service timers.target \
      systemd-ask-password-console.path systemd-ask-password-wall.path systemd-fsck-root.service \
      modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service \
      modprobe@fuse.service modprobe@loop.service proc-sys-fs-binfmt_misc.automount \
      sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-tracing.mount \
      apparmor.service; do ln -sf /dev/null $u/$s; done
    mkdir -p /etc/systemd/system.conf.d
    printf '%s\n' '[Manager]' 'DefaultTimeoutStartSec=200s' 'DefaultCPUAccounting=no' \
      >/etc/systemd/system.conf.d/testbed.conf
    : >/etc/fstab; [ -s /etc/machine-id ] || echo 5c2c4d0d5a8f4b7e9d0d1f6c0f0e0a11 >/etc/machine-id
    exec /lib/systemd/systemd --unit=testbed.target --show-status=no --log-level=warning
  fi
  setup
  cd /sys/fs/cgroup; for c in $(<cgroup.controllers); do echo +$c >cgroup.subtree_control; done
  base=/sys/fs/cgroup/testbed.slice
else
  # under systemd: only what it did not do
  mount --make-rshared /
  [ -b $disk ] && mount -t ext4 -o noatime,nobarrier $disk /.scratch && \
    for d in containerd containers docker kubelet crio podwright testbed; do
      mkdir -p /.scratch/$d /var/lib/$d && mount --bind /.scratch/$d /var/lib/$d; done
  mountpoint -q /sys/kernel/security || mount -t securityfs security /sys/kernel/security 2>/dev/null
  hostname testbed; ip link set lo up 2>/dev/null; echo 1 >/proc/sys/net/ipv4/ip_forward; calm
  base=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
  mkdir -p $base/agent; echo $$ >$base/agent/cgroup.procs
fi
mkdir -p $base; for c in $(<$base/cgroup.controllers); do echo +$c >$base/cgroup.subtree_control; done
cd /

finish() { echo "$2" >"$x/$1/rc.tmp"; mv "$x/$1/rc.tmp" "$x/$1/rc"; }
run_one() {
  local id=$1 d=$x/$1 cg=$base/x-$1 rc in=/dev/null
  mkdir $cg; [ -e $d/in ] && in=$d/in
  ( echo $BASHPID >$cg/cgroup.procs; exec setsid /bin/bash $d/cmd ) <$in >>$d/out 2>>$d/err 9<&-
  rc=$?
  finish $id $rc
  rmdir $cg 2>/dev/null   # stays where the command left daemons behind
}

if [ "$engine" = uml ]; then
  port=/dev/ttyS0; stty -F $port raw -echo
else
  for n in /sys/class/virtio-ports/*; do
    [ "$(<$n/name)" = testbed.ctl ] && port=/dev/${n##*/}
  done
fi
exec 9<"$port" || { echo "TESTBED-BOOT-FAILED: no control port"; poweroff -f; }
read -r up _ </proc/uptime; echo "$up" >$state/ready
while read -r verb id <&9; do
  case $verb in
    fresh) echo 2 >/proc/sys/vm/drop_caches ;;  # forget what the host may have changed
    run) run_one "$id" & ;;
    kill) echo 1 >$base/x-$id/cgroup.kill ;;
    off) sync; [ "$init" = systemd ] && echo o >/proc/sysrq-trigger
         echo 1 >/proc/sys/kernel/sysrq; echo o >/proc/sysrq-trigger; sleep 5 ;;
  esac
done
