# A machine of hack/testbed: booting it, running commands in it, ending it. Sourced by
# hack/testbed; its state is in $S, the files of its commands in $XD.
# shellcheck shell=bash disable=SC2154 # the variables of a machine are set by hack/testbed

alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

# stop_pid FILE [-] ends the process of a pid file that was written here; "-": its whole group.
stop_pid() {
  alive "$1" || { rm -f "$1"; return 0; }
  local pid; pid=$(cat "$1"); kill -- "${2-}$pid" 2>/dev/null
  for _ in $(seq 30); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -9 -- "${2-}$pid" 2>/dev/null; rm -f "$1"
}

# Where a machine's files are: its state, and the folder of its commands' files
# (for uml in memory, so that the guest's synchronous writes cost nothing).
set_paths() {
  S=$CACHE/vm/$name XD=/dev/shm/podwright-testbed-$UID-$name
  # a machine that is there knows its engine itself
  case $verb in exec | down | console | reset) [ -e "$S/engine" ] && read -r engine <"$S/engine" ;; esac
  [ "$engine" = uml ] || XD=$S/x
}

machine_up() {
  local path started keep
  alive "$S/vm.pid" && return 0
  prepare "$flavour"
  rm -rf "$S" "$XD"; mkdir -p "$S" "$XD" || die "cannot make $S"
  echo "$engine" >"$S/engine"
  cp "$HERE/guest.sh" "$S/guest.sh"
  for path in ${rw[@]+"${rw[@]}"}; do
    case $path in *[[:space:]\'\"]*) die "--rw path has odd characters: $path" ;; esac
  done
  # /tmp is the guest's own: a checkout below it is shown all the same
  case $REPO in /tmp/*) keep=$REPO ;; *) keep='' ;; esac
  cat >"$S/boot.conf" <<END
init=$init net=$net engine=$engine xdir=$XD kernel=$CACHE/kernel/$flavour keep='$keep' rw='${rw[*]-}'
END
  truncate -s "${disk}G" "$S/scratch.img" \
    && mkfs.ext4 -q -F -O ^has_journal,^resize_inode -E lazy_itable_init=1 -m 0 -N 1000000 "$S/scratch.img" \
    || die "cannot make the scratch disk"
  mkfifo "$S/ctl.in" "$S/ctl.out"
  started=$(date +%s%N)
  "start_$engine"
  while [ ! -s "$S/ready" ]; do
    if ! alive "$S/vm.pid" || grep -q TESTBED-BOOT-FAILED "$S/console.log" 2>/dev/null; then
      tail -n 15 "$S"/*.log >&2; machine_down; die "the machine did not boot"
    fi
    if [ $((($(date +%s%N) - started) / 1000000000)) -ge "$boot_timeout" ]; then
      tail -n 15 "$S/console.log" >&2; machine_down; die "the machine did not boot in $boot_timeout s"
    fi
    sleep 0.05
  done
  note "up in $((($(date +%s%N) - started) / 1000000)) ms (guest clock $(cat "$S/ready") s)"
}

machine_down() {
  if alive "$S/vm.pid" && [ -s "$S/ready" ]; then
    tell off 2
    for _ in $(seq 30); do alive "$S/vm.pid" || break; sleep 0.1; done
  fi
  # setsid made the machine a process group of its own: "-" ends all of it
  stop_pid "$S/vm.pid" -; stop_pid "$S/virtiofsd.pid" -
  [ "$engine" = uml ] && rm -rf "$XD"
  rm -f "$S/scratch.img" "$S/ready" "$S/ctl.in" "$S/ctl.out" "$S/fs.sock"
}

# tell LINE SECONDS writes a line to the agent in the guest; fails when nobody reads.
tell() { timeout "$2" bash -c 'echo "$2" >"$1"' _ "$S/ctl.in" "$1" 2>/dev/null; }

# Runs cmd[] in the machine: a folder of files on the host's side, shared with the
# guest; "run ID" on the control port; output is followed as it is written.
machine_exec() {
  local id folder waiter out err why rc
  [ ${#cmd[@]} -gt 0 ] || die "no command (... -- CMD)"
  alive "$S/vm.pid" && [ -s "$S/ready" ] || die "machine '$name' is not up (hack/testbed up)"
  id=$(date +%s%N)-$$; folder=$XD/$id; mkdir "$folder" || die "cannot make $folder"
  : >"$folder/out"; : >"$folder/err"
  [ -n "$stdin" ] && cat >"$folder/in"
  {
    export -p | grep -vE '^declare -x (PWD|OLDPWD|SHLVL|TESTBED_[A-Z]*|_)='
    printf 'export TESTBED=1\ncd %q || exit 125\nexec' "$dir"; printf ' %q' "${cmd[@]}"; echo
  } >"$folder/cmd"
  [ -n "$stale" ] || tell 'fresh -' 10
  tell "run $id" 10 || die "the machine does not take commands"
  # the waiter ends with the command, or with what stops it from ending
  (end=$((SECONDS + timeout))
    while [ ! -e "$folder/rc" ]; do
      alive "$S/vm.pid" || { echo dead >"$folder/why"; exit; }
      [ "$timeout" -gt 0 ] && [ "$SECONDS" -ge "$end" ] && { echo timeout >"$folder/why"; exit; }
      sleep 0.05
    done) & waiter=$!
  tail -c +1 -s 0.1 -f --pid=$waiter "$folder/out" & out=$!
  tail -c +1 -s 0.1 -f --pid=$waiter "$folder/err" >&2 & err=$!
  trap 'tell "kill $id" 2; kill $waiter $out $err 2>/dev/null; [ -n "${own-}" ] && machine_down; exit 130' INT TERM
  wait $waiter; wait $out $err
  trap - INT TERM
  why=$(cat "$folder/why" 2>/dev/null); rc=$(cat "$folder/rc" 2>/dev/null)
  case $why in
    timeout) echo "testbed: timed out after $timeout s" >&2; tell "kill $id" 2; rc=124 ;;
    dead) echo "testbed: the machine died:" >&2; tail -n 20 "$S/console.log" >&2; rc=125 ;;
  esac
  rm -rf "$folder"
  return "${rc:-125}"
}
