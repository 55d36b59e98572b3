#!/bin/bash
# The house checks: format, lint, types, rooms, sizes, generated files, Rust, unit tests.
#
#   hack/check.sh            all of them
#   hack/check.sh WHAT...    some: format lint types rooms sizes generated config-docs chart-docs rustfmt clippy cargo-test unit
#
# One line for each with its time; the output of a check is shown only when it fails.
set -uo pipefail
case ${1:-} in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; exit ;; esac
cd "$(dirname "$0")/.."
hack/bootstrap.sh check || exit 1
[ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
export PATH=$PWD/node_modules/.bin:$PATH NO_COLOR=1 CARGO_TERM_COLOR=never

LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT
failed=()

run() {
  case $1 in
    format) oxfmt --check src test hack ;;
    lint) oxlint ;;
    types) tsc -p tsconfig.json ;;
    rooms) node hack/check-rooms.mjs ;;
    sizes) node hack/check-sizes.mjs ;;
    generated) hack/check-generated.sh ;;
    config-docs) node hack/config-docs.mjs --check ;;
    chart-docs) node hack/chart-docs.mjs --check ;;
    rustfmt) (cd native && cargo fmt --check -- --color never) ;;
    clippy) (cd native && cargo clippy --workspace --all-targets --locked -q -- -D warnings) ;;
    cargo-test) (cd native && cargo test --workspace --locked -q) ;;
    unit) ava --timeout=3m 'test/unit/**/*.test.ts' ;;
    *) echo "no check $1"; return 2 ;;
  esac
}

[ $# -gt 0 ] || set -- format lint types rooms sizes generated config-docs chart-docs rustfmt clippy cargo-test unit
for name in "$@"; do
  start=${EPOCHREALTIME/./}
  if run "$name" > "$LOG" 2>&1; then verdict=ok; else verdict=FAIL; fi
  printf '%-4s %-12s %5.1f s\n' "$verdict" "$name" "$(((${EPOCHREALTIME/./} - start) / 100000))e-1"
  if [ "$verdict" = FAIL ]; then
    failed+=("$name")
    tail -n 100 "$LOG" | sed 's/^/     /'
  fi
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "check failed: ${failed[*]}"
  exit 1
fi
echo 'check passed'
