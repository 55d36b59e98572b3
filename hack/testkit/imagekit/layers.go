package main

import (
	"strings"
	"time"
)

// checkScript looks at the root file system of test/layers from within.
const checkScript = `
bad=0
is() { # is WHAT GOT WANTED
  [ "$2" = "$3" ] || { echo "$1: $2, not $3"; bad=1; }
}
st() { stat -c "$1" "$2" 2>&1; }
there() { [ -e "$1" ] || [ -L "$1" ] || { echo "$1 is missing"; bad=1; }; }
gone() { [ ! -e "$1" ] && [ ! -L "$1" ] || { echo "$1 is there"; bad=1; }; }

# whiteouts
gone /data/gone; gone /data/dirgone; there /data/keep
is again "$(cat /data/again)" third
# opaque directories
gone /data/opaque/old; gone /data/opaque/sub; there /data/opaque/new
gone /data/opaque2/x; is opaque2 "$(ls -A /data/opaque2)" ""
gone /data/opaque3/old; there /data/opaque3/first; there /data/opaque3/last
# no marker may be seen
is markers "$(find / -xdev -name '.wh.*' 2>/dev/null)" ""
# another kind in a file's place
is todir "$(st %F /data/todir)" directory; there /data/todir/f
is tofile "$(cat /data/tofile)" "a file now"
is tolink "$(readlink /data/tolink)" keep
is linkdir "$(st %F /data/linkdir)" directory; gone /data/keepdir/f
# hard links
is links "$(st %h /data/h1)" 3
is inodes "$(st %i /data/h1)" "$(st %i /data/h2)"
is inodes2 "$(st %i /data/h1)" "$(st %i /data/sub/h3)"
is linked "$(cat /data/h2)" "hard link"
# modes, owners, times
is suid "$(st %a:%u:%g /data/suid)" 4755:0:0
is sgid "$(st %a:%u:%g /data/sgid)" 2755:0:50
is suidowner "$(st %a:%u:%g /data/suidowner)" 6711:1000:1000
is sticky "$(st %a /data/sticky)" 1777
is bigid "$(st %u:%g /data/bigid)" 3000000:4000000
is mode0 "$(st %a /data/mode0)" 0
is chdir "$(st %a:%u /data/chdir)" 750:33
is chdirin "$(cat /data/chdir/in)" in
is mtime "$(st %Y /data/mtime)" 1000000000
is dirtime "$(st %Y /data/dirtime)" 1234567890
is linktime "$(st %Y /data/symlink)" 1234567890
# links
is symlink "$(readlink /data/symlink)" keep
is abslink "$(readlink /data/abslink)" /data/keep
is dangling "$(readlink /data/dangling)" /no/such/file
is vialink "$(cat /data/real/via)" via
# devices and pipes
is null "$(st %F:%t:%T:%a /data/null)" "character special file:1:3:666"
is block "$(st %F:%t:%T /data/block)" "block special file:7:63"
is fifo "$(st %F /data/fifo)" fifo
# names
there "/data/LONG"
there "/data/DEEP/end"
there "/data/blank and
newline"
there "/data/umläut-日本"
is size "$(st %s /data/large)" 3000000
is sum "$(sha256sum < /data/empty | cut -c1-8)" e3b0c442
is implied "$(st %a /data/no/entry/for/these)" 755
[ $bad = 0 ] && echo "layers: ok"
exit $bad
`

// layersImage is the three layers of test/layers. Attributes are for the test to
// look at from outside: /data/attr has user.kit=value and a binary
// user.bytes, /data/cap has the capability net_bind_service.
func layersImage(busybox []entry) (l1, l2, l3 *layer) {
	long := strings.Repeat("l", 250)
	deep := strings.TrimSuffix(strings.Repeat(strings.Repeat("d", 100)+"/", 8), "/")
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	dir := func(name string) entry { return entry{name: name, mode: 0o755, dir: true} }
	file := func(name, body string) entry { return entry{name: name, mode: 0o644, body: []byte(body)} }
	wh := func(name string) entry { return entry{name: name} }
	script := strings.NewReplacer("LONG", long, "DEEP", deep).Replace(checkScript)

	first := append(append([]entry(nil), busybox...),
		file("check.sh", script),
		dir("data"), file("data/keep", "keep\n"), file("data/gone", "gone\n"),
		dir("data/dirgone"), file("data/dirgone/a", "a"), dir("data/dirgone/sub"), file("data/dirgone/sub/b", "b"),
		file("data/again", "first\n"),
		dir("data/opaque"), file("data/opaque/old", "old"), dir("data/opaque/sub"), file("data/opaque/sub/x", "x"),
		dir("data/opaque2"), file("data/opaque2/x", "x"),
		dir("data/opaque3"), file("data/opaque3/old", "old"),
		file("data/todir", "file"), dir("data/tofile"), file("data/tofile/x", "x"), file("data/tolink", "file"),
		dir("data/keepdir"), entry{name: "data/linkdir", sym: "keepdir"},
		file("data/h1", "hard link\n"), entry{name: "data/h2", link: "data/h1"}, dir("data/sub"), entry{name: "data/sub/h3", link: "/data/h2"},
		entry{name: "data/suid", mode: 0o4755, body: []byte("x")}, entry{name: "data/sgid", mode: 0o2755, gid: 50, body: []byte("x")},
		entry{name: "data/suidowner", mode: 0o6711, uid: 1000, gid: 1000, body: []byte("x")},
		entry{name: "data/sticky", mode: 0o1777, dir: true},
		entry{name: "data/bigid", mode: 0o644, uid: 3000000, gid: 4000000},
		entry{name: "data/mode0", mode: 0},
		dir("data/chdir"), file("data/chdir/in", "in\n"),
		entry{name: "data/mtime", mode: 0o644, mtime: at(1000000000).Add(123456789)},
		entry{name: "data/dirtime", mode: 0o755, dir: true, mtime: at(1234567890)}, file("data/dirtime/f", "f"),
		entry{name: "data/symlink", sym: "keep", mtime: at(1234567890)},
		entry{name: "data/abslink", sym: "/data/keep"}, entry{name: "data/dangling", sym: "/no/such/file"},
		dir("data/real"), entry{name: "data/vialink", sym: "real"}, file("data/vialink/via", "via\n"),
		entry{name: "data/null", mode: 0o666, char: [2]int64{1, 3}}, entry{name: "data/block", mode: 0o660, block: [2]int64{7, 99}},
		entry{name: "data/fifo", mode: 0o644, fifo: true},
		file("data/"+long, "long"), file("data/"+deep+"/end", "deep"), file("data/blank and\nnewline", ""), file("data/umläut-日本", ""),
		entry{name: "data/large", mode: 0o644, body: []byte(strings.Repeat("0123456789", 300000))}, file("data/empty", ""),
		file("data/no/entry/for/these/dirs", ""),
		entry{name: "data/attr", mode: 0o644, xattr: map[string]string{"user.kit": "value", "user.bytes": "\x00\x01=\n\xff"}},
		// VFS_CAP_REVISION_2, effective, net_bind_service permitted
		entry{name: "data/cap", mode: 0o755, body: []byte("x"), xattr: map[string]string{"security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}},
	)
	second := []entry{
		wh("data/.wh.gone"), wh("data/.wh.dirgone"), wh("data/.wh.again"), wh("data/.wh.nothing-there"),
		dir("data/opaque"), file("data/opaque/new", "new"), wh("data/opaque/.wh..wh..opq"),
		dir("data/opaque2"), wh("data/opaque2/.wh..wh..opq"),
		// the marker between a directory's files: it hides what is below, not these
		dir("data/opaque3"), file("data/opaque3/first", "1"), wh("data/opaque3/.wh..wh..opq"), file("data/opaque3/last", "2"),
		dir("data/todir"), file("data/todir/f", "f"), file("data/tofile", "a file now\n"), entry{name: "data/tolink", sym: "keep"},
		dir("data/linkdir"), file("data/linkdir/f", "f"),
	}
	third := []entry{
		file("data/again", "third\n"),
		// only the directory's own mode and owner
		entry{name: "data/chdir", mode: 0o750, dir: true, uid: 33},
		wh("data/opaque/.wh.nothing-there"),
	}
	mk := func(name string, es []entry) *layer { return &layer{name: name, comp: gz, fill: entries(es...)} }
	return mk("layers-1", first), mk("layers-2", second), mk("layers-3", third)
}

// strictImage is what the specification asks for and some runtimes do not do: a
// directory that is removed and made anew in one layer has nothing of the old
// one, whichever of the two entries comes first; times before 1970 are kept.
func strictImage(busybox *layer) ([]*layer, []string) {
	dir := func(name string) entry { return entry{name: name, mode: 0o755, dir: true} }
	file := func(name string) entry { return entry{name: name, mode: 0o644} }
	mk := func(name string, es ...entry) *layer { return &layer{name: name, comp: gz, fill: entries(es...)} }
	return []*layer{
			busybox,
			mk("strict-1", dir("back"), file("back/old"), dir("back2"), file("back2/old"), dir("filled"), file("filled/old"),
				entry{name: "past", mode: 0o644, mtime: time.Unix(-86400, 0)}),
			mk("strict-2", file(".wh.back"), dir("back"), file("back/new"),
				dir("back2"), file("back2/new"), file(".wh.back2"),
				file(".wh.filled"), file("filled/new")),
		}, []string{"sh", "-c", `r=0
for d in back back2 filled; do [ "$(ls $d)" = new ] || { echo "$d: $(ls $d | tr '\n' ' ')"; r=1; }; done
[ "$(stat -c %Y past)" = -86400 ] || { echo "past: $(stat -c %Y past)"; r=1; }
[ $r = 0 ] && echo "strict: ok"
exit $r`}
}
