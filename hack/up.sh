#!/bin/bash
# Build podwright, start the daemon, and run a demo pod on it.
#
#   npm run up                    with the defaults and a bridge network of our own
#   npm run up -- FLAG...         with flags for podwrightd, such as --root DIR --state DIR
#
# Does all set-up on a fresh machine; run again it uses what is there. `npm run down` ends it all.
set -euo pipefail
for argument; do
  case $argument in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; exit ;; esac
done
cd "$(dirname "$0")/.."
say() { printf '[up] %s\n' "$*" >&2; }
die() { printf '[up] %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die 'run as root: pods need namespaces, cgroups and mounts'

hack/bootstrap.sh
hack/build.sh
hack/demo/image.sh

flags=(--network-default bridge "$@")
dist/podwrightd --check "${flags[@]}" > /dev/null
setting() { dist/podwrightd --print-config "${flags[@]}" | sed -n "s/^$1 = \"\(.*\)\"\$/\1/p" | head -n 1; }
socket=$(setting socket) state=$(setting state)
log=/var/log/podwrightd${state//\//-}.log

serving() { dist/podwright --socket "$socket" version > /dev/null 2>&1; }

if serving; then
  say "a daemon serves on $socket already"
else
  say "starting podwrightd, log $log"
  setsid dist/podwrightd "${flags[@]}" >> "$log" 2>&1 < /dev/null &
  daemon=$!
  for ((i = 0; ; i++)); do
    ! serving || break
    if ! kill -0 "$daemon" 2> /dev/null || [ $i -ge 600 ]; then
      tail -n 20 "$log" >&2
      die "podwrightd did not start; the whole log is $log"
    fi
    sleep 0.1
  done
fi

dist/podwright --socket "$socket" load dist/demo-image.tar
node_modules/.bin/node hack/demo/run.mjs "$socket" "$state"
