#!/bin/bash
# Make the demo image dist/demo-image.tar (a docker archive): a static busybox with a small web site.
# Needs no registry and no compiler; busybox is taken from the Debian package without installing it.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=dist/demo-image.tar
[ ! "$image" -nt hack/demo/image.sh ] || exit 0

say() { printf '[demo] %s\n' "$*" >&2; }
die() { printf '[demo] %s\n' "$*" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

# a program is static when it names no interpreter
is_static() { [ -x "$1" ] && readelf -lW "$1" > /dev/null 2>&1 && ! readelf -lW "$1" | grep -q INTERP; }

busybox=$(command -v busybox || true)
if ! { [ -n "$busybox" ] && is_static "$busybox"; }; then
  command -v apt-get > /dev/null || die 'a static busybox is needed in PATH'
  say 'downloading busybox-static'
  (cd "$work" && { apt-get -o APT::Sandbox::User=root -qq download busybox-static > /dev/null 2>&1 ||
    { apt-get -o DPkg::Lock::Timeout=300 -qq update && apt-get -o APT::Sandbox::User=root -qq download busybox-static > /dev/null; }; })
  dpkg-deb -x "$work"/busybox-static_*.deb "$work/deb"
  busybox=$(find "$work/deb" -path "*/bin/busybox" -type f -print -quit)
fi

say "making $image"
mkdir -p "$root"/{bin,etc,tmp,proc,sys,dev,www/cgi-bin}
chmod 1777 "$root/tmp"
cp "$busybox" "$root/bin/busybox"
"$busybox" --list | while read -r applet; do
  [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
printf 'root:x:0:0:root:/:/bin/sh\nweb:x:1000:1000:web:/www:/bin/sh\n' > "$root/etc/passwd"
printf 'root:x:0:\nweb:x:1000:\n' > "$root/etc/group"
printf '<h1>hello from podwright</h1>\n' > "$root/www/index.html"
cat > "$root/www/cgi-bin/about" << 'CGI'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
echo "hello from pod $(hostname), $(ip -4 -o addr show dev eth0 | sed 's/.*inet \([0-9.]*\).*/\1/')"
echo "kernel $(uname -r), as $(id -un) with process id $$"
CGI
chmod 755 "$root/www/cgi-bin/about"

tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$work/layer.tar" .
diff_id=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
cat > "$work/config.json" << JSON
{"architecture":"$arch","os":"linux","created":"1970-01-01T00:00:00Z",
"config":{"User":"web","WorkingDir":"/www","Env":["PATH=/bin"],"ExposedPorts":{"8080/tcp":{}},
"Cmd":["/bin/sh","-c","echo web server on port 8080; exec httpd -f -vv -p 8080 -h /www"]},
"rootfs":{"type":"layers","diff_ids":["sha256:$diff_id"]},
"history":[{"created":"1970-01-01T00:00:00Z","created_by":"hack/demo/image.sh"}]}
JSON
echo '[{"Config":"config.json","RepoTags":["localhost/podwright-demo:latest"],"Layers":["layer.tar"]}]' > "$work/manifest.json"
mkdir -p dist
tar -C "$work" --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$image.new" manifest.json config.json layer.tar
mv -f "$image.new" "$image"
