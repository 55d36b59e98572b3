# How the two engines of hack/testbed are started. Sourced by it; leaves the process in $S/vm.pid.
# shellcheck shell=bash disable=SC2154 # the variables of a machine are set by hack/testbed

ACCEL=${TESTBED_ACCEL:-tcg,thread=multi,tb-size=1024}
CPU=${TESTBED_CPU:-max,la57=off}
MACHINE=${TESTBED_MACHINE:-q35}

start_qemu() {
  local k=$CACHE/kernel/$flavour line
  [ -e "$k/vmlinux" ] || die "no kernel"
  # Nothing started here may keep the caller's output open or its terminal.
  setsid "$VIRTIOFSD" --socket-path="$S/fs.sock" -o source=/ -o sandbox=chroot \
    -o cache="$cache" ${fs_timeout:+-o timeout=$fs_timeout} -o xattr --thread-pool-size=4 \
    </dev/null >"$S/virtiofsd.log" 2>&1 9>&- &
  echo $! >"$S/virtiofsd.pid"; disown
  for _ in $(seq 100); do [ -S "$S/fs.sock" ] && break; sleep 0.05; done
  [ -S "$S/fs.sock" ] || die "virtiofsd did not start, see $S/virtiofsd.log"
  # shellcheck disable=SC2206 # $append is several words
  # The kernel's own waits are what costs under emulation: no calibration, no
  # probing, expedited RCU (namespaces and cgroups are freed through it).
  line=(console=ttyS0 panic=-1 reboot=t quiet nokaslr mitigations=off nopti tsc=reliable
    clocksource=tsc no_timer_check lpj=4000000 random.trust_cpu=on rcupdate.rcu_expedited=1
    nowatchdog nosoftlockup audit=0 apparmor=0 selinux=0 cgroup_no_v1=all psi=1
    systemd.unified_cgroup_hierarchy=1 8250.nr_uarts=1 i8042.noaux i8042.nokbd
    tb.state="$S" $append)
  # One vCPU on busy cores costs a third of what two do: they wait for each other's interrupts.
  setsid qemu-system-x86_64 -name "testbed-$name" -nodefaults -no-user-config -display none -no-reboot \
    -machine "$MACHINE",memory-backend=mem,graphics=off -accel "$ACCEL" -cpu "$CPU" -smp "$cpus" -m "$mem" \
    -object memory-backend-memfd,id=mem,size="${mem}M",share=on \
    -kernel "$k/vmlinux" -initrd "$CACHE/initrd.$flavour.cpio" -append "${line[*]}" \
    -serial file:"$S/console.log" \
    -chardev socket,id=fs,path="$S/fs.sock" -device vhost-user-fs-pci,chardev=fs,tag=host,queue-size=1024 \
    -device virtio-serial-pci -chardev pipe,id=ctl,path="$S/ctl" -device virtserialport,chardev=ctl,name=testbed.ctl \
    -drive file="$S/scratch.img",if=none,id=d0,format=raw,cache=unsafe,discard=unmap -device virtio-blk-pci,drive=d0 \
    ${net:+-netdev user,id=n0 -device virtio-net-pci,netdev=n0,romfile=} \
    </dev/null >"$S/qemu.log" 2>&1 9>&- &
  echo $! >"$S/vm.pid"; disown
}

start_uml() {
  install -m 755 "$HERE/guest-init-uml.sh" "$S/init.sh"; mkdir -p "$S/mnt"
  # the control port: opened for reading and writing so that it never sees an end of
  # file; a new session, so that all of it can be ended by its process group
  # shellcheck disable=SC2086 # $append is several words
  TMPDIR=/dev/shm setsid "$CACHE/kernel/uml/linux" mem="${mem}M" root=/dev/root rootfstype=hostfs rootflags=/ ro \
    init="$S/init.sh" ubd0="$S/scratch.img" con=null con0=null,fd:1 ssl=null ssl0=fd:7,null uml_dir="$S" umid=uml \
    panic=-1 quiet loglevel=4 rcupdate.rcu_expedited=1 cgroup_no_v1=all psi=1 tb.state="$S" $append \
    7<>"$S/ctl.in" </dev/null >"$S/console.log" 2>&1 9>&- &
  echo $! >"$S/vm.pid"; disown
}
