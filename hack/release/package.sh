#!/bin/bash
# Puts a release tree into a Debian package: package.sh TREE OUT. The tree is taken apart. Called by hack/release.sh.
# Every file bears SOURCE_DATE_EPOCH. The compressor can be chosen by DPKG_DEB_COMPRESSOR_TYPE and _LEVEL.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$1 out=$2
die() { printf '[release] %s\n' "$*" >&2; exit 1; }
command -v dpkg-deb > /dev/null || die 'dpkg-deb is needed for Debian packages'
fact() { sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$tree/RELEASE.json"; }
SOURCE_DATE_EPOCH=$(fact epoch) version=$(fact version) arch=$(fact arch)
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
root=$work/root doc=$work/root/usr/share/doc/podwright
mkdir -p "$root/DEBIAN" "$root/var/cache/podwright"
mv "$tree" "$root/usr"

# what lies elsewhere in a distribution
mv "$root/usr/etc" "$root/etc"
mkdir -p "$doc/examples" "$root/usr/share/zsh/vendor-completions" "$root/usr/share/lintian/overrides"
mv "$root/etc/crictl.yaml" "$doc/examples/crictl.yaml"
mv "$root/usr/share/zsh/site-functions/_podwright" "$root/usr/share/zsh/vendor-completions/_podwright"
rmdir "$root/usr/share/zsh/site-functions"
mv "$root/usr/RELEASE.json" "$root/usr/lib/podwright/RELEASE.json"
ln -s /var/cache/podwright "$root/usr/lib/podwright/.compile-cache"
rm "$root/usr/bin/podwright-monitor" "$doc/LICENSE" # pods' monitors are started by the daemon alone
cp "$here/debian/copyright" "$doc/copyright"
cp "$here/debian/lintian-overrides" "$root/usr/share/lintian/overrides/podwright"

# dpkg knows the digests of what it installs
sed -i '/^  "files": \[$/,$d; s/^  "monitorProtocol": {$/&/' "$root/usr/lib/podwright/RELEASE.json"
sed -i '$s/,$//' "$root/usr/lib/podwright/RELEASE.json"
echo '}' >> "$root/usr/lib/podwright/RELEASE.json"

# the binutils of another architecture have its name before theirs
strip=strip
if [ "$arch" != "$(dpkg --print-architecture)" ]; then
  strip=$(sed 's/amd64/x86_64/; s/arm64/aarch64/' <<< "$arch")-linux-gnu-strip
fi
glibc=$(readelf -VW "$root/usr/lib/podwright/node" "$root/usr/lib/podwright/addon.node" |
  grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -n 1)
"$strip" --strip-unneeded --remove-section=.comment --remove-section=.note "$root/usr/lib/podwright/node"
"$strip" --strip-unneeded --remove-section=.comment "$root/usr/lib/podwright/addon.node"
mv "$doc/CHANGELOG.md" "$doc/changelog"
cat > "$doc/changelog.Debian" << END
podwright ($version-1) unstable; urgency=medium

  * The release $version; /usr/share/doc/podwright/changelog.gz has its changes.

 -- podwright maintainers <maintainers@podwright.invalid>  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END
find "$root/usr/share/man" "$doc" -type f \( -name '*.[158]' -o -name 'changelog*' -o -size +4k \) \
  ! -name copyright -exec gzip -9n {} +

sed -e "s/@version@/$version-1/; s/@arch@/$arch/; s/@glibc@/${glibc#GLIBC_}/" \
  -e "s/@size@/$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f 1)/" "$here/debian/control" > "$root/DEBIAN/control"
install -m 755 "$here/debian/postinst" "$here/debian/prerm" "$here/debian/postrm" "$root/DEBIAN/"
(cd "$root" && find etc -type f -printf '/%p\n' | LC_ALL=C sort > DEBIAN/conffiles)
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum > DEBIAN/md5sums)
find "$root" -type d -exec chmod 755 {} +
chmod 700 "$root/var/cache/podwright"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group --build "$root" "$out" > /dev/null
