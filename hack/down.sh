#!/bin/bash
# End every pod, the daemon, and all that they hold of the kernel.
#
#   npm run down                        keeps images and configuration
#   npm run down -- --purge             removes the root directory (/var/lib/podwright) too
#   npm run down -- [--purge] FLAG...   for a daemon that was started with flags
#
# Nothing to end is fine. Fails when something is left, and names it.
set -euo pipefail
for argument; do
  case $argument in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; exit ;; esac
done
cd "$(dirname "$0")/.."
say() { printf '[down] %s\n' "$*" >&2; }
die() { printf '[down] %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die 'run as root'

purge= flags=(--network-default bridge)
for argument; do
  if [ "$argument" = --purge ]; then purge=1; else flags+=("$argument"); fi
done
if ! { [ -x dist/podwrightd ] && [ -x node_modules/.bin/node ]; }; then
  ! [ -e /run/podwright ] || die '/run/podwright is there, and there is no build to end it with: run hack/bootstrap.sh && hack/build.sh'
  say 'nothing was built, so nothing runs'
  exit 0
fi
setting() { dist/podwrightd --print-config "${flags[@]}" | sed -n "s/^$1 = \"\(.*\)\"\$/\1/p" | head -n 1; }
socket=$(setting socket) state=$(setting state) root=$(setting root) bridge=$(setting bridge)
# check_root DIRECTORY refuses what is not podwright's alone: whatever `root` says, a purge removes all of it.
check_root() {
  local names others
  [ -d "$1" ] && [ -n "$(ls -A "$1")" ] || return 0
  [ -f "$1/lock" ] || die "not purged: podwrightd has never worked in $1"
  names=$(sed -n "/rootNames = \[/,/\]/s/^  '\(.*\)',\$/\1/p" src/paths.ts)
  others=$(find "$1" -mindepth 1 -maxdepth 1 -printf '%f\n' | grep -vxF -e user-namespaces-probe -e lost+found -e "$names" || true)
  [ -z "$others" ] || die "not purged: $1 has what is not podwright's: "$others
}
# before anything is ended
[ -z "$purge" ] || check_root "$root"
log=/var/log/podwrightd${state//\//-}.log

serving() { dist/podwright --socket "$socket" version > /dev/null 2>&1; }
# the daemon's pid while it runs: a pid alone may be another program's by now
daemon_pid() {
  local pid
  pid=$(cat "$state/podwrightd.pid" 2> /dev/null) || return 1
  { tr '\0' ' ' < "/proc/$pid/cmdline"; } 2> /dev/null | grep -q podwrightd && echo "$pid"
}

if ! serving && [ -d "$state" ]; then
  # pods outlive their daemon: one is needed to end them
  say 'starting podwrightd to end its pods'
  setsid dist/podwrightd "${flags[@]}" >> "$log" 2>&1 < /dev/null &
  for ((i = 0; i < 150; i++)); do
    ! serving || break
    sleep 0.1
  done
  serving || { tail -n 20 "$log" >&2; die "podwrightd did not start; the whole log is $log"; }
fi
if serving; then
  pid=$(daemon_pid || true)
  dist/podwright --socket "$socket" shutdown | sed 's/^/[down] /' >&2
  for ((i = 0; i < 200; i++)); do
    { [ -n "$pid" ] && [ -d "/proc/$pid" ]; } || break
    sleep 0.1
  done
  ! { [ -n "$pid" ] && [ -d "/proc/$pid" ]; } || die "podwrightd ($pid) did not end"
  say 'podwrightd ended'
fi

# refuse_mounts DIRECTORY refuses while something is mounted below it: rm would go through the mount.
refuse_mounts() {
  local mounted
  mounted=$(awk -v d="$1/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo)
  [ -z "$mounted" ] || die "still mounted: $mounted"
}
remove_tree() {
  refuse_mounts "$1"
  rm -rf --one-file-system "$1"
}
# remove_root DIRECTORY keeps the lock to the last: by that a purge that is repeated after it was cut short knows the root again.
remove_root() {
  refuse_mounts "$1"
  [ ! -d "$1" ] || find "$1" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf --one-file-system {} +
  rm -rf --one-file-system "$1"
}
remove_tree "$state"
rm -f "$log"
[ -z "$purge" ] || { remove_root "$root"; say "removed $root"; }

# what of ours is still there; cgroups are shared with other daemons of this machine, if there are any
left=()
others=
[ ! -e "/sys/class/net/$bridge" ] || left+=("interface $bridge")
for process in /proc/[0-9]*; do
  command=$({ tr '\0' ' ' < "$process/cmdline"; } 2> /dev/null) || continue
  case $command in
    podwright-monitor\ serve*"$state/sockets/"*) left+=("process ${process#/proc/}: $command") ;;
    podwright-monitor\ serve* | *podwrightd.js*) others=1 ;;
  esac
done
if [ -z "$others" ]; then
  while read -r cgroup; do left+=("cgroup $cgroup"); done < <(find /sys/fs/cgroup -maxdepth 2 -type d -name podwright 2> /dev/null)
fi
if [ ${#left[@]} -gt 0 ]; then
  printf '[down] left: %s\n' "${left[@]}" >&2
  exit 1
fi
say 'all is gone'
