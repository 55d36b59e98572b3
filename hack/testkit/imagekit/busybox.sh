#!/bin/bash
# Build a static busybox from Debian's own source package into $1 (a file).
# The same source and compiler give the same file.
#
# Debian's busybox-static cannot serve as critest's busybox image: its shell
# runs applets in-process (FEATURE_SH_STANDALONE), so a masked /bin/ls would
# still "work", and it lacks pgrep and ipcs. The upstream default
# configuration has neither problem.
set -euo pipefail
out=$(realpath -m "$1"); work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"

# A private source list, so that the machine's own apt configuration stays as it
# is: the machine's own Debian source, asked for source packages.
suite=$(. /etc/os-release; echo "$VERSION_CODENAME")
uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' "Codename: $suite" | head -1)
[ -n "$uri" ] || { echo "no Debian source known to apt; run apt-get update" >&2; exit 1; }
mkdir -p lists/partial parts
cat > parts/src.sources <<S
Types: deb-src
URIs: $uri
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
S
opt=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/parts" -o "Dir::State::lists=$work/lists" -o APT::Sandbox::User=root)
apt-get "${opt[@]}" -qq update
apt-get "${opt[@]}" -qq source --download-only busybox
mkdir src; tar -xf busybox_*.orig.tar.* -C src --strip-components=1
cd src
export KCONFIG_NOTIMESTAMP=1 SOURCE_DATE_EPOCH=1700000000 LC_ALL=C # no clock in the binary
make -s defconfig >/dev/null
sed -i -e 's/^# CONFIG_STATIC is not set/CONFIG_STATIC=y/' \
  -e 's/^CONFIG_FEATURE_SH_STANDALONE=y/# CONFIG_FEATURE_SH_STANDALONE is not set/' \
  -e 's/^CONFIG_FEATURE_PREFER_APPLETS=y/# CONFIG_FEATURE_PREFER_APPLETS is not set/' .config
yes '' | make -s oldconfig >/dev/null 2>&1 || true
make -s -j"$(nproc)" busybox >build.log 2>&1 || { tail -20 build.log; exit 1; }
mkdir -p "$(dirname "$out")"
cp busybox "$out.new"
mv -f "$out.new" "$out"
